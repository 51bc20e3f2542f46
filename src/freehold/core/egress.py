"""The guard over this process's own connections and name look-ups: nothing goes where the settings do not say.

An audit hook (PEP 578) sees what Python code is about to look up, connect to or send to, before it happens. What is on
this machine may be reached; beyond it only what was declared, by host and port. Everything else is stopped with an
error, and written down: host, port, how often; never what was to be sent. Python processes that a guarded one starts
come under the same guard before anything else runs in them.

Not seen: native code that opens connections by itself, programs that are not Python (they are counted, by name), and
code that means to get round the guard: an audit hook is no sandbox. A policy of the network closes these.
"""

from __future__ import annotations

import _socket
import contextlib
import functools
import ipaddress
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from freehold.core.attempts import Book, How, shown
from freehold.core.errors import EgressStopped
from freehold.core.telemetry import switch_off

VARIABLE = "FREEHOLD_EGRESS"
"""Tells a child process what its parent may reach."""
GUARDED = str(Path(__file__).parent / "guarded")
"""Stands in PYTHONPATH of child processes."""
Way = tuple[str, int]
"""Host, as it is written in the settings, and port."""

_DNS = {53, 853}
"""On this machine too: whoever answers there asks others."""
_NETLINK = getattr(socket, "AF_NETLINK", -1)
_FAMILIES = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, _NETLINK}
_KEPT_S = 3600.0
"""How long an address counts as that of the declared host that it was looked up for."""
_LOCAL = frozenset({"uname", "ldconfig", "gcc", "cc", "ld", "objdump", "lscpu", "file"})
"""Programs that the standard library asks about the machine: not worth counting."""
_ALONE = re.compile(r"-[A-Za-z]*[EIS][A-Za-z]*")
"""Python's switches by which it would not look for the guard."""


class _Guard:
    """The state of the one guard of this process."""

    def __init__(self) -> None:
        self.armed = False
        self.ways: set[Way] = set()
        self.book = Book()
        self.transfer = ""
        self.found: dict[str, tuple[set[int], float]] = {}
        """Address -> ports that are declared for the host it was looked up for, and when that was."""
        self.lock = threading.Lock()
        self.local = threading.local()

    @property
    def is_inside(self) -> bool:
        """Whether this thread is at work for the guard itself."""
        return getattr(self.local, "inside", False)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        self.local.inside = True
        try:
            yield
        finally:
            self.local.inside = False


_guard = _Guard()


def arm() -> None:
    """Guard this process and those that it starts, from now until it ends; libraries' telemetry is switched off."""
    switch_off()
    with _guard.lock:
        if not _guard.armed:
            _guard.armed = True
            _watch_names()
            os.register_at_fork(after_in_child=_after_fork)
            sys.addaudithook(_hook)
    _tell_children()


def inherit() -> None:
    """Come under the guard of the process that started this one, if it had one."""
    told = os.environ.get(VARIABLE)
    if not told:
        return
    policy = json.loads(told)
    _guard.ways.update((host, port) for host, port in policy["ways"])
    for report in policy["reports"]:
        _guard.book.keep_in(Path(report))
    _guard.transfer = policy["transfer"]
    arm()


def permit(ways: Collection[Way], *, report: Path | None = None) -> None:
    """Let through what leads to these hosts and ports, besides what was let through before.

    ``report``: the file in which attempts are written down, those before included.
    """
    _guard.ways.update((_plain(host), port) for host, port in ways)
    if report is not None:
        _guard.book.keep_in(report.absolute())
    if _guard.armed:
        _tell_children()


@contextlib.contextmanager
def transfer(purpose: str) -> Iterator[None]:
    """Let everything through while a transfer lasts that a person asked for: a model that is pulled."""
    before, _guard.transfer = _guard.transfer, purpose
    _retell()
    try:
        yield
    finally:
        _guard.transfer = before
        _retell()


def is_armed() -> bool:
    """Whether this process is guarded."""
    return _guard.armed


