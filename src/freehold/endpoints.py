"""Where a house goes by its settings: every endpoint with its operator, its region and what for.

``endpoints`` is the one list of them. What is not in it is stopped while the house runs (``freehold.core.egress``).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterator
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
    """Key of its address."""
    purpose: str
    sends: str
    """What it gets."""
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
    found = [one if one.is_here else _checked(one, settings) for one in _named(settings)]
    for also in settings.residency.also:
        host, port = _host_and_port(also.host, "residency.also", "the settings")
        one = Endpoint("residency.also", also.purpose, "as its purpose says", host, port, also.operator, also.region)
        found.append(one if one.is_here else _checked(one, settings))
    return tuple(found)


def _named(settings: Settings) -> Iterator[Endpoint]:
    """As the settings have them, unchecked but for the form of their URLs."""
    server, tracking = settings.server, settings.tracking
    weights = ", and weights" if tracking.artefacts else ""
    parts = (
        ("embedder", settings.embedder.kind == "openai", "makes vectors", "texts of documents and questions"),
        ("generator", settings.generator.kind == "openai", "words answers", "questions, and passages for them"),
        ("judge", settings.judge.kind == "openai", "judges answers when they are measured",
         "sentences of answers, and what they cite"),
        ("index", settings.index.kind == "qdrant", "keeps vectors", "ids, vectors and filter fields, no text"),
        ("tracking", tracking.kind != "none" and "://" in tracking.endpoint, "logs trained versions",
         f"digests, settings and figures{weights}"),
    )  # fmt: skip
    for name, used, purpose, sends in parts:
        if used:
            part = getattr(settings, name)
            key = f"{name}.endpoint"
            yield Endpoint(key, purpose, sends, *_url(key, part.endpoint), part.operator, part.region)
    if server.oidc_issuer:
        place = _url("server.oidc_issuer", server.oidc_issuer)
        sends = "nothing of documents or questions"
        yield Endpoint(
            "server.oidc_issuer", "says who is asking", sends, *place, server.oidc_operator, server.oidc_region
        )
    if server.otlp_endpoint:
        place = _url("server.otlp_endpoint", server.otlp_endpoint)
        sends = "times and counts of requests, no words"
        yield Endpoint("server.otlp_endpoint", "takes traces", sends, *place, server.otlp_operator, server.otlp_region)


_QDRANT_PORT = 6333
"""Where the URL of an index gives none."""


def _url(key: str, endpoint: str) -> tuple[str, int]:
    """Host and port."""
    is_index = key == "index.endpoint"
    try:
        url = urlsplit(endpoint)
        port = url.port or (_QDRANT_PORT if is_index else 443 if url.scheme == "https" else 80)
    except ValueError:
        url, port = urlsplit(""), 0
    if url.scheme not in {"http", "https"} or not url.hostname:
        example = "http://127.0.0.1:6333" if is_index else "http://127.0.0.1:8000/v1"
        raise SettingsError(f"{key} is not a URL", hint=f'for example {key.partition(".")[2]} = "{example}"')
    if url.username or url.password:
        raise SettingsError(f"{key} holds a secret", hint=f"use {_beside(key, 'api_key')} with a reference")
    return url.hostname, port


def _beside(key: str, name: str) -> str:
    """A key that belongs to an address's: ``generator.region``, ``server.oidc_region``."""
    return f"{key.rpartition('_')[0]}_{name}" if "_" in key else f"{key.partition('.')[0]}.{name}"


def _checked(endpoint: Endpoint, settings: Settings) -> Endpoint:
    """With its operator, which on a private address is the house's own where no other is named."""
    key, allowed, own = endpoint.setting, settings.house.regions, settings.house.operator
    region, operator = _beside(key, "region"), _beside(key, "operator")
    if not endpoint.region:
        raise SettingsError(f"{key} is off this machine and has no region", hint=f'declare {region}, for example "eu"')
    if endpoint.region not in allowed:
        raise SettingsError(
            f"{region} = {endpoint.region} is not in house.regions", hint=f"allowed: {', '.join(allowed)}"
        )
    if endpoint.operator:
        return endpoint
    if own and is_private(endpoint.host):
        return dataclasses.replace(endpoint, operator=own)
    hint = f"declare {operator}: the company or department that runs {endpoint.host}"
    if is_private(endpoint.host):
        hint += "; or house.operator, once for all that is on your own network"
    raise SettingsError(f"{key} is off this machine and has no operator", hint=hint)


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
