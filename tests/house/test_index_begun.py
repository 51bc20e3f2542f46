"""A generation of the index that is begun before what changes is known."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.core.errors import EngineFault, StorageFault
from freehold.core.shelf import Changes
from freehold.house import House
from freehold.index.locks import FileLock
from freehold.index.record import LOCK_NAME


@pytest.fixture
def house(tmp_path: Path, minilm: Path) -> Iterator[House]:
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "orchard.txt").write_text("The orchard has forty apple trees, picked in September.")
    (papers / "harbour.txt").write_text("The harbour master keeps the ledger of berths, and every berth is paid for.")
    with House.create(tmp_path / "house", {"house.name": "begun"}) as house:
        house.ingest([papers])
        yield house


def silent(step: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def removed(house: House) -> set[str]:
    """Take the orchard off the shelf; the ids of its chunks."""
    orchard = [known.document_id for source, known in house.shelf.known().items() if source.endswith("orchard.txt")]
    chunks = house.shelf.chunks_of(orchard)
    house.shelf.commit(Changes(remove=orchard))
    return chunks


def generations(house: House) -> list[str]:
    return [path.name for path in (house.root / "index").glob("generation-*")]


def test_a_sync_goes_on_from_what_was_begun(house: House) -> None:
    with house.index_begun():
        gone = removed(house)
        assert house.indexes.present(gone) == gone
        assert len(generations(house)) == 2
        house.sync_indexes(silent)
        assert house.indexes.present(gone) == set()
        assert house.indexes.sweep() == ()
    current = house.generation()
    assert current is not None
    assert generations(house) == [current.name]
    assert (current.revision, current.points) == (house.shelf.revision, len(house.shelf.chunk_ids()))
    assert all(hit.chunk_id not in gone for hit in house.search("apple trees", k=5).hits)


def test_what_was_begun_and_not_gone_on_with_leaves_nothing(house: House) -> None:
    before = house.generation()
    assert before is not None
    with pytest.raises(KeyError), house.index_begun():
        raise KeyError
    assert house.generation() == before
    assert generations(house) == [before.name]
    assert house.indexes.sweep() == ()


def test_a_sync_from_nothing_lets_go_of_what_was_begun(house: House) -> None:
    with house.index_begun():
        gone = removed(house)
        house.indexes.sync(house.crew, silent, rebuild=True)
        assert house.indexes.present(gone) == set()
    assert len(generations(house)) == 1


def test_a_damaged_index_is_made_anew_also_where_it_was_begun(house: House) -> None:
    damaged = house.generation()
    assert damaged is not None
    shutil.rmtree(house.root / "index" / damaged.name / "shard")
    with house.index_begun():
        gone = removed(house)
        with pytest.raises((EngineFault, StorageFault)):
            house.indexes.present(gone)
        house.sync_indexes(silent)
    assert house.indexes.present(gone) == set()
    assert [Path(hit.source).name for hit in house.search("the berths", k=5).hits] == ["harbour.txt"]


def test_a_builder_that_dies_is_no_damage(house: House) -> None:
    before = house.generation()
    with house.index_begun():
        removed(house)
        house.indexes._begun._builder._child._process.kill()
        with pytest.raises(EngineFault, match="killed by signal 9"):
            house.sync_indexes(silent)
    assert house.generation() == before
    house.sync_indexes(silent)
    assert len(house.search("apple trees", k=5).hits) == 1


def test_where_another_builds_nothing_is_begun(house: House) -> None:
    another = FileLock.acquire(house.root / "index" / LOCK_NAME, shared=False)
    with house.index_begun():
        removed(house)
        another.release()
        house.sync_indexes(silent)
    assert len(generations(house)) == 1