# -- the hook ----------------------------------------------------------------------------------------------------------


def _hook(event: str, args: tuple[Any, ...]) -> None:
    check = _CHECKS.get(event)
    if check is None or _guard.is_inside:
        return
    check(*args)


def _lookup(host: object, port: object = None, *_: object) -> None:
    name = _text(host)
    if _is_this_machine(name) or _address(name) is not None or _is_declared(name):
        return
    _stop("lookup", name, port)


def _reverse(host: object, *_: object) -> None:
    """A look-up of an address tells it to a resolver, as one of a name does."""
    name = _text(host[0] if isinstance(host, tuple) else host)
    if _is_this_machine(name) or _is_declared(name) or _known_ports(name):
        return
    _stop("lookup", name, None)


def _connect(sock: Any, address: object) -> None:
    _reach("connect", sock, address)


def _send(sock: Any, address: object, *_: object) -> None:
    if address is not None:
        _reach("send", sock, address)


def _reach(how: How, sock: Any, address: object) -> None:
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or not isinstance(address, tuple) or len(address) < 2:
        return  # other families: see ``_new_socket``
    name, port = _text(address[0]), address[1]
    if _is_this_machine(name):
        if port not in _DNS or (name, port) in _guard.ways:
            return
    elif (name, port) in _guard.ways or port in _known_ports(name):
        return
    _stop(how, name, port)


def _new_socket(_sock: object, family: int, kind: int, *_: object) -> None:
    """Raw packets, and families that lead to other machines, have no addresses to look at."""
    family = socket.AF_INET if family == -1 else family
    if family not in _FAMILIES or (kind & 0xF == socket.SOCK_RAW and family != _NETLINK):
        _stop("socket", f"family-{int(family)}", None)


def _program(executable: object, args: object = (), *rest: object) -> None:
    """A Python must find the guard when it starts; other programs are counted, since nothing can be seen of them."""
    given = [_word(one) for one in args] if isinstance(args, list | tuple) else [_word(args)]
    name = Path(_word(executable) if executable else (given or [""])[0]).name
    if not re.fullmatch(r"python[\d.]*", name):
        if name not in _LOCAL:
            _guard.book.count("program", name, 0, stopped=False)
        return
    environment = rest[-1] if rest else None
    known: Mapping[Any, Any] = environment if isinstance(environment, Mapping) else os.environ
    told = {_word(key): _word(value) for key, value in known.items()}
    flags = []
    for flag in given[1:]:
        if not flag.startswith("-") or flag in {"-c", "-m"}:
            break
        flags.append(flag)
    if GUARDED not in told.get("PYTHONPATH", "").split(os.pathsep) or VARIABLE not in told:
        _stop("python", "without-the-guard", None)
    if any(_ALONE.fullmatch(flag) for flag in flags):
        _stop("python", "isolated", None)


def _shell(command: object) -> None:
    _program("sh", [command])


_CHECKS: Mapping[str, Callable[..., None]] = {
    "socket.getaddrinfo": _lookup,
    "socket.gethostbyname": _lookup,
    "socket.gethostbyaddr": _reverse,
    "socket.getnameinfo": _reverse,
    "socket.connect": _connect,
    "socket.sendto": _send,
    "socket.sendmsg": _send,
    "socket.__new__": _new_socket,
    "subprocess.Popen": lambda executable, args, _cwd, env: _program(executable, args, env),
    "os.posix_spawn": _program,
    "os.exec": _program,
    "os.system": _shell,
}


# -- decisions ---------------------------------------------------------------------------------------------------------


def _is_declared(name: str) -> bool:
    return any(host == name for host, _ in tuple(_guard.ways))


def _known_ports(name: str) -> set[int]:
    """Ports that are declared for the host that this address was looked up for."""
    ports, at = _guard.found.get(name, (set(), 0.0))
    return ports if time.monotonic() - at < _KEPT_S else set()


