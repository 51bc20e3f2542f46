"""What a guarded process tried that it may not: counted, and written down in the houses that it has open.

A line names host, port and how often, never what was to be sent. Of a name its last three labels are kept: the others
can carry what was not to leave.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import sys
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

REPORT = "egress.jsonl"
"""In a house: what was stopped."""

How = Literal["lookup", "connect", "send", "socket", "python", "program"]

_MOST = 200
"""Different attempts that one process writes down; what comes beyond is counted together."""
_REPORT_BYTES = 1 << 20
_LABELS = 3
_LABEL_CHARS = 32


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one process tried, and how often."""

    at: str
    """When it was written down last, ISO 8601 in UTC."""
    process: str
    """The module it runs; ``python`` for one that a library started."""
    how: How
    host: str
    port: int
    """0 where there is none, as for a look-up."""
    count: int
    stopped: bool
    """False for a program that was only counted: nothing can be seen of what it does."""
    run: str
    """A random name of the process."""


class Book:
    """Counts of one process. For several threads."""

    def __init__(self) -> None:
        self.reports: list[Path] = []
        self._counts: dict[tuple[How, str, int, bool], int] = {}
        self._run, self._pid = "", 0
        self._lock = threading.RLock()

    def keep_in(self, report: Path) -> None:
        """Write into this file too, what was counted before included."""
        with self._lock:
            if report not in self.reports:
                self.reports.append(report)
                for key, count in self._counts.items():
                    self._write(key, count)

    def count(self, how: How, host: str, port: int, *, stopped: bool) -> None:
        """One more of this kind."""
        with self._lock:
            if self._pid != os.getpid():  # after a fork it is another process
                self._run, self._pid = os.urandom(6).hex(), os.getpid()
                self._counts.clear()
            key = (how, shown(host), port, stopped)
            if key not in self._counts and len(self._counts) >= _MOST:
                key = (how, "others", 0, stopped)
            count = self._counts[key] = self._counts.get(key, 0) + 1
            if count & (count - 1) == 0:  # at powers of two: what never ends fills no disk
                self._write(key, count)

    def after_fork(self) -> None:
        """A thread that the child has not may have held the lock."""
        self._lock = threading.RLock()

    def _write(self, key: tuple[How, str, int, bool], count: int) -> None:
        """What cannot be written is no reason to let anything through."""
        how, host, port, stopped = key
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps(asdict(Attempt(now, _process(), how, host, port, count, stopped, self._run))) + "\n"
        for path in self.reports:
            with contextlib.suppress(OSError):
                if path.exists() and path.stat().st_size > _REPORT_BYTES:
                    path.replace(_before(path))
                descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
                try:
                    os.write(descriptor, line.encode())
                finally:
                    os.close(descriptor)


def attempts(report: Path) -> list[Attempt]:
    """What the processes of a house tried, each kind of attempt of each process once, in order of time.

    A count may be up to half of what it was: it is written at powers of two.
    """
    last: dict[tuple[object, ...], Attempt] = {}
    for path in (_before(report), report):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):  # a line that a kill cut off
                one = Attempt(**json.loads(line))
                last[one.run, one.how, one.host, one.port, one.stopped] = one
    return sorted(last.values(), key=lambda one: (one.at, one.host))


def shown(host: str) -> str:
    """A host as it is told of: the last three labels of a name, each cut."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    labels = [label[:_LABEL_CHARS] for label in host.split(".")]
    return ".".join(labels) if len(labels) <= _LABELS else f"*.{'.'.join(labels[-_LABELS:])}"


def _before(report: Path) -> Path:
    return report.with_suffix(".before.jsonl")


def _process() -> str:
    """Which process of the product this is, by its module. Nothing of a command line: it may hold a question."""
    for flag, module in pairwise(sys.orig_argv):
        if flag == "-m" and module.startswith("freehold."):
            return module
    return "freehold" if "freehold.cli.main" in sys.modules else "python"
