"""The law of the house: ``erase(ingest(A ∪ B), B)`` equals ``ingest(A)``, store by store, random ids mapped."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import practice
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from freehold.core.ids import new_id
from freehold.core.traffic import Asked, Feedback, Shown
from freehold.core.types import Mention
from freehold.erasing import walk
from freehold.erasing.identity import mentions_of
from freehold.house import House, open_house
from freehold.privacy.subjects import parse_subject
from freehold.store.traffic import TrafficLog

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
WORDS = ("harbour", "invoice", "roof", "clause", "garden", "notice", "ladder", "excess", "premium", "window")
PEOPLE = (
    ("Odalys Quintero", "odalys.quintero@example.org"),
    ("Thaddeus Brackenridge", "thaddeus.brackenridge@example.org"),
    ("Ingeborg Vestergaard", "ingeborg.vestergaard@example.org"),
)

papers = st.lists(
    st.tuples(st.integers(0, len(PEOPLE) - 1), st.lists(st.sampled_from(WORDS), min_size=4, max_size=25)),
    min_size=1,
    max_size=6,
)


def text_of(person: int, words: list[str]) -> str:
    name, address = PEOPLE[person]
    return f"Dear {name},\n\nthe {' and the '.join(words)} are settled. You wrote from {address}.\n"


def mentioned(house: House) -> list[tuple[Mention, ...]]:
    """Where each document names people, kept for those that an erasure had to look at, found now for the others."""
    return mentions_of(house).of([house.shelf.document(words.document_id) for words in house.shelf.words()])


def converse(root: Path) -> None:
    """Everybody is asked about, and a search shows all papers."""
    with open_house(root) as house:
        log = TrafficLog(root, house.shelf, queries=True, answers=True)
        views = sorted(house.shelf.views(house.shelf.chunk_ids()).values(), key=lambda view: view.source)
        hits = [Shown(rank, view.chunk.document_id, view.chunk.id) for rank, view in enumerate(views, 1)]
        for view, hit in zip(views, hits, strict=True):
            name = next(name for name, _ in PEOPLE if name in house.shelf.text(hit.document_id))
            text = view.chunk.text
            log.put([Asked(new_id(), NOON, "ask", f"what of {name}", (hit,), answer=text, abstained=False)])
        search = Asked(new_id(), NOON, "search", "what is settled", tuple(hits))
        log.put([search, *(Feedback(search.id, "click", NOON, hit.chunk_id) for hit in hits)])
        log.close()


def dump(root: Path) -> dict[str, Any]:
    """Everything that the stores keep, without ids and times: what a later ingest, search or training could see."""
    with open_house(root) as house:
        shelf = house.shelf
        ids = sorted(shelf.chunk_ids())
        views = shelf.views(ids)
        maker = house.crew.encoder.info.digest
        points = {item.view.chunk.id: item for item in shelf.indexable(ids, maker)}
        index = house.indexes.of(maker)
        indexed: set[str] = set()
        dimensions = {}
        if index.current() is not None:
            opened = index.open_current()
            indexed = set(opened.ids())
            for id in ids:
                legs = opened.search(dense=points[id].dense, limit=1000, exact=True)
                dimensions[_key(views[id])] = sorted(
                    (_key(views[s.chunk_id]), round(s.score, 4)) for s in legs["dense"] if s.chunk_id in views
                )
            opened.close()
        known = {source: k.sha256 for source, k in shelf.known().items()}
        return {
            "documents": sorted(
                (Path(w.source).name, known[w.source], w.title, w.language, sorted(w.metadata.items()), w.text)
                for w in shelf.words()
            ),
            "chunks": sorted((_key(view), view.chunk.heading_path, view.chunk.page) for view in views.values()),
            # A sum of float32 differs in its last bit by how long the other texts of a batch were.
            "vectors": sorted((_key(views[id]), np.round(points[id].dense, 5).tolist()) for id in ids),
            "codes": sorted((_key(views[id]), c.data if c else b"") for id, c in shelf.codes(ids, maker).items()),
            "index": sorted(_key(views[id]) for id in indexed),
            "index is the catalog": indexed == set(ids),
            "similar": sorted(dimensions.items()),
            "originals": sum(1 for _ in (house.root / "blobs").glob("*/*")),
            "keys": len(shelf.vault.ids()),
            "quarantine": sorted(shelf.quarantined()),
            "mentions": sorted(
                (Path(words.source).name, [(m.start, m.end, m.kind) for m in found])
                for words, found in zip(shelf.words(), mentioned(house), strict=True)
            ),
            "sketches": len(shelf.candidates({b""})),  # too short a clue to leave any out
            "signatures": sorted(signature for _, signature in shelf.signatures()),
            "restricted": len(shelf.restricted()),
            # In the order of the hits: that a rank is missing is all that is left of one that is gone.
            "asked": sorted((q.kind, q.text, q.answer or "", _names(q, views)) for q in house.traffic.all()),
            "clicks": sorted(_key(views[event["chunk_id"]]) for event in house.traffic.feedback()),
        }


def _names(question: Asked, views: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    return [_key(views[hit.chunk_id]) for hit in question.shown if hit.chunk_id]


def _key(view: Any) -> tuple[str, int, int]:
    return Path(view.source).name, view.chunk.start, view.chunk.end


@settings(max_examples=6, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # an example takes seconds
@given(papers=papers, gone=st.integers(0, len(PEOPLE) - 1))
def test_after_an_erasure_they_never_came(minilm, papers, gone):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files = {f"{at}.txt": (person, text_of(person, words)) for at, (person, words) in enumerate(papers)}
        others = {name: text for name, (person, text) in files.items() if person != gone}
        all_of_them = {name: text for name, (_, text) in files.items()}
        practice.build(root / "both", all_of_them)
        with House.create(root / "one" / "house", {"house.name": "practice", "house.languages": ("en",)}) as house:
            folder_of_others = practice.write(root / "one" / "papers", others)
            if others:
                house.ingest([folder_of_others])
        for side in ("both", "one"):
            converse(root / side / "house")
        name, address = PEOPLE[gone]
        with open_house(root / "both" / "house") as house:
            request = walk.receive(house, parse_subject([("name", name), ("email", address)]), "17(1)(b)")
            walk.carry_out(house, request, walk.Orders(), lambda *_: None)
        assert dump(root / "both" / "house") == dump(root / "one" / "house")
