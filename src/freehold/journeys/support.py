"""Support: is each sentence of an answer carried by what it cites, and how far can whoever says so be trusted?

A judge is held against pairs of sentence and evidence that people labelled (``calibrate``); its word on a house's
answers (``answered``) can then be corrected for its errors. The packaged sample was written to be hard: most of its
sentences are paraphrases or wrong in one point. It tells judges apart; for figures of your own house, label some of its
own answers and calibrate on those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from freehold.core.errors import UsageError
from freehold.core.experiment import JudgeAgreement
from freehold.core.ports import Embedder, SupportJudge
from freehold.core.types import Answer, Citation, Passage
from freehold.journeys.cite import cite
from freehold.journeys.language import language_tools
from freehold.measure.agreement import Confusion, agreement, confusion
from freehold.measure.answers import Answered, Cited
from freehold.models.generate import Language
from freehold.text.terms import TermAnalyzer

PACKAGED_SAMPLE = Path(__file__).with_name("support_sample.jsonl")
"""Pairs in English, German and French on insurance, leases, work, medicine and banking; all of it invented."""

REMOVED = "removed_sentences"
"""Key under which ``cite`` counts, among an answer's tokens, the sentences that it took out."""

_MARKS = re.compile(r" ((?:\[\d+\])+)(?=\s|$)")
_FIELDS = {"question": str, "sentence": str, "evidence": list, "supported": bool}
_WORDS = {str: "text", list: "a list of texts", bool: "true or false"}
_HINT = 'one object a line: {"question": "...", "sentence": "...", "evidence": ["..."], "supported": true}'


@dataclass(frozen=True, slots=True)
class LabelledSentence:
    """A sentence, the texts it cites, and whether a person found it supported by them."""

    question: str
    sentence: str
    evidence: tuple[str, ...]
    supported: bool
    kind: str = ""
    """What makes the pair easy or hard, in a few words; may be empty."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled sentences and where they come from."""

    name: str
    pairs: tuple[LabelledSentence, ...]


class AlignmentJudge:
    """The local judge: a sentence is supported if ``cite`` keeps all of it, given the evidence alone.

    Deterministic, and blind where ``cite`` is: to negations turned round, conditions dropped and halves joined wrongly.
    ``embedder`` lets some paraphrases through; it must give token vectors. On the packaged sample it is no better than
    chance: sensitivity .38 (.59 with multilingual-e5-small), specificity .41, of 32 pairs each.
    """

    def __init__(self, *, embedder: Embedder | None = None, tools: Language | None = None) -> None:
        self._embedder = embedder
        self._tools = tools or language_tools(TermAnalyzer(("en", "de", "fr")))

    @property
    def name(self) -> str:
        return f"alignment with {self._embedder.info.name}" if self._embedder else "alignment"

    def supported(self, sentence: str, evidence: Sequence[str], *, question: str) -> bool:
        """See ``SupportJudge.supported``."""
        passages = [Passage(str(number), "", "", 0, len(text), text) for number, text in enumerate(evidence)]
        answer = cite(sentence, passages, question=question, embedder=self._embedder, tools=self._tools)
        return not answer.abstained and answer.trace.tokens[REMOVED] == 0


def sentences_with_evidence(answer: Answer) -> list[tuple[str, tuple[str, ...]]]:
    """The sentences of an answer by ``cite``, without markers, each with the quotes it cites; in order of reading.

    Where markers end one, so does ``cite``: a short "Yes." goes with the sentence behind it. Words behind the last
    markers are a sentence without evidence. An abstention has no sentences.
    """
    if answer.abstained:
        return []
    quotes = {citation.marker: citation.quote for citation in answer.citations}
    found = []
    begin = 0
    for match in _MARKS.finditer(answer.text):
        numbers = [int(number) for number in re.findall(r"\d+", match[1])]
        cited = tuple(quotes[number] for number in numbers if number in quotes)
        found.append((answer.text[begin : match.start()].strip(), cited))
        begin = match.end()
    rest = answer.text[begin:].strip()
    return [*found, (rest, ())] if rest else found


