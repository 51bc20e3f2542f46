"""Answers from any server that speaks the OpenAI chat protocol: vLLM first, also TGI, llama.cpp and others.

Standard library only. Connections are direct (proxy variables are not read), redirects are not followed, and bodies of
failed requests are never quoted in an error: servers like to echo the prompt in them.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from freehold.core.errors import CutShort, EndpointFault, SettingsError, TimedOut
from freehold.core.types import Passage
from freehold.models.generate import ANSWER_TOKENS, messages, spoken

ATTEMPTS = 4
FIRST_PAUSE_S = 0.25
LOOKUP_TIMEOUT_S = 10.0
BYTES_PER_TOKEN = 2
"""Upper estimate where a server cannot count: the dearest text measured, German tables in an English tokenizer, took
2.1 UTF-8 bytes a token; prose takes 2.4 to 4.5."""

_CONTEXT = re.compile(rb"context[ _](?:length|size|window)|exceed_context|max_model_len", re.IGNORECASE)
_TRANSIENT = {429, 500, 502, 503, 504}
_UNSERVED = {404, 405, 422, 501}
"""No such path, or one that reads another body: asking again is of no use."""

_WHOLE = {"stop", "eos_token", "stop_sequence"}
"""Reasons to finish that mean the model was done; the last two are TGI's."""

_SENTENCE_END = re.compile(r"(?:(?<=\w{4}|\W\d{3})\.|[!?…])[\"'”’»)\]*]*(?=\s)|\n")
"""Sure ends only: "Art." and "3." go on, and what is held back is merely shown later."""


class _Transient(EndpointFault):
    """A failure that may pass: worth another try as long as nothing has been said yet."""

    pause_s: float | None = None


class _Unserved(EndpointFault):
    """A path that this server does not have."""


