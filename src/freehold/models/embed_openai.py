"""Embeddings from any server that speaks the OpenAI protocol: vLLM, TEI and others.

Standard library only. Connections are direct (proxy variables are not read), redirects are not followed, and bodies of
failed requests are never quoted in an error: servers like to echo the input in them.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from freehold.core.errors import EndpointFault, SettingsError
from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.types import Embeddings, ModelInfo
from freehold.models.budget import check_lengths
from freehold.models.facts import ModelFacts
from freehold.models.tokens import ModelTokenizer

if TYPE_CHECKING:
    from freehold.core.types import Float32

ATTEMPTS = 4
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 20.0

_TRANSIENT = {408, 429, 500, 502, 503, 504}
# Common vocabularies make one token of three Latin letters and more, but of every letter of Chinese or Thai.
_PIECE = re.compile(r"[^\W\u0250-\U0010ffff]{1,3}|\S")


class OpenAIEmbedder:
    """An ``Embedder`` over ``POST {base_url}/embeddings``.

    Token counts are the model's own where its ``tokenizer`` is given. Without, they are an estimate on the high side:
    every three Latin letters or digits of a word, and every other character, count as a token.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        facts: ModelFacts,
        api_key: str | None = None,
        tokenizer: ModelTokenizer | None = None,
        dim: int | None = None,
        batch_size: int = 32,
        timeout_s: float = 30.0,
    ) -> None:
        """``dim`` is checked in every reply; None asks the endpoint once, when first needed.

        A request that fails in a way that may pass is tried again, four times in all, each within ``timeout_s``.
        """
        url = urlsplit(base_url)
        if url.scheme not in {"http", "https"} or not url.hostname or url.username:
            raise SettingsError("not an http(s) address", hint="set embedder.endpoint to the address ending in /v1")
        if not model:
            raise SettingsError("no model named for the endpoint", hint="set embedder.model to a name the server lists")
        self._url = base_url.rstrip("/") + "/embeddings"
        self._host = url.netloc
        self._model = model
        self._facts = facts
        self._api_key = api_key
        self._tokenizer = tokenizer
        self._dim = dim
        self._batch_size = batch_size
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    @cached_property
    def info(self) -> ModelInfo:
        """Raises EndpointFault when the dimension has to be asked for and the endpoint does not answer."""
        dim = self._dim or self._reply(["dimension"]).shape[1]
        identity = {"model": self._model, "dim": dim, "facts": asdict(self._facts)}
        digest = sha256_hex(canonical_json(identity).encode())
        return ModelInfo(name=self._model, digest=digest, dim=dim, max_tokens=self._facts.max_tokens)

    @cached_property
    def overhead_tokens(self) -> int:
        """Special tokens (two, where the tokenizer is not known) and document prefix."""
        return self._specials + len(self.offsets(self._facts.document_prefix))

    @property
    def _specials(self) -> int:
        return 2 if self._tokenizer is None else len(self._tokenizer.head) + len(self._tokenizer.tail)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Spans of the tokens of ``text``, in code points; without a tokenizer, of the pieces counted as tokens."""
        if self._tokenizer is not None:
            return self._tokenizer.offsets(text)
        return [match.span() for match in _PIECE.finditer(text)]

    def embed_documents(
        self, texts: Sequence[str], *, tokens: bool = False, progress: Callable[[int], None] | None = None
    ) -> Embeddings:
        """See ``freehold.core.ports.Embedder``. Raises SettingsError for ``tokens``, EndpointFault for the endpoint."""
        return self._embed(texts, self._facts.document_prefix, tokens, progress)

    def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embeddings:
        """As ``embed_documents`` with the query prefix."""
        return self._embed(texts, self._facts.query_prefix, tokens, None)

    def _embed(
        self, texts: Sequence[str], prefix: str, tokens: bool, progress: Callable[[int], None] | None
    ) -> Embeddings:
        if tokens:
            raise SettingsError(
                "an endpoint gives no token vectors", hint='set reranker.kind = "none", or embedder.kind = "onnx"'
            )
        overhead = self._specials + len(self.offsets(prefix))
        check_lengths((len(self.offsets(text)) + overhead for text in texts), self.info)
        vectors = np.empty((len(texts), self.info.dim), dtype=np.float32)
        for start in range(0, len(texts), self._batch_size):
            batch = [prefix + text for text in texts[start : start + self._batch_size]]
            vectors[start : start + len(batch)] = self._vectors(batch)
            if progress is not None:
                progress(start + len(batch))
        return Embeddings(vectors)

    def _vectors(self, batch: list[str]) -> Float32:
        vectors = self._reply(batch)
        if vectors.shape[1] != self.info.dim:
            raise EndpointFault(
                f"{self._host} answered with vectors that are not of dimension {self.info.dim}",
                hint="the model behind the endpoint is another one: check embedder.model",
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(norms).all() and (norms > 0).all()):
            raise EndpointFault(f"{self._host} answered with vectors of no direction", hint="look at the server's log")
        return np.asarray(vectors / norms, dtype=np.float32)

    def _reply(self, batch: list[str]) -> Float32:
        """One row of numbers per text, in order, all of the same length."""
        body = json.dumps({"model": self._model, "input": batch, "encoding_format": "float"}).encode()
        try:
            data = json.loads(self._posted(body))["data"]
            rows = [entry["embedding"] for entry in sorted(data, key=lambda entry: entry["index"])]
            vectors = np.array(rows, dtype=np.float32)
            if vectors.ndim != 2 or len(vectors) != len(batch):
                raise ValueError("not one row of numbers per text")
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise EndpointFault(
                f"{self._host} did not answer with embeddings", hint="is embedder.endpoint the address ending in /v1?"
            ) from None  # the reply may echo the input, and some of these errors quote it
        return vectors

    def _posted(self, body: bytes) -> bytes:
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._post(body)
            except _Transient as fault:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(min(fault.pause_s or pause_s, LONGEST_PAUSE_S))
                pause_s *= 2
        raise AssertionError  # the last attempt returns or raises

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        request = urllib.request.Request(self._url, body, headers)  # noqa: S310  # it was checked when opened
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            raise self._refused(error.code, error.headers.get("Retry-After")) from None  # its body may echo the input
        except (OSError, HTTPException) as error:
            raise _Transient(
                f"{self._host} cannot be reached or broke off", hint="is the server running at embedder.endpoint?"
            ) from error

    def _refused(self, status: int, retry_after: str | None) -> EndpointFault:
        hint = "look at the server's log"
        if status in {401, 403}:
            hint = "look at embedder.api_key"
        if status == 404:
            hint = "look at embedder.endpoint, which ends in /v1, and embedder.model"
        message = f"{self._host} answered {status}"
        if status not in _TRANSIENT:
            return EndpointFault(message, hint=hint)
        fault = _Transient(message, hint=hint)
        fault.pause_s = float(retry_after) if retry_after and retry_after.isdigit() else None
        return fault


class _Transient(EndpointFault):
    """A failure that may pass."""

    pause_s: float | None = None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Texts go to the address in the settings and nowhere else."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None