def answered(
    query_id: str,
    answer: Answer,
    *,
    question: str,
    judge: SupportJudge | None = None,
    unit_of: Callable[[Citation], str] = attrgetter("source"),
) -> Answered:
    """What ``answer`` is to the measures of ``freehold.measure.answers``.

    Sentences that ``cite`` took out were written but not supported. Those it kept are supported by its own word, or
    where there is a ``judge``, by the judge's. ``unit_of`` gives the id under which labels know what is cited.
    Raises what the judge raises.
    """
    kept = sentences_with_evidence(answer)
    supported = kept if judge is None else [s for s in kept if judge.supported(s[0], s[1], question=question)]
    tokens = {name: count for name, count in answer.trace.tokens.items() if name != REMOVED}
    return Answered(
        query_id=query_id,
        text="" if answer.abstained else _MARKS.sub("", answer.text),
        abstained=answer.abstained,
        citations=tuple(Cited(unit_of(c), c.start, c.end, c.quote) for c in answer.citations),
        sentences=len(kept) + answer.trace.tokens.get(REMOVED, 0),
        supported_sentences=len(supported),
        timings_ms=dict(answer.trace.timings_ms),
        tokens=tokens,
    )


@dataclass(frozen=True, slots=True)
class Calibration:
    """Judges held against a sample, and what they say together."""

    judges: tuple[JudgeAgreement, ...]
    """Each one in order; of several, then all of them as one that says yes where all do."""
    together: Confusion
    """An answer's sentences pass the alignment before another judge sees them: this is what corrects their rate."""


def calibrate(judges: Sequence[SupportJudge], sample: Sample) -> Calibration:
    """How far the judges agree with the sample's labels, each asked once a pair. Raises what a judge raises."""
    labels = [pair.supported for pair in sample.pairs]
    said = [
        [judge.supported(pair.sentence, pair.evidence, question=pair.question) for pair in sample.pairs]
        for judge in judges
    ]
    told = [(judge.name, confusion(labels, verdicts)) for judge, verdicts in zip(judges, said, strict=True)]
    together = confusion(labels, [all(verdicts) for verdicts in zip(*said, strict=True)])
    if len(judges) > 1:
        told.append((" and ".join(judge.name for judge in judges), together))
    rows = tuple(agreement(counts, judge=name, sample=sample.name) for name, counts in told)
    return Calibration(rows, together)


def read_sample(path: Path = PACKAGED_SAMPLE) -> Sample:
    """Labelled sentences, one JSON object a line: ``question``, ``sentence``, ``evidence`` (a list), ``supported``.

    ``kind`` may say what makes the pair hard. Empty lines are passed over. Raises UsageError, naming file and line, for
    what cannot be read, another shape, or a file without pairs.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint=_HINT) from error
    pairs = tuple(_pairs(path, lines))
    if not pairs:
        raise UsageError(f"{path} holds no labelled sentences", hint=_HINT)
    return Sample("packaged" if path == PACKAGED_SAMPLE else str(path), pairs)


def _pairs(path: Path, lines: Sequence[bytes]) -> Iterator[LabelledSentence]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            # ``from None``: a decoding error carries the text it failed on.
            raise UsageError(f"{path}:{number} is not JSON", hint=_HINT) from None
        fault = _fault(value)
        if fault:
            raise UsageError(f"{path}:{number} {fault}", hint=_HINT)
        yield LabelledSentence(
            value["question"], value["sentence"], tuple(value["evidence"]), value["supported"], value.get("kind", "")
        )


def _fault(value: object) -> str:
    """What is wrong with a line's value; empty where nothing is."""
    if not isinstance(value, dict):
        return "is no JSON object"
    for name, kind in _FIELDS.items():
        if not isinstance(value.get(name), kind):
            return f"has no {name} that is {_WORDS[kind]}"
    if not all(isinstance(text, str) for text in value["evidence"]):
        return "has evidence that is not text"
    if not value["sentence"].strip():
        return "has an empty sentence"
    if not isinstance(value.get("kind", ""), str):
        return "has a kind that is not text"
    return ""
