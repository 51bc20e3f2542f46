"""The indexes of a house: one for each encoder that made vectors of its chunks, of which one is open to be searched.

That of the founding encoder lies at ``index/``, those of tuned ones beside its generations, named by their digest. What
the house keeps of those on a Qdrant server lies in ``qdrant/``, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.config import IndexSettings
from freehold.core.errors import EngineFault, FreeholdError, HouseBusy, StorageFault, UsageError
from freehold.core.files import shred_tree
from freehold.core.ports import IndexGenerations, VectorIndex
from freehold.core.types import GenerationInfo
from freehold.crew import Crew
from freehold.index.generations import Generations
from freehold.index.record import CURRENT
from freehold.journeys.fill import fill
from freehold.journeys.ingest import Progress
from freehold.journeys.sync import Begun, maker, sync, weed
from freehold.store.lock import writer_lock
from freehold.store.shelf import HouseShelf
from freehold.text.terms import TermAnalyzer

if TYPE_CHECKING:
    from freehold.index.qdrant_server import Server

EMBEDDED, SERVED = "index", "qdrant"
"""Folders of a house, by where the vectors lie."""
Work = Callable[[], None]
"""What is done while something else is waited for."""


class Indexes:
    """Brings indexes up to the catalog and opens them. Not safe for use by several threads at once."""

    def __init__(
        self, root: Path, shelf: HouseShelf, terms: TermAnalyzer, settings: IndexSettings, *, house: str = ""
    ) -> None:
        """``root``: the house's folder; ``house``: its name, for whoever looks after a server."""
        self._root, self._shelf, self._terms = root, shelf, terms
        self._settings, self._house = settings, house
        self._top = root / (SERVED if settings.kind == "qdrant" else EMBEDDED)
        self._open: VectorIndex | None = None
        self._opened: GenerationInfo | None = None
        self._begun: Begun | None = None

    @property
    def served(self) -> bool:
        """Whether a server keeps vectors of the house, or did and was never told to drop them."""
        return self._settings.kind == "qdrant" or (self._root / SERVED).exists()

    def of(self, digest: str) -> IndexGenerations:
        """The generations that hold vectors of one encoder."""
        return self._at(self._place(digest))

    def _at(self, place: Path) -> IndexGenerations:
        part = self._settings
        if part.kind == "qdrant-edge":
            return Generations(place, hnsw_ef=part.hnsw_ef)
        from freehold.index.qdrant_generations import ServerGenerations

        return ServerGenerations(
            place,
            self._server,
            house=self._house,
            hnsw_ef=part.hnsw_ef,
            shards=part.shards,
            replicas=part.replicas,
        )

    @cached_property
    def _server(self) -> Server:
        from freehold.index.qdrant_server import Server

        part = self._settings
        key = part.api_key.reveal() if part.api_key else None
        return Server.connect(part.endpoint, api_key=key, timeout_s=part.timeout_s)

    def _place(self, digest: str) -> Path:
        founding = self._shelf.fact("embedder")
        return self._top if digest in {founding, ""} or not founding else self._top / digest[:16]

    def current(self, crew: Crew, *, level: bool = True) -> VectorIndex:
        """The crew's index, open, brought up to the catalog first where a crash left it behind and ``level`` is set.

        Raises UsageError while there is nothing in it, HouseBusy where another process is making the first one.
        """
        busy: HouseBusy | None = None
        generations = self.of(crew.encoder.info.digest)
        current = generations.current()
        if level and (current is None or not self._is_level(current, crew)):
            try:
                with writer_lock(self._root):
                    self.sync(crew, _silent)
            except HouseBusy as error:  # a writer at work will sync by itself; the generation before answers till then
                busy = error
            current = generations.current()
        if current is None:
            hint = f"freehold --house {self._root} ingest PATH"
            raise busy or UsageError("the house holds no documents yet", hint=hint)
        if self._open is None or self._opened != current:
            self.close()
            self._open = self._opened_or_rebuilt(generations, crew)
            self._opened = generations.current()
        return self._open

    def _opened_or_rebuilt(self, generations: IndexGenerations, crew: Crew) -> VectorIndex:
        """The current generation, made anew from the catalog where its files are damaged."""
        try:
            return generations.open_current()
        except (EngineFault, StorageFault):
            with writer_lock(self._root):
                self.sync(crew, _silent, rebuild=True)
            return generations.open_current()

    def _is_level(self, generation: GenerationInfo, crew: Crew) -> bool:
        """Whether it holds what the catalog does."""
        made_by = maker(crew.encoder.info, self._terms)
        return (generation.revision, generation.embedder_digest) == (self._shelf.revision, made_by)

    def is_ready(self, crew: Crew) -> bool:
        """Whether ``prepare`` has made all that the crew needs."""
        generation = self.of(crew.encoder.info.digest).current()
        if generation is None or not self._is_level(generation, crew):
            return False
        own = crew.token_encoder
        return own is None or not self._shelf.unmade(own.info.digest, dense=False, codes=True)

    def prepare(self, crew: Crew, progress: Progress) -> None:
        """Make all that a crew needs to serve, beside what serves: vectors, token codes, a generation of the index.

        For the one writer; killed, it goes on where it was.
        """
        fill(self._shelf, crew.encoder, crew.codec, progress=progress)
        self._fill_tokens(crew, progress)
        self._level(crew, progress)

    def sync(self, crew: Crew, progress: Progress, *, rebuild: bool = False, meanwhile: Work = lambda: None) -> None:
        """Bring the index of the crew that serves up to the catalog, and take what is gone out of all others.

        For the one writer. ``meanwhile`` is called in any case, while the index is made whole where something changed.
        """
        self.close()  # a generation that is held open cannot be removed, and neither can what it forgot
        self._fill_tokens(crew, progress)
        if "embedder" in crew.versions:  # what was committed before it came into force has vectors of another encoder
            fill(self._shelf, crew.encoder, crew.codec, progress=progress)
        self._level(crew, progress, rebuild, meanwhile)
        for digest in self._shelf.makers() - {crew.encoder.info.digest}:
            weed(self._shelf, self.of(digest), digest=digest, terms=self._terms, progress=progress)

    @contextmanager
    def begun(self, digest: str) -> Iterator[None]:
        """Within, the next generation of an encoder's index is on its way: what ``sync`` needs of the one before is
        copied and listed by then. For the one writer, who will surely sync.
        """
        generations = self.of(digest)
        try:
            base = generations.current()
            # What a server keeps is copied only once it is known what is left out.
            if base and self._settings.kind == "qdrant-edge":
                self._begun = Begun(generations, base)
        except FreeholdError:  # which sync will meet, and tell
            self._begun = None
        try:
            yield
        finally:
            self._end_begun()

    def _end_begun(self) -> None:
        begun, self._begun = self._begun, None
        if begun:
            begun.close()

    def _fill_tokens(self, crew: Crew, progress: Progress) -> None:
        if crew.token_encoder:
            fill(self._shelf, crew.token_encoder, crew.token_codec, dense=False, progress=progress)

    def _level(self, crew: Crew, progress: Progress, rebuild: bool = False, meanwhile: Work = lambda: None) -> None:
        sync(
            self._shelf,
            self.of(crew.encoder.info.digest),
            model=crew.encoder.info,
            terms=self._terms,
            progress=progress,
            rebuild=rebuild,
            begun=self._begun,
            meanwhile=meanwhile,
        )
        self._end_begun()

    def retire(self, keep: Collection[Crew]) -> None:
        """Forget what encoders made that are in none of these crews; the founding one's stays. For the one writer."""
        kept = {self._shelf.fact("embedder")}
        for crew in keep:
            kept |= {encoder.info.digest for encoder in (crew.encoder, crew.token_encoder) if encoder}
        for digest in self._shelf.makers() - kept:
            self._shelf.drop_vectors(digest)
            self.of(digest).remove()

    def present(self, chunk_ids: Collection[str]) -> set[str]:
        """Which of the chunks are in any of the indexes, in the generations that answer."""
        self.close()
        found: set[str] = set()
        for generations in self._all():
            current = generations.current()
            if self._begun and self._begun.base == current:
                found |= self._begun.ids().intersection(chunk_ids)
            elif current is not None:
                try:
                    index = generations.open_current()
                except StorageFault:
                    if self._settings.kind == "qdrant":  # what a server has lost it does not hold
                        continue
                    raise
                try:
                    found |= index.present(chunk_ids)
                finally:
                    index.close()
        return found

    def sweep(self) -> tuple[str, ...]:
        """Overwrite or drop every generation but those that answer; names of the ones that a reader still holds.

        Raises HouseBusy while another process builds.
        """
        self.close()
        held = tuple(name for generations in self._all() for name in generations.sweep())
        return held + self._left()

    def _left(self) -> tuple[str, ...]:
        """Take away what was embedded before a server took its place; names as ``sweep`` gives them."""
        top = self._root / EMBEDDED
        if self._top == top or not top.exists():
            return ()
        for record in top.rglob(CURRENT):
            record.unlink()
        places = [top, *(path for path in top.glob("*") if any(path.glob("generation-*")))]
        held = tuple(name for place in places for name in Generations(place).sweep())
        if not held:
            shred_tree(top)
        return held

    def _all(self) -> list[IndexGenerations]:
        below = {path.parent for name in (CURRENT, "collections") for path in self._top.glob(f"*/{name}")}
        places = [self._top, *sorted(below)]
        return [self._at(place) for place in places if place.is_dir()]

    def close(self) -> None:
        """Let go of the open one. Closing twice is fine."""
        if self._open is not None:
            self._open.close()
            self._open = None


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass
