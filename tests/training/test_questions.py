"""Questions written by rules in three languages, by a model that fails at times, and the round trip that sifts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from freehold.core.errors import EndpointFault
from freehold.core.shelf import ChunkView
from freehold.core.types import Chunk, Passage
from freehold.house import House
from freehold.journeys.examples import Chunks, Pair
from freehold.journeys.negatives import Mining
from freehold.journeys.questions import ModelWriter, RuleWriter, word_frequency
from freehold.journeys.synthetic import FAILURES_IN_A_ROW, synthesize
from freehold.text.terms import TermAnalyzer

RULES = RuleWriter(TermAnalyzer(("en", "de", "fr")), {}, 10)


def view(text: str, language: str = "en", headings: tuple[str, ...] = (), title: str = "") -> ChunkView:
    return ChunkView(Chunk("c", "d", 0, 0, len(text), text, headings), "s", title, language)


@pytest.mark.parametrize(
    ("language", "text", "asked"),
    [
        ("en", "Read on. “Net Rent” means the rent after all deductions.", "What does Net Rent mean?"),
        ("en", "The vas deferens is a duct.", "What does vas deferens mean?"),
        ("en", "The term Service refers to the work.", "What does Service mean?"),
        ("en", "It is a rule that everybody pays.", None),
        ("en", "There are the usual exceptions.", None),
        ("de", "„Verbraucher“ ist jede natürliche Person.", "Was bedeutet Verbraucher?"),
        ("de", "Unter einer Karenzzeit versteht man die Frist.", "Was bedeutet Karenzzeit?"),
        ("de", "Unternehmer im Sinne dieses Gesetzes ist eine Person.", "Was bedeutet Unternehmer?"),
        ("de", "Der Selbstbehalt bezeichnet den Anteil.", "Was bedeutet Selbstbehalt?"),
        ("de", "Es ist ein Antrag zu stellen.", None),
        ("fr", "« Responsable » désigne la personne.", "Que signifie Responsable ?"),
        ("fr", "On entend par « données » toute information.", "Que signifie données ?"),
        ("fr", "L'assuré désigne la personne couverte.", "Que signifie assuré ?"),
        ("fr", "La franchise est une somme.", "Que signifie franchise ?"),
        ("fr", "Il est le dernier.", None),
    ],
)
def test_definitions(language: str, text: str, asked: str | None) -> None:
    written = RULES.write(view(text, language), 0)
    assert written == asked if asked else (written is None or " mean" not in written)


@pytest.mark.parametrize(
    ("heading", "asked"),
    [
        ("3. Excess", "What does Home Policy say about Excess?"),
        ("Section 12.3 Termination of Lease", "What does Home Policy say about Termination of Lease?"),
        ("IV. Premium", "What does Home Policy say about Premium?"),
        ("(a) Payment", "What does Home Policy say about Payment?"),
        ("Civil liability", "What does Home Policy say about Civil liability?"),
        ("How do I cancel?", "How do I cancel?"),
        ("Article 5", None),
        ("1.2.3", None),
        ("General", None),
        ("Home Policy", None),
    ],
)
def test_headings(heading: str, asked: str | None) -> None:
    assert RULES.write(view("Short.", headings=("Home Policy", heading), title="Home Policy"), 0) == asked


def test_a_cloze_leaves_the_rarest_word_out_and_keeps_the_order() -> None:
    terms = TermAnalyzer(("en",))
    sentence = "The tenant of the boathouse Alma insures the slipway against fire and flood."
    others = ["The tenant insures the boathouse against fire.", "The slipway is closed.", "A flood came, then a fire."]
    frequency: dict[int, int] = {}
    for text in [sentence, *others]:
        for term in terms.document(text, "en").indices:
            frequency[term] = frequency.get(term, 0) + 1
    cloze = RuleWriter(terms, frequency, 4).write(view(f"Hello there. {sentence}"), 0)
    assert cloze is not None
    words = cloze.split()
    assert "Alma" not in words
    assert {"slipway", "flood"} <= set(words)
    assert words == sorted(words, key=sentence.index)


def test_every_turn_is_another_question_and_then_there_is_none() -> None:
    whole = view(
        "“Shed” means a building of wood on the plot. It stands two paces from the path and is painted green.",
        headings=("Lease", "Sheds"),
        title="Lease",
    )
    written = [RULES.write(whole, turn) for turn in range(4)]
    assert written[:2] == ["What does Shed mean?", "What does Lease say about Sheds?"]
    assert written[2]
    assert written[3] is None
    assert written == [RULES.write(whole, turn) for turn in range(4)]


# -- the round trip --------------------------------------------------------------------------------------------------


def write(house: House, writer: object, count: int, *, round_trip: int = 10, seed: int = 0):  # type: ignore[no-untyped-def]
    def taken(pairs: Sequence[Pair]) -> list[Pair]:
        return [pair for pair in pairs if len(pair.query) < 200]

    return synthesize(
        count,
        writer,  # type: ignore[arg-type]
        seed=seed,
        plan=house.plan(),
        mining=Mining(),
        round_trip=round_trip,
        engines=house.engines(),
        chunks=Chunks(house.shelf),
        prepare=taken,
        progress=lambda *_: None,
    )


def test_rules_write_until_there_are_enough(house: House) -> None:
    frequency, counted = word_frequency(house.shelf, sorted(house.shelf.chunk_ids()), house.terms)
    writer = RuleWriter(house.terms, frequency, counted)
    made = write(house, writer, 40)
    assert len(made.kept) == 40
    assert len({pair.words for pair, _ in made.kept}) == 40
    assert all(mined.rank is not None and mined.rank <= 10 for _, mined in made.kept)
    assert all(mined.positives == pair.relevant for pair, mined in made.kept)
    assert [pair.query for pair, _ in write(house, writer, 40).kept] == [pair.query for pair, _ in made.kept]
    assert [pair.query for pair, _ in write(house, writer, 40, seed=1).kept] != [pair.query for pair, _ in made.kept]
    # More than there are: all turns, each question once, and what the search does not find is told.
    everything = write(house, writer, 10_000, round_trip=1).counts
    assert everything["not_found"] > 0
    assert everything["repeated"] > 0
    lost = sum(everything[name] for name in ("empty", "repeated", "refused", "not_found", "failed"))
    assert everything["written"] == everything["kept"] + lost


class Clerk:
    """A generator over no model: asks for the second word of a passage, and has its moods."""

    name = "clerk"
    context_tokens = 1_000

    def __init__(self, moods: Sequence[str]) -> None:
        self._moods = moods
        self.passages: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(self, question: str, passages: Sequence[Passage], *, timeout_s: float) -> Iterator[str]:
        mood = self._moods[len(self.passages) % len(self._moods)]
        self.passages.append(passages[0].text)
        if mood == "fails":
            raise EndpointFault("did not finish in time")
        if mood == "asks":
            yield f"Question: {passages[0].text[:60].replace(chr(10), ' ')}, "
            yield "what is that?\nI hope this helps."
        elif mood != "silent":
            yield mood


def test_what_a_model_writes_is_looked_over_and_its_failures_are_counted(house: House) -> None:
    moods = ["asks", "fails", "silent", "asks", "I cannot say.", "Why?", "asks", "What is " + "very " * 70 + "long?"]
    made = write(house, ModelWriter(Clerk(moods), timeout_s=1), 12)
    assert len(made.kept) == 12
    assert all(pair.query.endswith("what is that?") for pair, _ in made.kept)
    assert not any(pair.query.startswith("Question") for pair, _ in made.kept)
    assert made.failed > 0
    assert made.empty > made.failed


def test_a_model_that_only_fails_is_given_up(house: House) -> None:
    clerk = Clerk(["fails"])
    with pytest.raises(EndpointFault):
        write(house, ModelWriter(clerk, timeout_s=1), 50)
    assert len(clerk.passages) == FAILURES_IN_A_ROW
