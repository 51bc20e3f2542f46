"""``freehold tune data``: a training set of a house's own questions and chunks, and the manifest that seals it.

read -> pseudonymise -> write synthetic questions -> drop what leaks -> part -> mine negatives -> seal -> keep. The same
request on the same house is the same set: it is made once and opened again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from freehold.core.errors import HouseBusy, InvalidQuery, SettingsError, UsageError
from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.records import to_json
from freehold.core.training import Example, Manifest, Origin, Part
from freehold.house import House
from freehold.journeys.examples import (
    FEWEST_EXAMPLES,
    Chunks,
    Mined,
    Pair,
    Tally,
    labelled_pairs,
    make_example,
    root_of,
)
from freehold.journeys.given import NOT_HERE, feedback_pairs, imported_pairs
from freehold.journeys.ingest import Progress
from freehold.journeys.leakage import Sameness, apart, hold_out, leaked
from freehold.journeys.locate import locate
from freehold.journeys.negatives import Mining, mine
from freehold.journeys.questions import ModelWriter, RuleWriter, Writer, word_frequency
from freehold.journeys.search import question
from freehold.journeys.synthetic import ROUND_TRIP, synthesize
from freehold.measure.labels import Labels
from freehold.store.training import IDENTITY, TrainingFolder
from freehold.tuning.pseudonyms import HousePseudonymiser, Pseudonymiser
from freehold.tuning.sets import DEV_SPLIT, DIGESTS, TRAINING, TrainingSet, opened
from freehold.tuning.sources import read_splits

FORMAT = 1
"""Raised when the same request makes another set of the same house."""

ASKED_TWICE = "asked twice, of the same passages"
NOT_TAKEN = "no search would take the question"

WriterKind = Literal["auto", "model", "rules"]
_BY_WORTH: tuple[Origin, ...] = ("qrels", "import", "feedback", "synthetic")
"""Settings are chosen on questions of the first of these of which there are enough."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to make a training set of, and how."""

    dataset: Path | None = None
    """A labelled set: a BEIR folder or the house's own format."""
    feedback: Path | None = None
    traffic: bool = False
    """Whether to learn from the feedback in the house's own query log."""
    pairs: Path | None = None
    """Pairs from elsewhere, see ``freehold.journeys.given``."""
    synthetic: int = 0
    """How many questions to write for the house's own chunks."""
    split: str | None = None
    """Of the labelled set, what is learned from; None: train, or the only split. ``train+dev`` takes both, ``none``
    takes nothing, and keeps what the set asks out of what is learned."""
    writer: WriterKind = "auto"
    """Who writes them; ``auto``: the settings' generator where it is a model, else rules."""
    round_trip: int = ROUND_TRIP
    """A synthetic question is kept where its chunk is among so many hits."""
    mining: Mining = field(default_factory=Mining)
    dev_share: float = 0.2
    """Of the questions, those held out to choose settings by where the labelled set has no split for that."""
    allow_missing: bool = False
    """Labels of documents that are not in the house are left out and counted."""
    name: str = ""
    """Empty: made of what the set is made of."""
    seed: int = 0
    """Decides which questions are held out and for which chunks questions are written."""


def prepare(
    house: House,
    request: Request,
    *,
    progress: Progress,
    pseudonymise: bool = True,
) -> TrainingSet:
    """Make the training set, or open it where it was made before. ``pseudonymise``: put surrogates for people.

    Raises UsageError, naming file and line, for a set that is not as it must be or whose passages are not in the house,
    and where fewer than 20 examples are left to train on; SettingsError where a model is to write and there is none;
    ModelNotFound where the detector of people is not here; EndpointFault where a model fails again and again;
    HouseBusy where somebody is erased meanwhile; StorageFault where the disk fails.
    """
    pseudonymiser = HousePseudonymiser(house) if pseudonymise else None
    return _Maker(house, request, progress, pseudonymiser).made()


def open_training(house: House, reference: str) -> TrainingSet:
    """A training set by its name, the beginning of it or of its root, or ``latest``.

    Raises UsageError where none or several fit, StorageFault for one that is damaged.
    """
    return opened(house, TrainingFolder(house.root / TRAINING).find(reference))


@dataclass
class _Parts:
    train: list[Pair]
    dev: list[Pair]
    level: str


