from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.types import Hit
from freehold.journeys.context import fit
from freehold.models.generate import passage_block
from freehold.text.sentences import sentence_spans

SENTENCE = "Clause {n} says that the insurer pays for damage number {n} within some days."
TEXT = "\n".join(
    f"Heading {part}\n\n" + " ".join(SENTENCE.format(n=10 * part + n) for n in range(8)) + "\n" for part in range(1, 6)
)


def words(text: str) -> int:
    return len(text.split())


def hit(rank: int, start: int, end: int, document: str = "a") -> Hit:
    return Hit(
        rank,
        f"{document}-{start}-{end}",
        document,
        f"{document}.txt",
        "T",
        None,
        start,
        end,
        TEXT[start:end],
        1.0,
        "rrf",
    )


def of_sentence(rank: int, n: int, document: str = "a") -> Hit:
    start = TEXT.index(SENTENCE.format(n=n))
    return hit(rank, start, start + len(SENTENCE.format(n=n)), document)


def fitted(hits, budget=10_000, reach=100):
    return fit(hits, text_of=lambda _: TEXT, count_tokens=words, budget_tokens=budget, neighbour_chars=reach)


hits_anywhere = st.lists(
    st.tuples(st.integers(0, len(TEXT) - 2), st.integers(1, 400), st.sampled_from("ab")), max_size=8
).map(lambda rows: [hit(n, a, min(len(TEXT), a + size), d) for n, (a, size, d) in enumerate(rows, 1)])


@given(hits_anywhere, st.integers(0, 400), st.integers(0, 500))
def test_laws(hits, budget, reach):
    passages, dropped = fitted(hits, budget, reach)
    edges = sentence_spans(TEXT)
    assert all(p.text == TEXT[p.start : p.end] for p in passages)
    assert {p.start for p in passages} <= {a for a, _ in edges} | {h.start for h in hits}
    assert {p.end for p in passages} <= {b for _, b in edges} | {h.end for h in hits}
    assert sum(words(passage_block(n, p)) for n, p in enumerate(passages, 1)) <= budget
    offered = {h.chunk_id for h in hits if any(p.document_id == h.document_id and _holds(p, h) for p in passages)}
    assert {h.chunk_id for h in hits} - offered <= set(dropped)
    for one in passages:
        for other in passages:
            apart = one.document_id != other.document_id or one.end <= other.start or other.end <= one.start
            assert one is other or apart


def _holds(passage, hit) -> bool:
    return (
        passage.start <= hit.start + len(hit.text) - len(hit.text.lstrip())
        and hit.end - (len(hit.text) - len(hit.text.rstrip())) <= passage.end
    )


def test_a_hit_is_widened_to_whole_neighbours():
    (passage,), dropped = fitted([of_sentence(1, 13)], reach=100)
    assert passage.text == " ".join(SENTENCE.format(n=n) for n in (12, 13, 14))
    assert dropped == []


def test_a_cut_hit_is_completed():
    start = TEXT.index(SENTENCE.format(n=13))
    (passage,), _ = fitted([hit(1, start + 10, start + 20)], reach=0)
    assert passage.text == SENTENCE.format(n=13)


def test_widening_stops_at_a_heading():
    (passage,), _ = fitted([of_sentence(1, 20)], reach=300)
    assert passage.text.startswith(SENTENCE.format(n=20))
    assert SENTENCE.format(n=23) in passage.text


def test_windows_that_touch_are_one_and_keep_the_better_rank():
    passages, _ = fitted([of_sentence(1, 31), of_sentence(2, 13), of_sentence(3, 14)], reach=0)
    assert [p.text for p in passages] == [
        SENTENCE.format(n=31),
        SENTENCE.format(n=13) + " " + SENTENCE.format(n=14),
    ]


TWO_SECTIONS = "4 Theft: Theft is covered up to EUR 2,000.\n\n5 Fire: Fire is covered up to EUR 7,000."


@pytest.mark.parametrize("best", [0, 1])
@pytest.mark.parametrize("reach", [0, 400])
def test_each_section_keeps_its_own_heading(best, reach):
    cut = TWO_SECTIONS.index("5 Fire")
    theft = replace(hit(1 + best, 0, cut), text=TWO_SECTIONS[:cut], heading_path=("4 Theft",))
    fire = replace(hit(2 - best, cut, len(TWO_SECTIONS)), text=TWO_SECTIONS[cut:], heading_path=("5 Fire",))
    passages, _ = fit(
        [theft, fire], text_of=lambda _: TWO_SECTIONS, count_tokens=words, budget_tokens=1000, neighbour_chars=reach
    )
    assert {p.heading_path[0]: p.text for p in passages} == {
        "4 Theft": TWO_SECTIONS[:cut].strip(),
        "5 Fire": TWO_SECTIONS[cut:],
    }


def test_same_place_in_two_documents_stays_two():
    passages, _ = fitted([of_sentence(1, 13), of_sentence(2, 13, "b")])
    assert [p.document_id for p in passages] == ["a", "b"]


def test_what_does_not_fit_goes_without_neighbours_then_is_dropped():
    one = of_sentence(1, 13)
    wide, bare = (words(passage_block(1, p)) for p in (fitted([one])[0][0], fitted([one], reach=0)[0][0]))
    other = of_sentence(2, 43)
    passages, dropped = fitted([one, other], budget=wide + bare)
    assert [p.text for p in passages][1] == SENTENCE.format(n=43)
    assert dropped == []
    passages, dropped = fitted([one, other], budget=wide + bare - 1)
    assert len(passages) == 1
    assert dropped == [other.chunk_id]


def test_no_hits_no_passages():
    assert fitted([]) == ([], [])