class OpenAIGenerator:
    """A ``Generator`` over ``POST {base_url}/chat/completions``, streaming, temperature 0.

    A failure that may pass (no connection, 429, 5xx, a stream that breaks before its first token) is tried again up to
    four times in all, with doubling pauses or as ``Retry-After`` says, within the caller's ``timeout_s``.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        context_tokens: int | None = None,
        answer_tokens: int = ANSWER_TOKENS,
    ) -> None:
        # The address is not quoted: it may hold a key.
        url = urlsplit(base_url)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise SettingsError(
                "base_url is not an http(s) address", hint="set base_url to the server's address ending in /v1"
            )
        if "@" in url.netloc:
            raise SettingsError("base_url holds a user name or a key", hint="take it out and give the key as api_key")
        if not model:
            raise SettingsError("no model named for the endpoint", hint="set model to a name the server lists")
        self._url = url
        self._model = model
        self._api_key = api_key
        self._context_tokens = context_tokens
        self._answer_tokens = answer_tokens
        self._can_count = True
        self.usage: Mapping[str, int] = {}
        """Prompt and completion tokens of the last answer as the server counted them; empty where it did not say."""

    @property
    def name(self) -> str:
        return self._model

    @property
    def context_tokens(self) -> int:
        """The setting, else what the server states for the model. Raises SettingsError where it states nothing."""
        if self._context_tokens is None:
            self._context_tokens = self._stated_context()
        return self._context_tokens

    def count_tokens(self, text: str) -> int:
        """The server's own count (``/tokenize`` of vLLM and llama.cpp), else an upper estimate of bytes / 2."""
        if self._can_count:
            # vLLM reads ``prompt``, llama.cpp ``content``.
            body = {"model": self._model, "prompt": text, "content": text, "add_special_tokens": False}
            try:
                reply = self._json("POST", self._root + "/tokenize", body)
                return int(reply["count"]) if "count" in reply else len(reply["tokens"])
            except _Unserved:
                self._can_count = False
            except (EndpointFault, KeyError, TypeError, ValueError):
                pass
        return -(-len(text.encode("utf-8")) // BYTES_PER_TOKEN)

    def generate(self, question: str, passages: Sequence[Passage], *, timeout_s: float) -> Iterator[str]:
        """See ``Generator.generate``: whole sentences; where the model is stopped in one, that one is left out.

        ``usage`` is set when the stream has ended.
        """
        self.usage = {}
        held = ""
        for piece in spoken(self.chat(messages(question, passages), timeout_s=timeout_s)):
            held += piece
            end = max((match.end() for match in _SENTENCE_END.finditer(held)), default=0)
            if held[:end].strip():
                yield held[:end]
                held = held[end:]
        if held:
            yield held

    def chat(self, chat: Sequence[Mapping[str, str]], *, timeout_s: float) -> Iterator[str]:
        """The model's words to a chat of ``role`` and ``content``, as they come and with nothing taken out.

        Raises EndpointFault as ``generate`` does; CutShort behind the words that came before it was stopped.
        """
        deadline = time.monotonic() + timeout_s
        started = False
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                for piece in self._stream(chat, deadline):
                    started = True
                    yield piece
                return
            except _Transient as fault:
                wait_s = pause_s if fault.pause_s is None else fault.pause_s
                if started or attempt == ATTEMPTS or time.monotonic() + wait_s >= deadline:
                    raise
            time.sleep(wait_s)
            pause_s *= 2

    def _stream(self, chat: Sequence[Mapping[str, str]], deadline: float) -> Iterator[str]:
        body = {
            "model": self._model,
            "messages": list(chat),
            "temperature": 0,
            "max_tokens": self._answer_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        exchange = _Exchange(self, "POST", self._url.path.rstrip("/") + "/chat/completions", body, deadline)
        with exchange as events:
            reason = None
            for event in events.events():
                self._note_usage(event)
                for choice in event.get("choices") or ():
                    reason = choice.get("finish_reason") or reason
                    piece = (choice.get("delta") or {}).get("content")
                    if piece:
                        yield piece
        if reason is None:
            raise _Transient(f"the stream from {self.address} was cut before its end", hint="look at the server's log")
        if reason not in _WHOLE:
            raise CutShort(
                f"{self._model} was stopped before it was done",
                hint="raise generator.answer_tokens"
                + ("" if reason == "length" else ", or look at the server's content filter"),
            )

    def _note_usage(self, event: Mapping[str, Any]) -> None:
        usage = event.get("usage")
        if isinstance(usage, dict):
            self.usage = {key: usage[key] for key in ("prompt_tokens", "completion_tokens") if key in usage}

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return self._url.netloc

    @property
    def _root(self) -> str:
        return self._url.path.rstrip("/").removesuffix("/v1")

    def _stated_context(self) -> int:
        for entry in self._models():
            stated = entry.get("max_model_len") or (entry.get("meta") or {}).get("n_ctx")
            if entry.get("id") == self._model and stated:
                return int(stated)
        raise SettingsError(
            f"{self.address} does not state the context size of {self._model}", hint="set context_tokens"
        )

    def _models(self) -> list[dict[str, Any]]:
        reply = self._json("GET", self._url.path.rstrip("/") + "/models", None)
        return [entry for entry in reply.get("data") or () if isinstance(entry, dict)]

    def served(self) -> tuple[str, ...]:
        """Names of the models that the server lists; empty where it cannot be asked."""
        try:
            return tuple(str(entry.get("id")) for entry in self._models())
        except EndpointFault:
            return ()

    def _json(self, method: str, path: str, body: object) -> dict[str, Any]:
        with _Exchange(self, method, path, body, time.monotonic() + LOOKUP_TIMEOUT_S) as exchange:
            return _object(exchange.read(), self.address)

    def headers(self) -> dict[str, str]:
        """Request headers, the key among them: never logged, never part of an error."""
        key = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        return {"Content-Type": "application/json", "Accept": "text/event-stream, application/json", **key}

    def connect(self, timeout_s: float) -> http.client.HTTPConnection:
        """An unopened connection to the server."""
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=timeout_s)

    def fault(self, status: int, body: bytes, retry_after: str | None) -> EndpointFault:
        """What a reply other than 200 means, in words for the person who runs the server."""
        if status in _TRANSIENT:
            fault = _Transient(
                f"{self.address} answered {status}",
                hint="the server is overloaded or failing: look at its log" if status != 429 else "too many requests",
            )
            fault.pause_s = float(retry_after) if retry_after and retry_after.isdigit() else None
            return fault
        if status in {401, 403}:
            return EndpointFault(f"{self.address} refused the key ({status})", hint="check api_key in freehold.toml")
        if status == 404:
            names = ", ".join(self.served()) or "none that could be listed"
            return _Unserved(
                f"{self.address} does not serve {self._model} (404)",
                hint=f"models it lists: {names}; base_url ends in /v1",
            )
        if _CONTEXT.search(body):
            return EndpointFault(
                f"the prompt is longer than the context of {self._model} at {self.address} ({status})",
                hint="set context_tokens to the size the server really has",
            )
        kind = _Unserved if status in _UNSERVED else EndpointFault
        return kind(f"{self.address} answered {status}", hint="look at the server's log for the reason")


class _Exchange:
    """One request and its reply, as a context manager; every wait ends at ``deadline`` (monotonic seconds)."""

    def __init__(self, peer: OpenAIGenerator, method: str, path: str, body: object, deadline: float) -> None:
        self._peer = peer
        self._request = (method, path, None if body is None else json.dumps(body).encode())
        self._deadline = deadline

    def __enter__(self) -> _Exchange:
        self._connection = self._peer.connect(self._left_s())
        try:
            self._open()
        except BaseException:
            self._connection.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._reply.close()
        self._socket.close()
        self._connection.close()

    def _open(self) -> None:
        peer, (method, path, body) = self._peer, self._request
        try:
            self._connection.connect()
            # A reply that ends with its connection takes the socket over: keep hold of it for the deadline.
            self._socket = self._connection.sock
            self._connection.request(method, path, body, peer.headers())
            self._socket.settimeout(self._left_s())
            self._reply = self._connection.getresponse()
            if self._reply.status != 200:
                raise peer.fault(self._reply.status, self._reply.read(65536), self._reply.getheader("Retry-After"))
        except TimeoutError as error:
            raise self._late() from error
        except ssl.SSLError as error:
            raise EndpointFault(
                f"no trusted connection to {peer.address}", hint="install the server's certificate authority"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Transient(
                f"no connection to {peer.address} ({type(error).__name__})",
                hint="is the server running, and is base_url its address?",
            ) from error

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self._blocks())

    def events(self) -> Iterator[dict[str, Any]]:
        """The JSON objects of a server-sent event stream, up to ``[DONE]`` or the end of the body."""
        for line in self._lines():
            if not line.startswith(b"data:"):
                continue
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return
            event = _object(data, self._peer.address)
            if "error" in event:
                raise EndpointFault(f"{self._peer.address} failed while answering", hint="look at the server's log")
            yield event

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for block in self._blocks():
            *lines, rest = (rest + block).split(b"\n")
            yield from lines
        yield rest

    def _blocks(self) -> Iterator[bytes]:
        try:
            while True:
                self._socket.settimeout(self._left_s())
                block = self._reply.read1(65536)
                if not block:
                    return
                yield block
        except TimeoutError as error:
            raise self._late() from error
        except (OSError, http.client.HTTPException) as error:
            raise _Transient(
                f"the stream from {self._peer.address} was cut", hint="look at the server's log"
            ) from error

    def _left_s(self) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise self._late()
        return left_s

    def _late(self) -> TimedOut:
        return TimedOut(
            f"{self._peer.address} did not finish in time", hint="raise timeout_s, or give the server a smaller model"
        )


def _object(data: bytes, address: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        # ``from None``: a decoding error carries the text it failed on.
        raise EndpointFault(
            f"{address} answered something that is not JSON ({type(error).__name__})",
            hint="is base_url an OpenAI-style server?",
        ) from None
    if not isinstance(value, dict):
        raise EndpointFault(f"{address} answered JSON of another shape", hint="is base_url an OpenAI-style server?")
    return value