class _Maker:
    """One training set in the making."""

    def __init__(self, house: House, request: Request, progress: Progress, pseudonymiser: Pseudonymiser | None) -> None:
        self._house = house
        self._request = request
        self._progress = progress
        self._pseudonymiser = pseudonymiser
        self._tally = Tally()
        self._replaced: Counter[str] = Counter()
        self._mined: dict[str, Mined] = {}
        self._synthetic: Mapping[str, int] = {}
        self._logged: list[dict[str, str]] = []

    def made(self) -> TrainingSet:
        """The set, kept."""
        request, store = self._request, TrainingFolder(self._house.root / TRAINING)
        if not (request.dataset or request.feedback or request.traffic or request.pairs or request.synthetic):
            hint = "give a labelled set, feedback, pairs, or a number of synthetic questions"
            raise UsageError("there is nothing to make a training set of", hint=hint)
        self._engines = self._house.engines()
        self._revision, epoch = self._house.shelf.revision, self._house.shelf.fence.epoch
        self._source = read_splits(request.dataset, request.split)
        self._files = {
            role: sha256_hex(path.read_bytes())
            for role, path in (("feedback", request.feedback), ("pairs", request.pairs))
            if path is not None and path.is_file()
        }
        if request.traffic:
            self._logged = self._feedback_logged()
            self._files["traffic"] = sha256_hex(canonical_json(self._logged).encode())
        identity = self._identity()
        name = request.name or identity[:8]
        if name in store.names():
            return opened(self._house, store.get(name, identity))
        self._chunks = Chunks(self._house.shelf)
        self._sameness = Sameness(self._house.shelf, self._chunks, self._house.terms)
        parts = self._parts()
        examples = self._examples(parts)
        kept = store.put(name, self._manifest(identity, parts, examples), examples)
        # An erasure puts up its fence first and looks for sets later: either it finds this one, or it is noticed here.
        if self._house.shelf.fence.epoch != epoch:
            store.remove(name)
            raise HouseBusy("somebody was erased while the set was made", hint="run the same command again")
        return opened(self._house, kept)

    def _feedback_logged(self) -> list[dict[str, str]]:
        logged = self._house.traffic.feedback()
        if not logged:
            hint = "it is kept where traffic.query_log is true, from then on: see freehold traffic stats"
            raise UsageError("the query log holds no feedback on hits", hint=hint)
        return logged

    # -- what it is made of --------------------------------------------------------------------------------------

    def _parts(self) -> _Parts:
        learned = self._learned()
        labels, source = self._source.labels, self._source
        held_out = {split: self._labelled(labels[split], missing=split != source.dev) for split in source.held_out}
        for split, pairs in held_out.items():
            same = leaked(learned, pairs, self._sameness)
            learned = self._tally.keep(learned, _without(learned, same), f"asked in {split} as well")
        if source.dev:
            dev = self._taken(self._present(held_out[source.dev]))
            kept, level = apart(learned, dev, chunks=self._chunks)
            return _Parts(
                self._tally.keep(learned, [learned[p] for p in kept], f"shares a {level} with dev"), dev, level
            )
        if not learned:
            return _Parts([], [], "")
        parting = hold_out(
            learned,
            self._eligible(learned),
            share=self._request.dev_share,
            seed=self._request.seed,
            chunks=self._chunks,
            sameness=self._sameness,
        )
        self._tally.add(f"shares a {parting.level} with dev", len(learned) - len(parting.train) - len(parting.dev))
        return _Parts([learned[p] for p in parting.train], [learned[p] for p in parting.dev], parting.level)

    def _learned(self) -> list[Pair]:
        """All that may be learned from, each question of the same passages once."""
        request, shelf = self._request, self._house.shelf
        pairs: list[Pair] = []
        if self._source.train:
            pairs += self._labelled(self._source.labels[self._source.train], missing=request.allow_missing)
        if request.pairs:
            pairs += imported_pairs(request.pairs, shelf, self._chunks)
        if request.feedback or request.traffic:
            pairs += feedback_pairs(request.feedback, shelf, self._chunks, self._tally, logged=self._logged)
        pairs = self._present(pairs)
        pairs = self._tally.keep(pairs, self._taken(pairs), NOT_TAKEN)
        pairs += self._written()
        once = {(pair.words, frozenset(pair.relevant)): place for place, pair in reversed([*enumerate(pairs)])}
        return self._tally.keep(pairs, [pairs[place] for place in sorted(once.values())], ASKED_TWICE)

    def _labelled(self, labels: Labels, *, missing: bool) -> list[Pair]:
        if not any(grade > 0 for grades in labels.qrels.values() for grade in grades.values()):
            hint = "what is learned from needs passages that answer; those that do not are found by the search"
            raise UsageError(f"split {labels.split} of {labels.name} labels nothing as relevant", hint=hint)
        missing = missing or self._request.allow_missing
        return labelled_pairs(labels, locate(labels, self._house.shelf, allow_missing=missing), self._chunks)

    def _present(self, pairs: Sequence[Pair]) -> list[Pair]:
        return self._tally.keep(pairs, [pair for pair in pairs if pair.relevant], NOT_HERE)

    def _taken(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs as a search takes them, pseudonymised; those that it would refuse are left out.

        Raises UsageError, naming the line, for one of a labelled set or an import.
        """
        asked = [(pair, text) for pair in pairs if (text := self._question(pair, pair.query)) is not None]
        if self._pseudonymiser is None:
            return [replace(pair, asked=text) for pair, text in asked]
        texts = [text for _, text in asked]
        got = self._pseudonymiser.disguise(texts, progress=lambda done: self._progress("people", done, len(texts)))
        self._replaced.update(got.replaced)
        taken = []
        for (pair, _), disguised, people in zip(asked, got.texts, got.people, strict=True):
            text = self._question(pair, disguised)
            if text is not None:
                taken.append(replace(pair, asked=text, people=pair.people | people))
        return taken

    def _question(self, pair: Pair, text: str) -> str | None:
        try:
            return question(text, embedder=self._engines.embedder).text
        except InvalidQuery as error:
            if pair.origin in {"qrels", "import"}:
                raise UsageError(f"{pair.at}: {error.message}", hint=error.hint, refs=(pair.at,)) from None
            return None

    def _written(self) -> list[Pair]:
        if not self._request.synthetic:
            return []
        made = synthesize(
            self._request.synthetic,
            self._writer(),
            seed=self._request.seed,
            plan=self._house.plan(),
            mining=self._request.mining,
            round_trip=self._request.round_trip,
            engines=self._engines,
            chunks=self._chunks,
            prepare=self._taken,
            progress=self._progress,
        )
        self._synthetic = made.counts
        self._mined.update((pair.key, mined) for pair, mined in made.kept)
        return [pair for pair, _ in made.kept]

    def _writer(self) -> Writer:
        if self._writer_kind() == "model":
            return ModelWriter(self._house.generator, timeout_s=self._house.settings.generator.timeout_s)
        frequency, counted = word_frequency(self._house.shelf, sorted(self._chunks.places), self._house.terms)
        return RuleWriter(self._house.terms, frequency, counted)

    def _writer_kind(self) -> WriterKind:
        is_model = self._house.settings.generator.kind != "extractive"
        if self._request.writer == "model" and not is_model:
            hint = "set generator.kind to openai or llama-cpp, or let rules write: --writer rules"
            raise SettingsError("the house has no model that could write questions", hint=hint)
        return "model" if is_model and self._request.writer != "rules" else "rules"

    def _eligible(self, pairs: Sequence[Pair]) -> Collection[int]:
        """Places of the pairs that settings may be chosen on."""
        for origin in _BY_WORTH:
            places = [place for place, pair in enumerate(pairs) if pair.origin == origin]
            if len(places) >= FEWEST_EXAMPLES:
                return places
        return range(len(pairs))

    # -- what becomes of it --------------------------------------------------------------------------------------

    def _examples(self, parts: _Parts) -> list[Example]:
        self._check(len(parts.train), len(parts.dev))
        company = _in_company([*parts.train, *parts.dev], self._sameness)
        todo = [pair for pair in company if pair.key not in self._mined]
        mined = mine(
            todo,
            self._house.plan(),
            self._request.mining,
            engines=self._engines,
            chunks=self._chunks,
            progress=self._progress,
        )
        self._mined.update((pair.key, one) for pair, one in zip(todo, mined, strict=True))
        sides: dict[Part, list[Pair]] = {"train": parts.train, "dev": parts.dev}
        examples = [
            make_example(pair, self._mined[pair.key], part, self._chunks)
            for part, pairs in sides.items()
            for pair in pairs
            if self._mined[pair.key].positives
        ]
        self._tally.add(NOT_HERE, len(company) - len(examples))
        counts = Counter(example.part for example in examples)
        self._check(counts["train"], counts["dev"])
        return examples

    def _check(self, train: int, dev: int) -> None:
        """Raises UsageError where too little is left, saying how much is needed and what was left out."""
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in self._tally.counts.items() if count)
        why = f"left out: {left_out}" if left_out else "label or import more, or have questions written: --synthetic"
        if train < FEWEST_EXAMPLES:
            raise UsageError(
                f"{train} examples to train on, at least {FEWEST_EXAMPLES} are needed beside those held out", hint=why
            )
        if not dev:
            raise UsageError("no example is left to choose settings on", hint=why)

    def _identity(self) -> str:
        """Digest of everything that decides what is in the set."""
        request, house = self._request, self._house
        told_by_digests = {"dataset", "feedback", "traffic", "pairs", "name"}
        asked = {key: value for key, value in to_json(request).items() if key not in told_by_digests}
        made_of: dict[str, object] = {
            "format": FORMAT,
            "request": asked,
            "digests": self._source.digests | self._files,
            "revision": self._revision,
            "embedder": house.embedder.info.digest,
            "terms": house.terms.name,
            "plan": to_json(house.plan()),
            "versions": {role: version.id for role, version in house.crew.versions.items()},
            "pseudonyms": self._pseudonymiser.name if self._pseudonymiser else "",
            "writer": self._writer_kind() if request.synthetic else "",
        }
        return sha256_hex(canonical_json(made_of).encode())

    def _manifest(self, identity: str, parts: _Parts, examples: Sequence[Example]) -> Manifest:
        request, source = self._request, self._source
        digests = source.digests | self._files
        first = request.dataset or request.pairs or request.feedback
        mined = [self._mined[pair.key] for pair in (*parts.train, *parts.dev)]
        return Manifest(
            root=root_of(examples),
            examples=dict(Counter(example.part for example in examples)),
            documents=tuple(sorted({id for example in examples for id in example.documents})),
            origins=dict(Counter(example.origin for example in examples)),
            dataset=str(first.resolve()) if first else "traffic" if request.traffic else "synthetic",
            dataset_digest=sha256_hex(canonical_json(digests).encode()),
            splits=tuple(part.strip() for part in f"{source.train}+{source.dev}".split("+") if part.strip()),
            revision=self._revision,
            embedder=self._house.embedder.info.digest,
            seed=request.seed,
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
            left_out=dict(self._tally.counts),
            false_negatives=sum(one.false_negatives for one in mined),
            pseudonyms=self._pseudonymiser.check(self._replaced) if self._pseudonymiser else None,
            settings={
                IDENTITY: identity,
                DIGESTS: digests,
                DEV_SPLIT: source.dev or source.train,
                "parts_share_no": parts.level,
                "shared_documents": self._shared(parts.train),
                "mining": to_json(request.mining),
                "near_repeats": sum(one.repeats for one in mined),
                "plan": to_json(self._house.plan()),
                "synthetic": dict(self._synthetic),
                "files": {role: str(path.resolve()) for role, path in self._paths().items()},
            },
        )

    def _shared(self, train: Sequence[Pair]) -> dict[str, int]:
        """Held-out split -> training questions of which a document answers one of its questions too.

        They stay, as the set has them; who reports on that split should know.
        """
        shared = {}
        for split in self._source.held_out:
            pairs = self._labelled(self._source.labels[split], missing=True)
            theirs = {id for pair in pairs for id in self._chunks.documents(pair.relevant)}
            shared[split] = sum(not theirs.isdisjoint(self._chunks.documents(pair.relevant)) for pair in train)
        return shared

    def _paths(self) -> dict[str, Path]:
        request = self._request
        given = {"dataset": request.dataset, "pairs": request.pairs, "feedback": request.feedback}
        return {role: path for role, path in given.items() if path is not None}


def _without(pairs: Sequence[Pair], places: Collection[int]) -> list[Pair]:
    return [pair for place, pair in enumerate(pairs) if place not in places]


def _in_company(pairs: Sequence[Pair], sameness: Sameness) -> list[Pair]:
    """The pairs, each spared what answers the same question elsewhere in the set: no negative of one is its answer."""
    found = list(pairs)
    for places in sameness.repeated(pairs):
        answers = frozenset(chunk for place in places for chunk in pairs[place].relevant)
        documents = frozenset().union(*(pairs[place].spared_documents for place in places))
        for place in places:
            pair = pairs[place]
            found[place] = replace(
                pair,
                spared=(pair.spared | answers).difference(pair.relevant),
                spared_documents=pair.spared_documents | documents,
            )
    return found
