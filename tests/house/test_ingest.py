"""Ingest as a whole: what is new, changed, unchanged, vanished, repeated or bad."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.core.errors import NeedsPerson, StorageFault, UsageError
from freehold.house import House
from freehold.journeys.sources import find_files

ORCHARD = "The orchard has forty apple trees. They are pruned in February and picked in September. " * 4
HARBOUR = "The harbour master keeps the ledger of berths. Every berth is paid for in advance. " * 4


@pytest.fixture
def house(tmp_path: Path, minilm: Path) -> Iterator[House]:
    with House.create(tmp_path / "house", {"house.name": "ingest"}) as house:
        yield house


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "orchard.txt").write_text(ORCHARD)
    (folder / "harbour.txt").write_text(HARBOUR)
    return folder


def sources(house: House) -> set[str]:
    return {Path(source).name for source in house.shelf.known()}


def test_unchanged_files_cost_nothing(house: House, papers: Path) -> None:
    first = house.ingest([papers])
    assert (first.documents, first.skipped) == (2, 0)
    generation = house.generation()
    second = house.ingest([papers])
    assert (second.documents, second.skipped, second.embedded) == (0, 2, 0)
    assert house.generation() == generation


def test_a_changed_file_replaces_its_old_version_and_reuses_what_it_shares(house: House, papers: Path) -> None:
    kept = "# Rules\n\n" + "\n\n".join(f"## Rule {i}\n\nRule {i} speaks of topic {i} at some length." for i in range(6))
    (papers / "rules.md").write_text(kept)
    before = house.ingest([papers])
    (papers / "rules.md").write_text(kept + "\n\n## Rule 6\n\nRule 6 is new and speaks of lanterns.")
    after = house.ingest([papers])
    assert (after.documents, after.replaced, after.skipped) == (1, 1, 2)
    assert after.embedded < after.chunks <= before.chunks
    assert len(house.shelf.known()) == 3
    assert "lanterns" in house.search("which rule speaks of lanterns", k=1).hits[0].text


def test_a_file_gone_bad_keeps_its_earlier_version(house: House, papers: Path) -> None:
    house.ingest([papers])
    (papers / "harbour.txt").write_bytes(b"")
    report = house.ingest([papers])
    assert [q.code for q in report.quarantined] == ["empty"]
    assert "harbour.txt" in sources(house)
    assert "ledger" in house.search("who keeps the ledger of berths", k=1).hits[0].text
    (papers / "harbour.txt").write_text(HARBOUR)
    assert not house.ingest([papers]).quarantined
    assert not house.shelf.quarantined()


def test_a_bad_file_is_not_read_twice_unless_the_limits_change(house: House, papers: Path) -> None:
    (papers / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing that follows from it")
    first = house.ingest([papers])
    assert [Path(q.source).name for q in first.quarantined] == ["broken.pdf"]
    assert house.ingest([papers]).quarantined == first.quarantined
    house.settings = house.settings.with_values({"ingest.max_file_mb": 65}, origin="test")
    again = house.ingest([papers]).quarantined
    assert again[0].limits != first.quarantined[0].limits


def test_prune_forgets_only_below_the_given_paths(house: House, papers: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.txt").write_text("A note about lighthouses and their keepers.")
    house.ingest([papers, other])
    (papers / "orchard.txt").unlink()
    (other / "note.txt").unlink()
    assert house.ingest([papers]).removed == 0
    assert house.ingest([papers], prune=True).removed == 1
    assert sources(house) == {"harbour.txt", "note.txt"}
    with pytest.raises(NeedsPerson, match="nothing is left"):  # an unmounted share looks just like this
        house.ingest([other], prune=True)
    assert "note.txt" in sources(house)
    assert house.ingest([other], prune=True, emptied=True).removed == 1
    assert sources(house) == {"harbour.txt"}
    other.rmdir()
    with pytest.raises(UsageError, match="does not exist"):
        house.ingest([other], prune=True)


def test_prune_keeps_what_lies_in_a_folder_that_cannot_be_read(house: House, papers: Path) -> None:
    locked = papers / "locked"
    locked.mkdir()
    (locked / "note.txt").write_text("A note about lighthouses and their keepers.")
    house.ingest([papers])
    files = find_files([papers], max_bytes=10**6, leave_out=house.root, progress=lambda _: None)
    note = str(locked / "note.txt")
    del files.found[note]
    files.blind.append(str(locked))  # as os.walk reports it; a test that runs as root can read every folder
    assert note not in house._vanished([papers], files, emptied=False)


def test_odd_things_in_a_folder(house: House, papers: Path) -> None:
    os.mkfifo(papers / "pipe")
    (papers / "loop").symlink_to("loop")
    (papers / "dangling").symlink_to("nowhere")
    Path(os.fsdecode(os.fsencode(papers) + b"/caf\xe9.txt")).write_text("A file whose name is not UTF-8.")
    (papers / "odd\x1b[31mname.txt").write_text("A file with an escape sequence in its name, about kettles.")
    report = house.ingest([papers])
    assert report.documents == 3
    assert len(report.quarantined) == 4
    titles = [house.shelf.document(k.document_id).title for k in house.shelf.known().values()]
    assert all(title.isprintable() for title in titles)


def test_the_house_does_not_ingest_itself(house: House, papers: Path) -> None:
    house.ingest([papers])
    report = house.ingest([house.root.parent])
    assert not [q for q in report.quarantined if str(house.root) in q.source]
    assert not [source for source in house.shelf.known() if Path(source).is_relative_to(house.root)]


def test_a_damaged_index_is_made_anew(house: House, papers: Path) -> None:
    house.ingest([papers])
    generation = house.generation()
    assert generation is not None
    shutil.rmtree(house.root / "index" / generation.name)
    house.indexes.close()
    assert "apple" in house.search("apple trees", k=1).hits[0].text


def test_a_house_without_its_catalog_destroys_nothing(house: House, papers: Path) -> None:
    house.ingest([papers])
    house.close()
    for path in house.root.glob("catalog.sqlite*"):
        path.unlink()
    blobs = sorted(house.root.glob("blobs/*/*"))
    assert blobs
    with pytest.raises(StorageFault, match="missing"):
        House(house.root)
    assert sorted(house.root.glob("blobs/*/*")) == blobs


def test_a_house_in_a_folder_with_odd_letters(tmp_path: Path, papers: Path, minilm: Path) -> None:
    with House.create(tmp_path / "what?mode=ro&x[red]#", {}) as house:
        house.ingest([papers])
        assert house.search("apple trees", k=1).hits
        assert (house.root / "catalog.sqlite").is_file()


def test_near_duplicates_are_linked(house: House, papers: Path) -> None:
    register = " ".join(f"Tree {i} stands in row {i % 7} and bore {i * 3} apples in its year." for i in range(60))
    (papers / "orchard.txt").write_text(register)
    (papers / "orchard-copy.txt").write_text(register + " One more tree was planted.")
    report = house.ingest([papers])
    assert len(report.near_duplicates) == 1
    assert {Path(report.near_duplicates[0].source).name, Path(report.near_duplicates[0].of).name} == {
        "orchard.txt",
        "orchard-copy.txt",
    }
    assert house.stats().near_duplicates == 1


def test_other_chunking_makes_documents_anew(house: House, papers: Path) -> None:
    house.ingest([papers])
    house.settings = house.settings.with_values({"chunking.kind": "sentences"}, origin="test")
    report = house.ingest([papers])
    assert (report.documents, report.replaced) == (2, 2)


def test_other_languages_make_the_index_anew(house: House, papers: Path) -> None:
    house.ingest([papers])
    generation = house.generation()
    house.settings = house.settings.with_values({"house.languages": ("en", "de")}, origin="test")
    house.settings = house.settings.with_values({"embedder.model": "all-minilm-l6-v2"}, origin="test")
    house.indexes.close()
    del house.terms, house.indexes
    house.ingest([papers])
    assert house.generation() != generation


def test_beir_records_keep_their_ids(house: House, tmp_path: Path) -> None:
    records = [
        {"_id": "a1", "title": "Orchards", "text": ORCHARD, "metadata": {"region": "north", "row": 3}},
        {"_id": "a2", "title": "", "text": HARBOUR},
        {"_id": "a2", "text": "the same id again"},
        {"_id": "a3", "text": "   "},
        {"text": "no id"},
    ]
    strange = ["not json", '{"_id": "b", "text": "x", "metadata": [1]}', '{"_id": "b", "text": "x", "title": 7}']
    strange += ['{"_id": "\\ud800", "text": "x"}', '{"_id": "b", "text": ' + "[" * 100_000, ""]
    lines = [json.dumps(record) for record in records] + strange
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    report = house.ingest_beir(tmp_path)
    assert set(house.shelf.known()) == {"a1", "a2"}
    bad = {q.source.rpartition("corpus.jsonl")[2]: q.code for q in report.quarantined}
    malformed = dict.fromkeys((":5", ":6", ":7", ":8", ":9", ":10"), "malformed")
    assert bad == {":3": "duplicate", "a3": "no_text", **malformed}
    found = house.search("when are apples picked", k=5, filter={"region": "north"})
    assert {hit.source for hit in found.hits} == {"a1"}
    again = house.ingest_beir(tmp_path)
    assert (again.documents, again.skipped, len(again.quarantined)) == (0, 2, 8)


def test_chunks_are_exact_slices_with_their_page(house: House, papers: Path) -> None:
    house.ingest([papers])
    for hit in house.search("berths and apple trees", k=50).hits:
        document = house.shelf.document(hit.document_id)
        assert document.text[hit.start : hit.end] == hit.text


def test_a_reader_sees_what_another_process_wrote(house: House, papers: Path) -> None:
    house.ingest([papers])
    with House(house.root) as reader:
        assert reader.search("apple trees", k=1).hits
        (papers / "lighthouse.txt").write_text("The lighthouse keeper winds the lamp every evening.")
        house.ingest([papers])
        assert "lamp" in reader.search("who winds the lamp of the lighthouse", k=1).hits[0].text
