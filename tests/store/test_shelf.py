"""The system of record: what is committed stays, what is removed leaves no byte."""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from freehold.core.errors import HouseBusy, StorageFault
from freehold.core.ids import new_id, sha256_hex
from freehold.core.shelf import Changes, Entry, NearDuplicate, Quarantined, Vectors
from freehold.core.types import Chunk, Document, Heading, Page, TokenCodes
from freehold.store import catalog
from freehold.store.lock import writer_lock
from freehold.store.shelf import HouseShelf
from freehold.store.tables import SKETCHES, sketches
from freehold.store.vault import Vault, seal, unseal

DIM = 8
MAKER = "the encoder's digest"


def entry(source: str, text: str, *, pieces: int = 2) -> Entry:
    document = Document(
        id=new_id(),
        source=source,
        title=f"title of {source}",
        text=text,
        language="en",
        pages=(Page(1, 0, len(text)),),
        headings=(Heading(1, 0, 5),),
        metadata={"tenant": "a"},
    )
    step = max(1, len(text) // pieces)
    chunks = tuple(
        Chunk(new_id(), document.id, i, start, min(len(text), start + step), text[start : start + step], ("Top",), 1)
        for i, start in enumerate(range(0, len(text), step))
    )
    rng = np.random.default_rng(len(text))
    vectors = tuple(Vectors(rng.normal(size=DIM).astype(np.float32), TokenCodes(rng.bytes(40), 5)) for _ in chunks)
    return Entry(
        document=document,
        sha256=sha256_hex(text.encode()),
        recipe="r1",
        signature=b"\1" * 16,
        chunks=chunks,
        keys=tuple(f"{source}-{i}".encode() for i in range(len(chunks))),
        vectors=vectors,
        maker=MAKER,
        original=text.encode(),
    )


@pytest.fixture
def shelf(tmp_path: Path) -> HouseShelf:
    return HouseShelf(tmp_path)


def raw(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


def test_what_is_committed_comes_back_whole(shelf: HouseShelf) -> None:
    kept = entry("a.txt", "Größe ✓ of the first document, with some length to it.")
    shelf.commit(Changes(add=[kept]))
    assert shelf.document(kept.document.id) == kept.document
    views = shelf.views([chunk.id for chunk in kept.chunks])
    assert [views[chunk.id].chunk for chunk in kept.chunks] == list(kept.chunks)
    assert views[kept.chunks[0].id].source == "a.txt"
    assert shelf.original(kept.document.id) == kept.original
    cached = shelf.cached(kept.keys)
    for key, vectors in zip(kept.keys, kept.vectors, strict=True):
        np.testing.assert_array_equal(cached[key].dense, vectors.dense)
        assert cached[key].codes == vectors.codes
    items = {item.view.chunk.id: item for item in shelf.indexable(sorted(shelf.chunk_ids()), MAKER)}
    assert items.keys() == {chunk.id for chunk in kept.chunks}
    assert items[kept.chunks[0].id].fields["tenant"] == "a"
    assert shelf.known()["a.txt"].document_id == kept.document.id


def test_it_survives_reopening(shelf: HouseShelf, tmp_path: Path) -> None:
    kept = entry("a.txt", "a text that stays")
    shelf.commit(Changes(add=[kept]))
    shelf.close()
    again = HouseShelf(tmp_path)
    assert again.revision == 1
    assert again.document(kept.document.id) == kept.document
    assert again.original(kept.document.id) == b"a text that stays"


def test_documents_of_before_there_were_sketches_get_theirs(shelf: HouseShelf, tmp_path: Path) -> None:
    entries = [entry("a.txt", "Anna Keller wrote."), entry("b.txt", "Nobody wrote.")]
    shelf.commit(Changes(add=entries))
    assert shelf.candidates({b"keller"}) == {entries[0].document.id}
    shelf.close()
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as c, c:
        c.execute(f"ALTER TABLE {sketches.name} RENAME TO {SKETCHES}_of_another_form")
    again = HouseShelf(tmp_path)
    assert again.candidates({b"keller"}) == {entries[0].document.id}
    assert again.candidates({b"b.txt"}) == {entries[1].document.id}
    again.close()
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as c:
        assert [row[0] for row in c.execute("SELECT name FROM sqlite_master WHERE name LIKE 'sketches%'")] == [
            sketches.name
        ]


def test_removed_means_no_byte_is_left(shelf: HouseShelf, tmp_path: Path) -> None:
    gone = entry("gone.txt", "MARKER-ZQXV belongs to somebody", pieces=3)
    stays = entry("stays.txt", "SENTINEL-KLMP belongs to somebody else", pieces=3)
    shelf.commit(Changes(add=[gone, stays]))
    needles = [b"MARKER-ZQXV", gone.document.id.encode(), gone.vectors[0].dense.tobytes()]
    assert all(needle in raw(tmp_path) for needle in needles)  # the scan can see them while they are there
    shelf.commit(Changes(remove=[gone.document.id]))
    after = raw(tmp_path)
    assert not any(needle in after for needle in needles)
    assert b"SENTINEL-KLMP" in after
    assert shelf.known().keys() == {"stays.txt"}
    with pytest.raises(StorageFault):
        shelf.original(gone.document.id)


def test_replacing_is_one_step(shelf: HouseShelf) -> None:
    old, new = entry("a.txt", "the old wording"), entry("a.txt", "the new wording")
    shelf.commit(Changes(add=[old]))
    shelf.commit(Changes(add=[new], remove=[old.document.id]))
    assert shelf.known()["a.txt"].document_id == new.document.id
    assert shelf.chunk_ids() == {chunk.id for chunk in new.chunks}


def test_a_commit_that_fails_changes_nothing(shelf: HouseShelf) -> None:
    first = entry("a.txt", "the first")
    shelf.commit(Changes(add=[first]))
    twice = entry("b.txt", "of two with one source")
    with pytest.raises(StorageFault):
        shelf.commit(Changes(add=[twice, dataclasses.replace(entry("b.txt", "the other"))], remove=[first.document.id]))
    assert shelf.revision == 1
    assert shelf.known().keys() == {"a.txt"}
    shelf.sweep()
    assert shelf.original(first.document.id) == b"the first"


def test_errors_of_the_database_hold_no_words(shelf: HouseShelf) -> None:
    one = entry("a.txt", "Jane Doe's diagnosis")
    shelf.commit(Changes(add=[one]))
    with pytest.raises(StorageFault) as caught:
        shelf.commit(Changes(add=[entry("a.txt", "Jane Doe's other diagnosis")]))
    assert "Jane" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_links_to_removed_near_duplicates_are_cut(shelf: HouseShelf) -> None:
    first = entry("a.txt", "the first")
    second = dataclasses.replace(entry("b.txt", "the fist"), near_duplicate=NearDuplicate(first.document.id, 0.93))
    shelf.commit(Changes(add=[first, second]))
    assert shelf.stats().near_duplicates == 1
    shelf.commit(Changes(remove=[first.document.id]))
    assert shelf.stats().near_duplicates == 0


def test_quarantine_is_kept_and_released(shelf: HouseShelf) -> None:
    bad = Quarantined("x.pdf", "encrypted", "the file needs a password", sha256="00", limits="l1")
    shelf.commit(Changes(quarantine=[bad]))
    assert shelf.quarantined() == {"x.pdf": bad}
    assert shelf.revision == 0  # nothing to search has changed
    shelf.commit(Changes(release=["x.pdf"]))
    assert not shelf.quarantined()


def test_sweep_clears_what_no_row_speaks_of(shelf: HouseShelf, tmp_path: Path) -> None:
    kept = entry("a.txt", "stays")
    shelf.commit(Changes(add=[kept]))
    orphan = new_id()
    key = shelf.vault.create([orphan])[orphan]
    shelf.blobs.put(orphan, b"leftover of a crash", key=key)
    half = shelf.blobs.path(kept.document.id).with_name("half-written.new")
    half.write_bytes(b"half")
    shelf.sweep()
    assert shelf.vault.ids() == {kept.document.id}
    assert [path.name for path in (tmp_path / "blobs").glob("*/*")] == [kept.document.id]


def test_names_of_keys(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    documents = [new_id() for _ in range(1_001)]
    vault.create(documents)
    for name in ("backup:training/b", "backup:training/a", "backup:models/a", "backups:x", "request:1"):
        vault.ensure(name)
    assert vault.named("backup:training/") == ["backup:training/a", "backup:training/b"]
    assert vault.named("backup:") == ["backup:models/a", "backup:training/a", "backup:training/b"]
    assert vault.present([*documents, "request:1", new_id()]) == {*documents, "request:1"}
    assert vault.present([]) == set()
    assert vault.ids() == set(documents)


@pytest.mark.parametrize("few", [0, 100])
def test_chunks_in_the_order_in_which_they_came(shelf: HouseShelf, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(catalog, "_FEW_CHUNKS", few)
    entries = [entry(f"{number}.txt", f"of {number}, at some length", pieces=3) for number in range(5)]
    for one in entries:
        shelf.commit(Changes(add=[one]))
    shelf.commit(Changes(remove=[entries[1].document.id]))
    expected = [chunk.id for one in (entries[0], *entries[2:]) for chunk in one.chunks]
    assert shelf.in_order(shelf.chunk_ids()) == expected
    assert shelf.in_order({expected[7], expected[2], entries[1].chunks[0].id}) == [expected[2], expected[7]]
    assert shelf.in_order(()) == []


def test_commitments_are_of_bytes_and_salts_in_the_order_of_ids(shelf: HouseShelf, tmp_path: Path) -> None:
    entries = [entry("a.txt", "of A"), entry("b.txt", "of B"), entry("c.txt", "of C")]
    shelf.commit(Changes(add=entries))
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        salts = dict(connection.execute("SELECT document_id, salt FROM salts"))
    expected = [
        sha256(b"\0" + salts[e.document.id] + f'"{e.sha256}"'.encode()).digest()
        for e in sorted(entries, key=lambda e: e.document.id)
    ]
    assert shelf.commitments() == expected
    shelf.commit(Changes(remove=[entries[1].document.id]))
    assert len(shelf.commitments()) == 2


def test_a_catalog_from_before_commitments_were_kept_keeps_them(shelf: HouseShelf, tmp_path: Path) -> None:
    shelf.commit(Changes(add=[entry("a.txt", "of A"), entry("b.txt", "of B")]))
    made = shelf.commitments()
    shelf.close()
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        connection.execute("ALTER TABLE salts DROP COLUMN leaf")
    older = HouseShelf(tmp_path)
    assert older.commitments() == made
    older.commit(Changes(add=[entry("c.txt", "of C")]))
    assert len({*older.commitments()} - {*made}) == 1
    older.close()


def test_commitments_while_another_process_removes(shelf: HouseShelf, tmp_path: Path) -> None:
    entries = [entry(f"{number}.txt", f"of {number}") for number in range(40)]
    shelf.commit(Changes(add=entries))
    other = HouseShelf(tmp_path)
    going = threading.Thread(target=lambda: [other.commit(Changes(remove=[e.document.id])) for e in entries])
    going.start()
    counts = [len(shelf.commitments())]
    while going.is_alive():
        counts.append(len(shelf.commitments()))
    assert counts == sorted(counts, reverse=True)
    other.close()


def test_chunks_with_vectors_of_a_maker_but_what_is_hidden(shelf: HouseShelf) -> None:
    shown, hidden = entry("a.txt", "of A, at length"), entry("b.txt", "of B, at length")
    shelf.commit(Changes(add=[shown, hidden]))
    assert shelf.chunk_ids(MAKER) == {c.id for e in (shown, hidden) for c in e.chunks} == shelf.chunk_ids()
    shelf.restrict([hidden.document.id], "a request")
    assert shelf.chunk_ids(MAKER) == {c.id for c in shown.chunks} == shelf.chunk_ids()
    assert shelf.chunk_ids("another") == set()


def test_sealed_bytes_are_bound_to_key_and_document() -> None:
    key = b"k" * 32
    sealed = seal(key, b"secret", document_id="d1")
    assert unseal(key, sealed, document_id="d1") == b"secret"
    assert b"secret" not in sealed
    for other_key, other_id, data in [
        (b"x" * 32, "d1", sealed),
        (key, "d2", sealed),
        (key, "d1", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (key, "d1", b""),
    ]:
        with pytest.raises(StorageFault):
            unseal(other_key, data, document_id=other_id)


def test_a_foreign_or_damaged_house_key_is_told(tmp_path: Path) -> None:
    Vault(tmp_path).create(["d1"])
    (tmp_path / "vault.key").write_bytes(b"z" * 32)
    with pytest.raises(StorageFault, match="does not open"):
        Vault(tmp_path).key("d1")
    (tmp_path / "vault.key").write_bytes(b"short")
    with pytest.raises(StorageFault, match="damaged"):
        Vault(tmp_path)
    (tmp_path / "vault.key").unlink()
    with pytest.raises(StorageFault):
        Vault(tmp_path)
    assert not (tmp_path / "vault.key").exists()  # a new key would bury the old originals for good


def test_the_house_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    Vault(tmp_path)
    assert (tmp_path / "vault.key").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database at all, just some bytes" * 10)
    with pytest.raises(StorageFault, match=r"catalog\.sqlite"):
        HouseShelf(tmp_path)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with writer_lock(tmp_path), pytest.raises(HouseBusy) as caught, writer_lock(tmp_path):
        pass
    assert caught.value.exit_code == 4
    with writer_lock(tmp_path):
        pass
