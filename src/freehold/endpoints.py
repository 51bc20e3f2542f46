"""Where a house goes by its settings: every endpoint with its operator, its region and what for.

``endpoints`` is the one list of them. What is not in it is stopped while the house runs (``freehold.core.egress``).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from freehold.core.errors import SettingsError

if TYPE_CHECKING:
    from freehold.config import Settings


@dataclass(frozen=True, slots=True)
class Declared:
    """An entry of ``residency.also``: a host that is gone to, whose it is, where it stands, and why."""

    host: str
    """With its port where that is not 443: ``keys.example:8443``."""
    operator: str
    region: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the house goes by its settings."""

    setting: str
    """The key that names it."""
    purpose: str
    host: str
    port: int
    operator: str
    """Empty on this machine."""
    region: str

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, so that nothing leaves it."""
        return is_loopback(self.host)


def endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    """Everywhere that the house may go by these settings. Raises SettingsError for what is not declared as it must be.

    Another way out belongs into this list: what is not in it is stopped while the house runs.
    """
    own, server, tracking, index = settings.house.operator, settings.server, settings.tracking, settings.index
    wanted = [
        (name, purpose, part.endpoint, part.region, part.operator)
        for name, purpose, part in (
            ("embedder", "texts become vectors", settings.embedder),
            ("generator", "answers are worded", settings.generator),
            ("judge", "answers are judged", settings.judge),
        )
        if part.kind == "openai"
    ]
    if index.kind == "qdrant":
        wanted.append(("index", "vectors are kept and searched", index.endpoint, index.region, index.operator))
    if tracking.kind != "none" and "://" in tracking.endpoint:
        purpose = "trained versions are tracked"
        wanted.append(("tracking", purpose, tracking.endpoint, tracking.region, tracking.operator))
    if server.oidc_issuer:
        purpose = "callers' tokens are checked"
        wanted.append(("server.oidc", purpose, server.oidc_issuer, server.oidc_region, server.oidc_operator))
    if server.otlp_endpoint:
        wanted.append(
            ("server.otlp", "traces are sent", server.otlp_endpoint, server.otlp_region, server.otlp_operator)
        )
    found = [
        Endpoint(name, purpose, *_url(name, url), operator, region) for name, purpose, url, region, operator in wanted
    ]
    for one in settings.residency.also:
        host, port = _host_and_port(one.host, "residency.also", "the settings")
        found.append(Endpoint("residency.also", one.purpose, host, port, one.operator, one.region))
    allowed = settings.house.regions
    return tuple(one if one.is_here else _checked_endpoint(one, allowed, own) for one in found)


_PORTS = {"index": 6333}
"""Where the URL gives none, and it is not its scheme's."""


def _url(name: str, endpoint: str) -> tuple[str, int]:
    """Host and port."""
    key, separator = (name, "_") if "." in name else (name, ".")
    try:
        url = urlsplit(endpoint)
        port = url.port or _PORTS.get(name) or (443 if url.scheme == "https" else 80)
    except ValueError:
        url, port = urlsplit(""), 0
    if url.scheme not in {"http", "https"} or not url.hostname:
        example = "http://127.0.0.1:6333" if name == "index" else "http://127.0.0.1:8000/v1"
        raise SettingsError(f"{key}{separator}endpoint is not a URL", hint=f'for example endpoint = "{example}"')
    if url.username or url.password:
        raise SettingsError(
            f"{key}{separator}endpoint holds a secret", hint=f"use {key}{separator}api_key with a reference"
        )
    return url.hostname, port


def _checked_endpoint(endpoint: Endpoint, allowed: tuple[str, ...], own: str) -> Endpoint:
    """With its operator, which on a private address is the house's own where no other is named."""
    name = endpoint.setting
    separator = "_" if name.startswith("server.") else "."
    if not endpoint.region:
        raise SettingsError(
            f"{name}{separator}endpoint is off this machine and has no region",
            hint=f'declare {name}{separator}region, for example "eu"',
        )
    if endpoint.region not in allowed:
        raise SettingsError(
            f"{name}{separator}region = {endpoint.region} is not in house.regions",
            hint=f"allowed: {', '.join(allowed)}",
        )
    if endpoint.operator:
        return endpoint
    if own and is_private(endpoint.host):
        return dataclasses.replace(endpoint, operator=own)
    hint = f"declare {name}{separator}operator: the company or department that runs {endpoint.host}"
    if is_private(endpoint.host):
        hint += "; or house.operator, once for all that is on your own network"
    raise SettingsError(f"{name}{separator}endpoint is off this machine and has no operator", hint=hint)


def read_declared(raw: object, key: str, at: str) -> tuple[Declared, ...]:
    """The entries of a list as TOML has them. Raises SettingsError."""
    example = f'{key.partition(".")[2]} = [{{ host = "...", operator = "...", region = "eu", purpose = "..." }}]'
    names = {f.name for f in dataclasses.fields(Declared)}
    entries = [dataclasses.asdict(one) if isinstance(one, Declared) else one for one in _listed(raw)]
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != names or not all(_is_said(value) for value in entry.values()):
            raise SettingsError(
                f"an entry of {key} at {at} does not say host, operator, region and purpose", hint=f"write {example}"
            )
        _host_and_port(entry["host"], key, at)
    return tuple(Declared(**entry) for entry in entries)


def _listed(raw: object) -> list[Any]:
    return list(raw) if isinstance(raw, list | tuple) else [raw]


def _is_said(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _host_and_port(host: str, key: str, at: str) -> tuple[str, int]:
    try:
        url = urlsplit(f"//{host}")
        name, port = url.hostname or "", url.port or 443
    except ValueError:
        url, name, port = urlsplit(""), "", 0
    if not re.fullmatch(r"[\w.:-]+", name) or url.path or url.query or url.username:
        raise SettingsError(
            f"host = {host!r} of {key} at {at} is no host", hint='for example host = "keys.example:8443"'
        )
    return name, port


_PRIVATE = (".local", ".internal", ".lan", ".home.arpa", ".localdomain", ".intranet", ".corp", ".svc", ".cluster.local")


def is_private(host: str) -> bool:
    """Whether a host is on a network of one's own: a private address, a name without a dot or one used only inside."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.lower().endswith(_PRIVATE)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
