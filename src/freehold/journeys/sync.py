"""Sync: bring the index up to the catalog by building the next generation aside and swapping it in.

The same comparison serves the first build, an update, a replay after a crash and a repair: what the index has too much
is deleted, what it lacks is added, and so is what belongs to other groups than when the generation was built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from types import TracebackType

from freehold.core.errors import EngineFault, StorageFault
from freehold.core.faults import step
from freehold.core.ids import sha256_hex
from freehold.core.ports import IndexBuilder, IndexGenerations
from freehold.core.shelf import Indexable, Shelf
from freehold.core.types import GenerationInfo, ModelInfo, Point
from freehold.journeys.ingest import Progress, in_context
from freehold.text.terms import TermAnalyzer

BATCH_POINTS = 500

_POINTS = 2
"""Raised when a point carries other fields than before, so that indexes are built anew."""


class Begun:
    """A build that has begun before what changes is known: its base is copied while others work on what will change.

    A context that gives the builder, for one ``sync``; ``close`` ends it where there is none. Raises as ``build`` does.
    """

    def __init__(self, generations: IndexGenerations, base: GenerationInfo) -> None:
        self.base = base
        with ExitStack() as stack:
            build = generations.build(base=base, dim=base.dim, embedder_digest=base.embedder_digest)
            self._builder = stack.enter_context(build)
            self._builder.begin()
            self._stack = stack.pop_all()

    def ids(self) -> set[str]:
        """Chunk ids of the base's points. Raises EngineFault or StorageFault."""
        return self._builder.ids()

    def close(self) -> None:
        """Stop building, however far it is."""
        self._stack.close()

    def __enter__(self) -> IndexBuilder:
        return self._builder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def sync(
    shelf: Shelf,
    generations: IndexGenerations,
    *,
    model: ModelInfo,
    terms: TermAnalyzer,
    progress: Progress,
    rebuild: bool = False,
    begun: Begun | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> GenerationInfo | None:
    """Make the current generation hold exactly the chunks that ``model`` made vectors of; None while there are none.

    Costs two reads when nothing changed. ``rebuild`` starts from nothing, for a generation that is damaged. ``begun``
    is gone on with where it is of the current generation; ``meanwhile`` is called in any case, and while the new one is
    made whole where there is something to build.
    Raises HouseBusy when another process builds, EngineFault and StorageFault when the build fails; the current
    generation is then as it was.
    """
    revision = shelf.revision
    made_by = maker(model, terms)
    current = generations.current()
    base = current if current and current.embedder_digest == made_by and not rebuild else None
    if base and base.revision == revision:
        meanwhile()
        return base
    wanted = shelf.chunk_ids(model.digest)
    if base is None and not wanted:
        meanwhile()
        return None
    if begun and begun.base != base:
        begun.close()
        begun = None
    with begun or generations.build(base=base, dim=model.dim, embedder_digest=made_by) as builder:
        if base is None or base.points != len(wanted):
            builder.begin()
        try:
            present = builder.ids()
        except (EngineFault, StorageFault):
            if base is None or _is_whole(generations):
                raise
            present = None
        if present is not None:
            moved = shelf.regrouped(base.revision) if base else set()
            # Segments are filled in this order: what goes together lies together, and fewer are written anew.
            missing = shelf.in_order(wanted - (present - moved))
            step("sync.compared")
            builder.delete(present - wanted)
            done = 0
            for batch in _batches(_point(item, terms) for item in shelf.indexable(missing, model.digest)):
                builder.add(batch)
                done += len(batch)
                progress("index", done, len(missing))
            builder.finish()
            meanwhile()
            return builder.commit(revision)
    # Damaged: the catalog has all that it takes to make it anew.
    return sync(shelf, generations, model=model, terms=terms, progress=progress, rebuild=True, meanwhile=meanwhile)


def weed(shelf: Shelf, generations: IndexGenerations, *, digest: str, terms: TermAnalyzer, progress: Progress) -> None:
    """Take out of an index that does not serve what is no longer on the shelf; nothing new comes in."""
    current = generations.current()
    if current is not None and current.revision != shelf.revision and _ids(generations) - shelf.chunk_ids(digest):
        model = ModelInfo(name="", digest=digest, dim=current.dim, max_tokens=0)
        sync(shelf, generations, model=model, terms=terms, progress=progress)


def maker(model: ModelInfo, terms: TermAnalyzer) -> str:
    """A digest of what makes vectors and fields: an index made otherwise is built anew, not brought up to date."""
    return sha256_hex(f"{model.digest} {terms.name} {_POINTS}".encode())


def _is_whole(generations: IndexGenerations) -> bool:
    """Whether the current generation can be read."""
    try:
        _ids(generations)
    except (EngineFault, StorageFault):
        return False
    return True


def _ids(generations: IndexGenerations) -> set[str]:
    index = generations.open_current()
    try:
        return set(index.ids())
    finally:
        index.close()


def _point(item: Indexable, terms: TermAnalyzer) -> Point:
    chunk = item.view.chunk
    return Point(
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        dense=item.dense,
        sparse=terms.document(in_context(chunk), item.view.language),
        fields=item.fields,
    )


def _batches(points: Iterable[Point]) -> Iterator[list[Point]]:
    iterator = iter(points)
    while batch := list(islice(iterator, BATCH_POINTS)):
        yield batch
