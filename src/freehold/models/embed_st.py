"""Any model that sentence-transformers runs, on whatever device torch finds. Loaded only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from freehold.core.errors import ModelMismatch, ModelNotFound, SettingsError
from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.types import Embeddings, ModelInfo
from freehold.models.budget import check_lengths
from freehold.models.facts import ModelFacts
from freehold.models.manifest import PINS, file_sha256
from freehold.models.tokens import ModelTokenizer

if TYPE_CHECKING:
    from freehold.core.types import Float32


_WEIGHTS = ".safetensors"
_DECIDING = frozenset({_WEIGHTS, ".json", ".txt"})


class SentenceTransformersEmbedder:
    """A model folder or model id; pooling comes from the model's own modules, prefixes from ``facts``.

    Nothing is downloaded unless ``remote``: a model id then has to be in the hub's local cache already. Code that a
    repository ships is never run.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str,
        facts: ModelFacts,
        remote: bool = False,
        device: str | None = None,
        threads: int | None = None,
        batch_size: int = 16,
    ) -> None:
        """Raises SettingsError without sentence-transformers, ModelNotFound or ModelMismatch for the model."""
        hashes = _hashes(Path(model))
        self._model = _loaded(model, remote=remote, device=device)
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        self._tokenizer = _tokenizer(self._model, model)
        self._facts = facts
        self._batch_size = batch_size
        limit = min(int(self._model.max_seq_length or facts.max_tokens), facts.max_tokens)
        identity = {"files": hashes or _commit(self._model[0].auto_model.config, model), "facts": asdict(facts)}
        digest = sha256_hex(canonical_json(identity).encode())
        self._info = ModelInfo(name=name, digest=digest, dim=self._width(), max_tokens=limit)

    def _width(self) -> int:
        return int(self._vectors(["a"], tokens=False)[0].shape[1])

    @property
    def info(self) -> ModelInfo:
        """Name, digest of weights, configuration and facts, dimension and limit."""
        return self._info

    @property
    def overhead_tokens(self) -> int:
        """Special tokens and document prefix."""
        return self._overhead(self._facts.document_prefix)

    def _overhead(self, prefix: str) -> int:
        return len(self._tokenizer.head) + len(self._tokenizer.ids(prefix.strip())) + len(self._tokenizer.tail)

    def offsets(self, text: str) -> Sequence[tuple[int, int]]:
        """Spans of the tokens of ``text``, in code points."""
        return self._tokenizer.offsets(text)

    def embed_documents(
        self, texts: Sequence[str], *, tokens: bool = False, progress: Callable[[int], None] | None = None
    ) -> Embeddings:
        """See ``freehold.core.ports.Embedder``."""
        return self._embed(texts, self._facts.document_prefix, tokens, progress)

    def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embeddings:
        """As ``embed_documents`` with the query prefix."""
        return self._embed(texts, self._facts.query_prefix, tokens, None)

    def _embed(
        self, texts: Sequence[str], prefix: str, tokens: bool, progress: Callable[[int], None] | None
    ) -> Embeddings:
        counts = [len(ids) for ids in self._tokenizer.all_ids(texts)]
        check_lengths((count + self._overhead(prefix) for count in counts), self._info)
        vectors = np.empty((len(texts), self._info.dim), dtype=np.float32)
        kept: list[Float32] | None = [vectors[:0]] * len(texts) if tokens else None
        order = sorted(range(len(texts)), key=lambda i: -counts[i])
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            vectors[batch], hidden = self._vectors([prefix + texts[i] for i in batch], tokens=tokens)
            if kept is not None:
                for i, rows in zip(batch, hidden, strict=True):
                    end = len(rows) - len(self._tokenizer.tail)
                    kept[i] = rows[end - counts[i] : end].copy()
            if progress is not None:
                progress(start + len(batch))
        return Embeddings(vectors, None if kept is None else tuple(kept))

    def _vectors(self, texts: list[str], *, tokens: bool) -> tuple[Float32, list[Float32]]:
        """Rows of unit norm per text, and on request per token of the padded input without its padding."""
        encoded = self._model.encode(
            texts,
            prompt="",  # the prefix is ours already
            output_value=None if tokens else "sentence_embedding",
            batch_size=len(texts),
            show_progress_bar=False,
            convert_to_numpy=not tokens,
        )
        if not tokens:
            return _unit(encoded), []
        hidden = [_array(entry["token_embeddings"])[_array(entry["attention_mask"]) > 0] for entry in encoded]
        return _unit(np.stack([_array(entry["sentence_embedding"]) for entry in encoded])), [_unit(h) for h in hidden]


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 by path of everything in a model folder that decides its vectors; nothing for a model id."""
    if not folder.is_dir():
        return {}
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in _DECIDING}
    if not any(path.endswith(_WEIGHTS) for path in paths):
        raise ModelMismatch(
            f"{folder} holds no safetensors weights",
            hint="pickles (.bin, .pt, .pkl) can run code when loaded and are refused: convert them elsewhere",
        )
    derived = {path for path in paths if path == PINS or path.startswith("onnx/")}
    return {path: file_sha256(paths[path]) for path in paths.keys() - derived}


def _commit(config: Any, model: str) -> dict[str, str]:
    """The hub's commit, which pins the files of a model id."""
    commit = getattr(config, "_commit_hash", None)
    if commit is None:
        raise ModelMismatch(f"nothing says which revision of {model!r} this is", hint="give a local folder")
    return {model: str(commit)}


def _loaded(model: str, *, remote: bool, device: str | None) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise SettingsError("sentence-transformers is not installed", hint="pip install 'freehold[train]'") from error
    try:
        with _quietly():
            return SentenceTransformer(
                model,
                device=device,
                local_files_only=not remote,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
    except OSError as error:
        hint = "give a local folder, or declare the model remote so that it may be downloaded"
        raise ModelNotFound(f"no model {model!r} with safetensors weights on this machine", hint=hint) from error
    except (ValueError, ImportError, KeyError) as error:
        hint = "the model may need code of its own, which is never run"
        raise ModelMismatch(f"sentence-transformers cannot load {model!r}", hint=hint) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """What loads a model tells its progress, and of parts that are not used, in the midst of what others tell."""
    from transformers.utils import logging as chatty

    shown, verbosity = chatty.is_progress_bar_enabled(), chatty.get_verbosity()
    chatty.disable_progress_bar()
    chatty.set_verbosity_error()
    try:
        yield
    finally:
        chatty.set_verbosity(verbosity)
        if shown:
            chatty.enable_progress_bar()


def _tokenizer(model: Any, name: str) -> ModelTokenizer:
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelMismatch(f"{name!r} has no fast tokenizer", hint="offsets need one: convert the tokenizer first")
    model.tokenizer.split_special_tokens = True  # as ModelTokenizer: what a document says is text
    return ModelTokenizer(Tokenizer.from_str(backend.to_str()))  # a copy: ours neither cuts nor pads


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().float().numpy() if tensor.is_floating_point() else tensor.cpu().numpy()


def _unit(rows: Any) -> Float32:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)
