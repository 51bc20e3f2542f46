"""The house: one directory opened, its engines and stores wired to the ports, its walks as methods."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from freehold import chronicle, config
from freehold.config import Settings
from freehold.core.access import Caller, Groups, checked, label
from freehold.core.attempts import REPORT, attempts
from freehold.core.errors import (
    FreeholdError,
    HouseMismatch,
    NeedsPerson,
    SettingsError,
    UsageError,
)
from freehold.core.experiment import Experiments
from freehold.core.files import shred_tree, storage_fault, write_durably
from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.machine import share
from freehold.core.ports import Embedder, Generator, Reranker
from freehold.core.shelf import Quarantined, Shelf, Stats
from freehold.core.training import ModelVersion, Registry, Role
from freehold.core.types import Answer, Filter, GenerationInfo, Mode, ParsedText, Slice
from freehold.crew import Crew
from freehold.indexes import Indexes
from freehold.journeys import ask as asking
from freehold.journeys import search as searching
from freehold.journeys.ingest import IngestReport, Progress, Reader, Workshop, ingest
from freehold.journeys.language import language_tools
from freehold.journeys.search import Engines, Found, Plan
from freehold.journeys.sources import Files, beir_reader, file_reader, find_beir, find_files, renamed, shelf_reader
from freehold.models.generate import open_generator
from freehold.models.pull import verify
from freehold.residency.opening import permit
from freehold.store.experiments import ExperimentFolder
from freehold.store.ledger import HouseLedger
from freehold.store.lock import writer_lock
from freehold.store.registry import ModelFolder
from freehold.store.shelf import HouseShelf
from freehold.store.traffic import TrafficLog
from freehold.text.chunk import chunk
from freehold.text.parse.outcome import ParseLimits
from freehold.text.sandbox import ParserPool
from freehold.text.terms import TermAnalyzer

FORMAT = "1"
"""Version of the house's layout on disk."""

TUNING = "tuning"
"""Folder of the searches over settings: see ``freehold.measuring.tune``."""

