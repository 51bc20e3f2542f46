"""A service that answers or searches over HTTP, as a mapping in TOML says how it is spoken to."""

from __future__ import annotations

import http.client
import json
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from freehold.config import Secret
from freehold.core import egress
from freehold.core.errors import UsageError

QUESTION = "{question}"
"""Stands for the question in a mapping's body."""
MOST_BYTES = 4_000_000

Problem = Literal["unreachable", "timed out", "refused", "no JSON", "not as mapped"]

_CHAT = {"model": "{model}", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
_KEYS = {
    "": {"request", "response", "budget_ms"},
    "request": {"path", "body", "headers", "timeout_s", "model"},
    "response": {"answer", "sources", "source", "text"},
}


@dataclass(frozen=True, slots=True)
class Manner:
    """How a service is asked, and where in its reply things stand: dotted paths, numbers count places of a list."""

    path: str = "/chat/completions"
    """After the address, unless that ends in it."""
    body: Any = field(default_factory=lambda: _CHAT)
    headers: Mapping[str, Secret | str] = field(default_factory=dict)
    timeout_s: float = 60.0
    model: str = ""
    answer: str = "choices.0.message.content"
    """Empty: it gives no answer."""
    sources: str = "choices.0.message.citations"
    """A list, of names or of objects; empty: it names none."""
    source: str = "source"
    """In each object of the list, its document's name."""
    text: str = ""
    """In each object, the words that it found."""
    is_default: bool = True
    budget_ms: float = 0.0
    """What 95 of 100 replies must keep; 0: none is declared."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for a question."""

    answer: str | None = None
    """None: it gives none, or could not be asked."""
    sources: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    ms: float = 0.0
    problem: Problem | None = None

    @property
    def words(self) -> str:
        """All that it said."""
        return "\n".join((self.answer or "", *self.texts))


def read_manner(path: Path | None) -> Manner:
    """The mapping in a file, or that of OpenAI's chat protocol. Raises UsageError for what is not as it must be."""
    if path is None:
        return Manner()
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read as TOML", hint="docs/audit.md shows one") from error
    request, response = told.get("request", {}), told.get("response", {})
    for section, table in (("", told), ("request", request), ("response", response)):
        unknown = set(table) - _KEYS[section] if isinstance(table, dict) else {section}
        if unknown:
            name = f"{section}.{min(unknown)}" if section else min(unknown)
            raise UsageError(f"{path} has no use for {name}", hint=f"known there: {', '.join(sorted(_KEYS[section]))}")
    body = request.get("body", _CHAT)
    if QUESTION not in json.dumps(body):
        raise UsageError(f"request.body in {path} has no place for the question", hint=f'write "{QUESTION}" there')
    texts = {
        key: value for key, value in {**request, **response}.items() if key not in {"body", "headers", "timeout_s"}
    }
    for key, value in texts.items():
        if not isinstance(value, str):
            raise UsageError(f"{key} in {path} is no string", hint="a dotted path, such as choices.0.message.content")
    limits = {"timeout_s": request.get("timeout_s", 60.0), "budget_ms": told.get("budget_ms", 0.0)}
    for key, value in limits.items():
        if type(value) not in {int, float} or value < 0:
            raise UsageError(f"{key} in {path} is no number of at least 0", hint=f"for example {key} = 30")
    chat = Manner()
    return Manner(
        path=request.get("path", "/chat/completions"),
        body=body,
        headers={name: _header(name, value, path) for name, value in request.get("headers", {}).items()},
        timeout_s=float(limits["timeout_s"]) or 60.0,
        model=request.get("model", ""),
        answer=response.get("answer", "" if response else chat.answer),
        sources=response.get("sources", "" if response else chat.sources),
        source=response.get("source", "source"),
        text=response.get("text", ""),
        is_default=not response,
        budget_ms=float(limits["budget_ms"]),
    )


def _header(name: str, value: object, path: Path) -> Secret | str:
    if isinstance(value, dict) and len(value) == 1 and set(value) <= {"env", "file"}:
        return Secret(**value)
    if isinstance(value, str) and name.lower() not in {"authorization", "x-api-key", "api-key"}:
        return value
    hint = f'{name} = {{ env = "NAME" }} or {{ file = "PATH" }}: whole header, "Bearer ..." included'
    raise UsageError(f"header {name} in {path} must be a reference to a secret", hint=hint)


class Service:
    """Asks a service. One at a time or from several threads: it keeps nothing between two questions."""

    def __init__(self, url: str, mapping: Manner) -> None:
        """Raises UsageError for an address that is none, SettingsError for a secret that is not there."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise UsageError("--endpoint is no address", hint="for example http://127.0.0.1:8000/v1")
        ports = {"https": 443, "http": 80}
        egress.permit([(parts.hostname, parts.port or ports[parts.scheme])])  # whoever gives the address declares it
        self.mapping = mapping
        self.host, self.in_clear = parts.hostname, parts.scheme == "http"
        base = url.rstrip("/")
        self.url = base if mapping.path and base.endswith(mapping.path.rstrip("/")) else base + mapping.path
        self._headers = {
            name: value.reveal() if isinstance(value, Secret) else value for name, value in mapping.headers.items()
        }
        self._model = mapping.model or (self._first_model(base) if "{model}" in json.dumps(mapping.body) else "")

    def ask(self, question: str) -> Reply:
        """One question. What goes wrong is told in the reply, not raised."""
        body = _filled(self.mapping.body, question, self._model)
        began = time.perf_counter()
        told, problem = self._sent(self.url, json.dumps(body).encode())
        ms = (time.perf_counter() - began) * 1000
        if problem:
            return Reply(ms=ms, problem=problem)
        part = self.mapping
        answer = _at(told, part.answer) if part.answer else None
        listed = _at(told, part.sources) if part.sources else ()
        if (part.answer and not isinstance(answer, str)) or (part.sources and not _is_list(listed, part.is_default)):
            return Reply(ms=ms, problem="not as mapped")
        items = listed or ()
        names = [item if isinstance(item, str) else _at(item, part.source) for item in items]
        texts = [_at(item, part.text) for item in items if part.text and not isinstance(item, str)]
        if any(not isinstance(name, str) for name in names):
            return Reply(ms=ms, problem="not as mapped")
        return Reply(answer, tuple(dict.fromkeys(names)), tuple(text for text in texts if isinstance(text, str)), ms)

    def _first_model(self, base: str) -> str:
        """The first that the service lists; a name that any may take where it lists none."""
        told, problem = self._sent(base.removesuffix(self.mapping.path) + "/models", None)
        named = None if problem else _at(told, "data.0.id")
        return named if isinstance(named, str) else "default"

    def _sent(self, url: str, data: bytes | None) -> tuple[Any, Problem | None]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", **self._headers}
        request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 - http and https alone
        try:
            with urllib.request.urlopen(request, timeout=self.mapping.timeout_s) as reply:  # noqa: S310 - the same
                raw = reply.read(MOST_BYTES)
        except urllib.error.HTTPError:
            return None, "refused"
        except TimeoutError:
            return None, "timed out"
        except urllib.error.URLError as error:
            return None, "timed out" if isinstance(error.reason, TimeoutError) else "unreachable"
        except (OSError, http.client.HTTPException):
            return None, "unreachable"
        try:
            return json.loads(raw), None
        except ValueError:
            return None, "no JSON"


def _filled(body: Any, question: str, model: str) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, question, model) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, question, model) for value in body]
    return body.replace("{model}", model).replace(QUESTION, question) if isinstance(body, str) else body


def _at(told: Any, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    for step in path.split(".") if path else ():
        if isinstance(told, list) and step.isdigit() and int(step) < len(told):
            told = told[int(step)]
        elif isinstance(told, dict):
            told = told.get(step)
        else:
            return None
    return told


def _is_list(listed: Any, may_lack: bool) -> bool:
    """``may_lack``: plain chat services name no sources, and that is no fault of theirs."""
    return isinstance(listed, list) or (listed is None and may_lack)
