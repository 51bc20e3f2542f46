"""The crew: the models that serve a house together, opened when first needed.

Which they are says a lineup of the registry; a role without a version is as the settings say. A crew never changes:
when another lineup comes into force, the house takes another crew on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from freehold.config import Settings
from freehold.core.errors import HouseMismatch, SettingsError
from freehold.core.machine import share
from freehold.core.ports import Embedder, Reranker, TokenCodec
from freehold.core.training import ModelVersion, Role
from freehold.journeys.rerank import TextReranker, TokenReranker
from freehold.models.adapt import AdaptedEmbedder, read_adapter
from freehold.models.cross_encoder import open_cross_encoder
from freehold.models.embed import open_embedder
from freehold.models.facts import facts_for
from freehold.models.rerank import LateInteraction
from freehold.store.shelf import HouseShelf


class Crew:
    """Embedder, adapter and reranker of one lineup. Not safe for use by several threads while it opens a model."""

    def __init__(
        self,
        settings: Settings,
        versions: Mapping[Role, ModelVersion],
        *,
        shelf: HouseShelf,
        folder_of: Callable[[str], Path],
        lender: Crew | None = None,
    ) -> None:
        """``settings`` are the file's; ``folder_of`` gives the checked folder of a version by its id.

        ``lender``: another crew, whose models that serve here too are not opened anew.
        """
        self.file_settings = settings
        self.versions = versions
        self.settings = _in_force(settings, versions)
        self._shelf = shelf
        self._folder_of = folder_of
        if lender is not None:
            self._borrow(lender)

    def _borrow(self, lender: Crew) -> None:
        same = lender.file_settings.embedder == self.file_settings.embedder
        if same and lender.versions.get("embedder") == self.versions.get("embedder") and "encoder" in lender.__dict__:
            self.__dict__["encoder"] = lender.encoder
        own = lender.versions.get("reranker")
        if own is not None and own == self.versions.get("reranker") and "token_encoder" in lender.__dict__:
            self.__dict__["token_encoder"] = lender.token_encoder

    def serve_with(self, other: Crew) -> None:
        """Take over another house's encoder and adapter, which must be the ones that this house was made with."""
        self.__dict__["encoder"] = other.encoder
        self.__dict__["embedder"] = other.embedder

    @property
    def model(self) -> str:
        """What the encoder opens by: a packaged name, a model id, or the folder of a version."""
        version = self.versions.get("embedder")
        return str(self._folder_of(version.id)) if version else self.file_settings.embedder_model

    @cached_property
    def encoder(self) -> Embedder:
        """Makes the documents' vectors. Raises HouseMismatch where a live version stands on another model."""
        part, version = self.file_settings.embedder, self.versions.get("embedder")
        threads = part.threads or None
        if version is None:
            return open_embedder(
                part.kind,
                self.file_settings.embedder_model,
                threads=threads,
                base_url=part.endpoint,
                api_key=part.api_key.reveal() if part.api_key else None,
                timeout_s=part.timeout_s,
            )
        if version.base != self.file_settings.embedder_model:
            raise HouseMismatch(
                f"model version {version.id[:8]} serves, made of {version.base}; the settings name another embedder",
                hint="set embedder.model back, or freehold models rollback",
                refs=(version.id,),
            )
        return self._version_encoder(version, threads)

    def _version_encoder(self, version: ModelVersion, threads: int | None) -> Embedder:
        folder = self._folder_of(version.id)
        name = f"{Path(version.base).name}/{version.id[:8]}"
        return open_embedder("onnx", str(folder), name=name, facts=facts_for(version.base, folder), threads=threads)

    @cached_property
    def embedder(self) -> Embedder:
        """The encoder, with the adapter before its queries where one is live."""
        version = self.versions.get("adapter")
        if version is None:
            return self.encoder
        weight, bias = read_adapter(self._folder_of(version.id))
        return AdaptedEmbedder(self.encoder, weight, bias, name=version.id[:8], digest=version.digest)

    @property
    def gives_tokens(self) -> bool:
        """Whether the encoder gives token vectors: an endpoint gives none."""
        return self.file_settings.embedder.kind != "openai" or "embedder" in self.versions

    @cached_property
    def codec(self) -> TokenCodec | None:
        """What the encoder's token vectors are kept with, where the settings want late interaction over them."""
        part = self.file_settings.reranker
        if part.kind != "late-interaction" or part.model or not self.gives_tokens:
            return None
        return LateInteraction(dim=self.encoder.info.dim)

    @cached_property
    def token_encoder(self) -> Embedder | None:
        """The late-interaction reranker's own encoder, where it has one."""
        version, part = self.versions.get("reranker"), self.file_settings.reranker
        threads = self.file_settings.embedder.threads or None
        if version is not None:
            return self._version_encoder(version, threads) if version.kind == "late-interaction" else None
        if part.kind == "late-interaction" and part.model:
            return open_embedder("onnx", part.model, threads=threads)
        return None

    @cached_property
    def token_codec(self) -> TokenCodec | None:
        """What the vectors of ``token_encoder`` are kept with."""
        return LateInteraction(dim=self.token_encoder.info.dim) if self.token_encoder else None

    @cached_property
    def reranker(self) -> Reranker | None:
        """The reranker in force; None where the settings want none or the embedder cannot."""
        version, part = self.versions.get("reranker"), self.file_settings.reranker
        if version is not None and version.kind == "cross-encoder":
            return self._text_reranker(self._folder_of(version.id), name=version.id[:8])
        if version is None and part.kind == "none":
            return None
        if self.token_encoder and self.token_codec:
            maker = self.token_encoder.info.digest
            return TokenReranker(self._shelf, self.token_codec, maker=maker, encoder=self.token_encoder)
        if part.kind == "cross-encoder":
            if not part.model:
                hint = "name a folder or a packaged model in reranker.model, or promote a tuned one"
                raise SettingsError('reranker.kind = "cross-encoder" has no model', hint=hint)
            return self._text_reranker(part.model, name=part.model)
        if self.codec is None:
            return None
        return TokenReranker(self._shelf, self.codec, maker=self.encoder.info.digest)

    def _text_reranker(self, model: str | Path, *, name: str) -> Reranker:
        threads = self.file_settings.embedder.threads or share()
        return TextReranker(self._shelf, open_cross_encoder(model, name=name, threads=threads))


def _in_force(settings: Settings, versions: Mapping[Role, ModelVersion]) -> Settings:
    """The settings with what was fitted for the versions that serve; what was fitted last counts."""
    for version in sorted(versions.values(), key=lambda version: version.created):
        if version.serving:
            settings = settings.with_values(version.serving, origin=f"model version {version.id[:8]}")
    return settings