_PIPELINE = 1
"""Raised when cleaning or cutting changes what it makes of the same bytes, so that documents are made anew."""


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a house, as ``freehold doctor`` shows it."""

    settings: Settings
    stats: Stats
    quarantined: tuple[Quarantined, ...]
    generation: GenerationInfo | None
    index_behind: bool
    """Whether the catalog holds more than the index: the next search or ingest brings it up."""
    made_by: str | None
    """Name of the embedder that the house was made with; None while it is empty."""
    model_state: str


class House:
    """An open house. Models and engines are loaded when first needed; ``close`` lets go of everything.

    One process may write at a time, any number may read meanwhile. Not safe for use by several threads at once.
    """

    def __init__(self, root: Path) -> None:
        """Open the house in ``root``. Raises SettingsError when there is none or its settings are wrong."""
        self.root = root
        self._file_settings: Settings = config.load(root / config.FILE_NAME)
        self._permit()
        self.shelf = HouseShelf(root)
        self.experiments: Experiments = ExperimentFolder(root / "experiments")
        self.registry: Registry = ModelFolder(root / "models")
        self.ledger = HouseLedger(root / "ledger")
        self._crew: Crew | None = None
        self._lineup = -1
        self._check_format()

    @classmethod
    def create(cls, root: Path, values: Mapping[str, object]) -> Self:
        """Make a house with these settings (dotted keys) and open it. Raises UsageError when there is one already."""
        settings_file = root / config.FILE_NAME
        if settings_file.exists():
            raise UsageError(f"{root} is a house already", hint="choose another folder, or ingest into this one")
        Settings().with_values(values, origin="the command line")
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise storage_fault(e, root) from None
        write_durably(settings_file, config.render(values).encode())
        house = cls(root)
        house.shelf.set_fact("format", FORMAT)
        return house

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files, locks and models. Closing twice is fine."""
        if "indexes" in self.__dict__:
            self.indexes.close()
        if "traffic" in self.__dict__:
            self.traffic.close()
        self.shelf.close()

    # -- the walks -----------------------------------------------------------------------------------------------

    def ingest(
        self,
        paths: Sequence[Path],
        *,
        prune: bool = False,
        emptied: bool = False,
        fields: Mapping[str, str] | None = None,
        groups: Collection[str] | None = None,
        fenced: bool = True,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Ingest files and folders. ``prune`` forgets documents under ``paths`` whose file has vanished, but for those
        under a legal hold and restricted ones, which the report names.

        What speaks of somebody who was erased is refused, unless ``fenced`` is False.

        ``fields`` become filter fields of every document. ``groups``: who may see what lies under the paths, unchanged
        or not; None leaves documents that are here in their groups, and new ones to everybody. Raises HouseBusy while
        another process writes, NeedsPerson where pruning would forget all that is known under a path, unless
        ``emptied`` says that this is meant.
        """
        theirs = None if groups is None else checked(groups)
        report_progress = progress or _silent
        limits = self._parse_limits()
        files = find_files(
            paths,
            max_bytes=limits.max_bytes,
            leave_out=self.root.resolve(),
            progress=lambda n: report_progress("files", n, 0),
        )
        vanished = self._vanished(paths, files, emptied=emptied) if prune else ()
        with ParserPool(share(), limits) as pool:
            reader = file_reader(pool, files, limits=self._limits(), fields=fields or {})
            belong = {} if theirs is None else dict.fromkeys(files.found, theirs)
            return self._ingest(files.found, reader, vanished, fields, report_progress, fenced=fenced, groups=belong)

    def ingest_uploads(
        self, folder: Path, *, groups: Collection[str], fields: Mapping[str, str], progress: Progress
    ) -> IngestReport:
        """Ingest files that somebody sent for these groups, which lie in a folder: their names there become sources.

        Equal names of different groups are different sources: nobody replaces what they do not see.
        """
        theirs = checked(groups)
        place = f"{label(theirs)}/" if theirs else ""
        limits = self._parse_limits()
        files = find_files([folder], max_bytes=limits.max_bytes, leave_out=folder / ".nothing", progress=lambda _: None)
        paths = {f"upload:{place}{Path(path).relative_to(folder.resolve()).as_posix()}": path for path in files.found}
        with ParserPool(share(), limits) as pool:
            read = renamed(file_reader(pool, files, limits=self._limits(), fields=fields), paths)
            found = {source: files.found[path] for source, path in paths.items()}
            return self._ingest(found, read, (), fields, progress, groups=dict.fromkeys(found, theirs))

    def remove(self, document_ids: Collection[str], *, progress: Progress | None = None) -> IngestReport:
        """Documents go, with all that was made from them, as where their files had vanished.

        Those under a legal hold, and restricted ones, stay: the report says how many went, and names the others.
        """
        wanted = set(document_ids)
        sources = [source for source, known in self.shelf.known().items() if known.document_id in wanted]
        return self._ingest({}, lambda _: iter(()), sources, None, progress or _silent, groups={})

    def ingest_beir(
        self,
        folder: Path,
        *,
        fields: Mapping[str, str] | None = None,
        groups: Collection[str] | None = None,
        fenced: bool = True,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Ingest the ``corpus.jsonl`` of a BEIR set; record ids become sources. The rest as in ``ingest``."""
        theirs = None if groups is None else checked(groups)
        corpus = find_beir(folder)
        reader = beir_reader(corpus, limits=self._limits(), fields=fields or {})
        belong = {} if theirs is None else dict.fromkeys(corpus.found, theirs)
        return self._ingest(corpus.found, reader, (), fields, progress or _silent, fenced=fenced, groups=belong)

    def ingest_house(
        self, other: House, *, lenders: Sequence[House] = (), progress: Progress | None = None
    ) -> IngestReport:
        """Ingest the documents of another house as it holds them, in its groups, cut by this one's settings.

        Restricted ones are left out, and go where they are here. Originals are not copied. Vectors that ``other`` or
        ``lenders`` hold for the same words are taken from there.
        """
        held, restricted = other.shelf.known(), other.shelf.restricted()
        found = {source: known.sha256 for source, known in held.items() if known.document_id not in restricted}
        hidden = sorted(held.keys() - found.keys())
        groups = {source: held[source].groups for source in found}
        read = shelf_reader(other.shelf)
        shelves = (other.shelf, *(house.shelf for house in lenders))
        return self._ingest(found, read, hidden, None, progress or _silent, groups=groups, lenders=shelves)

    def search(
        self,
        text: str,
        *,
        k: int = 10,
        plan: Plan | None = None,
        filter: Filter | None = None,
        caller: Caller | None = None,
    ) -> Found:
        """The ``k`` best passages, by the settings' plan or another one (see ``plan``), of what ``caller`` may see.

        Without a caller nothing is held back. Raises InvalidQuery, and UsageError while the house is empty.
        """
        query = searching.question(text, embedder=self.embedder, filter=filter, caller=caller)
        engines = self.engines()
        return searching.search(query, k=k, plan=plan or self.plan(), engines=engines)

    def ask(
        self,
        text: str,
        *,
        plan: Plan | None = None,
        filter: Filter | None = None,
        caller: Caller | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Answer:
        """An answer with citations, or an abstention, from what ``caller`` may see; None: from everything.

        Raises InvalidQuery, UsageError, EndpointFault.
        """
        query = searching.question(text, embedder=self.embedder, filter=filter, caller=caller)
        engines = self.engines()
        return asking.ask(query, plan=plan or self.plan(), engines=engines, voice=self.voice(), on_text=on_text)

    def use_models_of(self, other: House) -> None:
        """Share another house's embedder, if it is the one that this house was made with or will be.

        Raises HouseMismatch where it is not.
        """
        self._check_maker(other.crew.encoder)
        self.crew.serve_with(other.crew)

    def borrow(self, other: House) -> None:
        """Do not open anew what the same house, opened before, has open of the models that serve."""
        self._crew, self._lineup = other._crew, -1

    def stats(self) -> Stats:
        """How much the house holds."""
        return self.shelf.stats()

    def health(self) -> Health:
        """What the house holds, what it refused, whether its index is current and its model sound."""
        generation = self.generation()
        return Health(
            settings=self.settings,
            stats=self.stats(),
            quarantined=tuple(self.shelf.quarantined().values()),
            generation=generation,
            index_behind=self.shelf.revision != (generation.revision if generation else 0),
            made_by=self.shelf.fact("embedder_name"),
            model_state=self._model_state(),
        )

    def generation(self) -> GenerationInfo | None:
        """The index generation that answers, if there is one."""
        return self.indexes.of(self._maker()).current()

    def _maker(self) -> str:
        """Digest of the encoder whose vectors are searched; the founding one's needs no model to be opened."""
        if "embedder" in self.crew.versions:
            return self.crew.encoder.info.digest
        return self.shelf.fact("embedder") or ""

    # -- the models that serve, loaded when needed ---------------------------------------------------------------

    @property
    def crew(self) -> Crew:
        """The models of the lineup in force: another process may have promoted or rolled back since the last look."""
        lineup = self.registry.lineup()
        if self._crew is None or self._lineup != lineup.number:
            self._crew, self._lineup = self.crew_of(lineup.versions), lineup.number
        return self._crew

    def crew_of(self, versions: Mapping[Role, str]) -> Crew:
        """The models of another lineup, to try them. Raises UsageError for a version that is not there."""
        chosen: dict[Role, ModelVersion] = {role: self.registry.get(name) for role, name in versions.items()}
        return self._hired(chosen, self.registry.folder)

    def crew_with(self, version: ModelVersion, folder: Path) -> Crew:
        """The crew that serves, with a version that the registry does not hold yet, made in ``folder``."""
        versions, _ = self.lineup_with(version)

        def folder_of(version_id: str) -> Path:
            return folder if version_id == version.id else self.registry.folder(version_id)

        return self._hired(versions, folder_of)

    def lineup_with(self, version: ModelVersion) -> tuple[dict[Role, ModelVersion], tuple[ModelVersion, ...]]:
        """The versions that serve with this one in its role, and those that cannot stay: bound to another embedder."""
        versions = {**self.crew.versions, version.role: version}
        if version.role != "embedder":
            return versions, ()
        left = tuple(other for other in versions.values() if other.bound)
        return {role: other for role, other in versions.items() if other not in left}, left

    def _hired(self, versions: Mapping[Role, ModelVersion], folder_of: Callable[[str], Path]) -> Crew:
        return Crew(self._file_settings, versions, shelf=self.shelf, folder_of=folder_of, lender=self._crew)

    @property
    def settings(self) -> Settings:
        """The settings in force: the file's, and what was fitted for the model versions that serve."""
        return self.crew.settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._file_settings, self._crew = settings, None
        self._permit()

    @property
    def embedder(self) -> Embedder:
        """Raises HouseMismatch when the house was made by another one."""
        return self._checked(self.crew).embedder

    @property
    def reranker(self) -> Reranker | None:
        """None where the settings want none or the embedder cannot."""
        return self._checked(self.crew).reranker

    def _checked(self, crew: Crew) -> Crew:
        if "encoder" not in crew.__dict__:
            if "embedder" not in crew.versions:
                self._check_maker(crew.encoder)
            self._check_budget(crew.encoder)
        return crew

    @property
    def _judge(self) -> Embedder | None:
        """The embedder, where it gives token vectors."""
        return self.embedder if self.crew.gives_tokens else None

    @cached_property
    def terms(self) -> TermAnalyzer:
        """The lexical side of the search, for the house's languages."""
        return TermAnalyzer(self.settings.house.languages)

    @cached_property
    def indexes(self) -> Indexes:
        """The indexes, each of one encoder's vectors."""
        settings = self._file_settings
        return Indexes(self.root, self.shelf, self.terms, settings.index, house=settings.house.name)

    @cached_property
    def traffic(self) -> TrafficLog:
        """The query log, which keeps what the settings say."""
        part = self._file_settings.traffic
        return TrafficLog(self.root, self.shelf, queries=part.query_log, answers=part.answers)

    @cached_property
    def generator(self) -> Generator:
        """The settings' generator."""
        part = self.settings.generator
        return open_generator(
            part.kind,
            language=language_tools(self.terms),
            embedder=self._judge,
            model=part.model,
            base_url=part.endpoint,
            api_key=part.api_key.reveal() if part.api_key else None,
            context_tokens=part.context_tokens or None,
            answer_tokens=part.answer_tokens,
        )

    def engines(self, *, level: bool = True) -> Engines:
        """What a search goes through, its index brought up to the catalog unless ``level`` is off.

        Raises UsageError while there is nothing.
        """
        crew = self._checked(self.crew)
        index = self.indexes.current(crew, level=level)
        return Engines(self.shelf, index, crew.embedder, self.terms, crew.reranker)

    def sync_indexes(self, progress: Progress, *, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Bring the index up to the catalog, and take what is gone out of all others. For the one writer.

        While the index is being made whole the ledger is brought up to the catalog, and ``meanwhile`` is called.
        """

        def aside() -> None:
            self.record()
            meanwhile()

        self.indexes.sync(self._checked(self.crew), progress, meanwhile=aside)

    @contextlib.contextmanager
    def index_begun(self) -> Iterator[None]:
        """Within, the index is copied for the ``sync_indexes`` to come, while its encoder is opened and whatever else
        is done. For the one writer, who will surely sync.
        """
        with self.indexes.begun(self._maker()):
            self._checked(self.crew).encoder  # noqa: B018 - opened now
            yield

    def stand_down(self, version_ids: Collection[str], progress: Progress) -> None:
        """Take versions out of service, and what only works beside them; the settings' models serve in their place.

        There is no way back: a rollback cannot return to before it. For the one writer.
        """
        before = self.crew
        stay = {role: version for role, version in before.versions.items() if version.id not in version_ids}
        if len(stay) == len(before.versions):
            return
        if "embedder" not in stay and "embedder" in before.versions:
            stay = {role: version for role, version in stay.items() if not version.bound}
        versions = {role: version.id for role, version in stay.items()}
        self.prepare(self.crew_of(versions), progress)
        self.registry.switch(versions, verb="stand down")
        self.indexes.retire([self.crew])
        self.record()

    def is_ready(self, crew: Crew) -> bool:
        """Whether all is made that the crew needs to serve."""
        return self.indexes.is_ready(self._checked(crew))

    def prepare(self, crew: Crew, progress: Progress) -> None:
        """Make what a crew needs to serve, beside what serves. For the one writer. See ``Indexes.prepare``."""
        self.indexes.prepare(self._checked(crew), progress)

    @contextlib.contextmanager
    def engines_of(self, crew: Crew) -> Iterator[Engines]:
        """What a search by another crew goes through, as ``prepare`` made it."""
        index = self.indexes.of(self._checked(crew).encoder.info.digest).open_current()
        try:
            yield Engines(self.shelf, index, crew.embedder, self.terms, crew.reranker)
        finally:
            index.close()

    def voice(self) -> asking.Voice:
        """Who words the answers, within the settings' limits."""
        part = self.settings.generator
        return asking.Voice(self.generator, part.timeout_s, part.answer_tokens, part.passages, self._judge)

    def plan(self, mode: Mode | None = None, *, settings: Settings | None = None, crew: Crew | None = None) -> Plan:
        """The retrieval plan of the settings; another ``mode`` than hybrid gives that leg bare, without reranking.

        ``settings``: others to try on this house, of which [retrieval] and [reranker] count. ``crew``: another one that
        is to carry it out.
        """
        crew = crew or self.crew
        chosen = settings or crew.settings
        part = chosen.retrieval
        mode = mode or part.mode
        rerank = mode == "hybrid" and self._checked(crew).reranker is not None and chosen.reranker.kind != "none"
        return Plan(
            mode=mode,
            fusion=part.fusion,
            rrf_k=part.rrf_k,
            dense_weight=part.dense_weight,
            candidates=part.candidates,
            rerank_depth=part.rerank_depth if rerank else 0,
            rerank_weight=chosen.reranker.weight,
            rerank_budget_ms=chosen.reranker.budget_ms if rerank else 0.0,
        )

    def workshop(self, fields: Mapping[str, str] | None = None, *, lenders: tuple[Shelf, ...] = ()) -> Workshop:
        """What a text goes through to become a document. ``fields`` become filter fields of every document."""
        return Workshop(
            embedder=self._checked(self.crew).encoder,
            codec=self.crew.codec,
            cut=self._cut,
            recipe=self._recipe(fields),
            limits=self._limits(),
            near_duplicate=self.settings.ingest.near_duplicate,
            lenders=lenders,
        )

    # -- inside --------------------------------------------------------------------------------------------------

    def _ingest(
        self,
        found: Mapping[str, str],
        read: Reader,
        vanished: Sequence[str],
        fields: Mapping[str, str] | None,
        progress: Progress,
        *,
        groups: Mapping[str, Groups],
        fenced: bool = True,
        lenders: tuple[Shelf, ...] = (),
    ) -> IngestReport:
        workshop = self.workshop(fields, lenders=lenders)
        with writer_lock(self.root):
            try:
                self.shelf.sweep()
            finally:
                self.indexes.of(self._maker()).sweep()
            if found and "embedder" not in self.crew.versions:
                self._pin(self.crew.encoder)
            self._forget_trials(found, vanished, workshop.recipe)
            report = ingest(
                found,
                shelf=self.shelf,
                read=read,
                workshop=workshop,
                progress=progress,
                fence=self.shelf.fence if fenced else None,
                vanished=vanished,
                groups=groups,
            )
            self.sync_indexes(progress)
        self.record()
        return report

    def record(self) -> None:
        """Bring the ledger up to what the stores say. Called after whatever writes."""
        stopped = sum(one.count for one in attempts(self.root / REPORT) if one.stopped)
        settings = (self.root / config.FILE_NAME).read_bytes()
        chronicle.record(self.ledger, self.shelf, self.registry, settings, stopped)

    def _forget_trials(self, found: Mapping[str, str], vanished: Sequence[str], recipe: str) -> None:
        """Trial houses of searches over settings hold copies of the documents: before one goes here, they go."""
        known = self.shelf.known()
        replaced = any(
            source in known and (known[source].sha256, known[source].recipe) != (sha256, recipe)
            for source, sha256 in found.items()
        )
        if vanished or replaced:
            for houses in (self.root / TUNING).glob("*/houses"):
                shred_tree(houses)

    def _cut(self, parsed: ParsedText, language: str) -> Sequence[Slice]:
        part = self.settings.chunking
        return chunk(
            parsed.text,
            parsed.headings,
            kind=part.kind,
            max_tokens=part.max_tokens - self.embedder.overhead_tokens,
            overlap_tokens=part.overlap_tokens,
            offsets=self.embedder.offsets,
            language=language,
            title=parsed.title,
        )

    def _recipe(self, fields: Mapping[str, str] | None) -> str:
        """A digest of everything besides the bytes that decides what becomes of a document."""
        part = self.settings.chunking
        codec = self.crew.codec.name if self.crew.codec else ""
        what = [_PIPELINE, part.kind, part.max_tokens, part.overlap_tokens, codec, dict(fields or {})]
        return sha256_hex(canonical_json(what).encode())[:16]

    def _limits(self) -> str:
        return sha256_hex(repr(self._parse_limits()).encode())[:16]

    def _model_state(self) -> str:
        model = self.settings.embedder_model
        if self.settings.embedder.kind == "openai":
            return "served by an endpoint"
        if Path(model).is_dir():
            return "a local folder, pinned by nothing but the house"
        try:
            verify(model)
        except FreeholdError as error:
            return f"{error.message}: {error.hint}"
        return "weights match the manifest"

    def _vanished(self, paths: Sequence[Path], files: Files, *, emptied: bool) -> list[str]:
        """Known sources below ``paths`` that are there no more; what lies in a folder that cannot be read stays."""
        known = {*self.shelf.known(), *self.shelf.quarantined()}
        vanished: set[str] = set()
        for path in paths:
            below = {source for source in known if Path(source).is_relative_to(path.resolve())}
            gone = below.difference(files.found)
            if gone and gone == below and not emptied:
                raise NeedsPerson(
                    f"nothing is left under {path}, pruning would forget all {len(gone)} documents from there",
                    hint="is the share mounted? If they are to be forgotten, say so with --yes",
                )
            vanished |= gone
        return sorted(s for s in vanished if not any(Path(s).is_relative_to(place) for place in files.blind))

    def _parse_limits(self) -> ParseLimits:
        part = self.settings.ingest
        return ParseLimits(
            max_bytes=part.max_file_mb * 1024 * 1024,
            cpu_s=part.cpu_s,
            wall_s=part.wall_s,
            memory_bytes=part.memory_mb * 1024 * 1024,
        )

    def _check_maker(self, embedder: Embedder) -> None:
        made_by = self.shelf.fact("embedder")
        if made_by and made_by != embedder.info.digest:
            raise HouseMismatch(
                f"the house was made by embedder {self.shelf.fact('embedder_name')}, not by {embedder.info.name}",
                hint="set embedder.model back, or make a new house and ingest again",
                refs=(made_by[:12], embedder.info.digest[:12]),
            )

    def _pin(self, embedder: Embedder) -> None:
        """Under the writer's lock: another process may have made the house with another embedder since we opened it."""
        self._check_maker(embedder)
        if not self.shelf.fact("embedder"):
            self.shelf.set_fact("embedder_name", embedder.info.name)
            self.shelf.set_fact("embedder", embedder.info.digest)

    def _check_budget(self, embedder: Embedder) -> None:
        part, limit = self.settings.chunking, embedder.info.max_tokens
        if part.max_tokens > limit:
            raise SettingsError(
                f"chunking.max_tokens is above what {embedder.info.name} reads", hint=f"set it to {limit} or less"
            )
        room = part.max_tokens - embedder.overhead_tokens
        if part.overlap_tokens * 2 > room:
            raise SettingsError(
                f"chunking.overlap_tokens is above half of the {room} tokens that are left for text",
                hint=f"set it to {room // 2} or less",
            )

    def _permit(self) -> None:
        """Have the guard of this process, where there is one, let through what the settings declare."""
        permit(self._file_settings, self.root)

    def _check_format(self) -> None:
        made_as = self.shelf.fact("format") or FORMAT
        if made_as != FORMAT:
            raise HouseMismatch(
                f"the house has layout {made_as}, this Freehold reads layout {FORMAT}",
                hint="open it with the Freehold that made it, or upgrade",
            )


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass


def open_house(path: str | os.PathLike[str]) -> House:
    """Open a house by its folder or its settings file.

    Raises SettingsError when there is none or its settings are wrong, HouseMismatch for one of another layout.
    """
    location = Path(path)
    return House(location.parent if location.name == config.FILE_NAME else location)