def _is_this_machine(name: str) -> bool:
    if name in {"", "localhost", os.uname().nodename.lower()}:
        return True
    address = _address(name)
    return address is not None and (address.is_loopback or address.is_unspecified or _is_own(name, address.version))


def _is_own(name: str, version: int) -> bool:
    """Whether an address is one of this machine's. What is sent there is sent from there, which needs no packet."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with _guard.inside(), contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((name, 9))
        return _plain(probe.getsockname()[0]) == name
    return False


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _word(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, str | bytes | os.PathLike) else str(value)


def _text(value: object) -> str:
    """A host as it comes, in the form in which hosts are compared."""
    if isinstance(value, bytes | bytearray):
        return _plain(bytes(value).decode("utf-8", "replace"))
    return "" if value is None else _plain(str(value))


def _plain(host: str) -> str:
    bare = host.strip("[]").partition("%")[0] if ":" in host else host.removesuffix(".")
    address = _address(bare)
    if address is None:
        return host.lower().removesuffix(".")
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _watch_names() -> None:
    """What the hook does not see in time: ``connect`` looks a name up before it is audited, ``connect_ex`` is audited
    nowhere in some releases, and which addresses a look-up found is known to its caller alone.
    """
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, _checked_first(getattr(socket.socket, name)))
    _noted("getaddrinfo", lambda found: [entry[4][0] for entry in found], _socket)
    _noted("gethostbyname", lambda found: [found], _socket, socket)
    _noted("gethostbyname_ex", lambda found: found[2], _socket, socket)


def _checked_first(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(self: Any, *args: Any) -> Any:
        if args and isinstance(args[-1], tuple) and not _guard.is_inside:
            _reach("send" if method.__name__ == "sendto" else "connect", self, args[-1])
        return method(self, *args)

    return checked


def _noted(name: str, addresses: Callable[[Any], Collection[object]], *modules: Any) -> None:
    """Put a function in the place of one of these modules that remembers what was found for declared hosts."""
    whole = getattr(_socket, name)

    @functools.wraps(whole)
    def noted(host: Any, *args: Any, **options: Any) -> Any:
        found = whole(host, *args, **options)
        _note(host, addresses(found))
        return found

    for module in modules:
        setattr(module, name, noted)


def _note(host: object, addresses: Collection[object]) -> None:
    name = _text(host)
    ports = {port for declared, port in tuple(_guard.ways) if declared == name}
    if ports:
        now = time.monotonic()
        for address in addresses:
            key = _text(address)
            _guard.found[key] = (ports | _known_ports(key), now)


# -- what was stopped --------------------------------------------------------------------------------------------------


def _stop(how: How, host: str, port: object) -> None:
    if _guard.transfer:
        return
    number = port if isinstance(port, int) else 0
    with _guard.inside():
        _guard.book.count(how, host, number, stopped=True)
    if how == "python":
        hint = "start it with the environment as it is, and without -I, -E and -S"
    elif how == "socket":
        hint = "use TCP or UDP to a declared host"
    else:
        hint = "if it is meant, declare it under [residency] also in freehold.toml: host, operator, region, purpose"
    what = {"python": f"a Python process {host}", "socket": f"a socket of {host}"}.get(how, f"{how} of {shown(host)}")
    raise EgressStopped(f"{what} was stopped: it is not declared by the house", hint=hint)


def _after_fork() -> None:
    _guard.lock, _guard.local = threading.Lock(), threading.local()
    _guard.book.after_fork()


def _retell() -> None:
    if _guard.armed:
        _tell_children()


def _tell_children() -> None:
    policy = {
        "ways": sorted(_guard.ways),
        "reports": [str(report) for report in _guard.book.reports],
        "transfer": _guard.transfer,
    }
    os.environ[VARIABLE] = json.dumps(policy)
    places = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place and place != GUARDED]
    os.environ["PYTHONPATH"] = os.pathsep.join([GUARDED, *places])
