"""The raw search finds what is planted in real files, however stores write it; without a control it is nothing."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
import unicodedata
import zipfile
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.ids import new_id
from freehold.core.types import Point, SparseVector
from freehold.index.qdrant_edge import QdrantEdgeIndex
from freehold.proof.scan import Needles, Probe, forms, plain_forms, scan, vector_forms

NAME = "Müller-Lüdenscheidt"


def hits(root, text: str) -> dict[str, int]:
    return scan(root, {"it": Needles(forms(text))})["it"]


@pytest.mark.parametrize(
    "written",
    [
        NAME.encode(),
        NAME.upper().encode(),
        unicodedata.normalize("NFD", NAME).encode(),
        NAME.encode("utf-16-le"),
        json.dumps({"a": NAME}).encode(),
        quote(NAME).encode(),
        base64.b64encode(b"x" + NAME.encode() + b"yz"),
        base64.b64encode(b"xy" + NAME.encode()),
        gzip.compress(b"before " + NAME.encode() * 3, mtime=0),
    ],
)
def test_however_it_is_written(tmp_path, written):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.tmp").write_bytes(b"\0" * 4099 + written + b"\0" * 7)
    if written[:2] == b"\x1f\x8b":
        (tmp_path / ".hidden" / "x.tmp").write_bytes(written)
    assert list(hits(tmp_path, NAME)) == [".hidden/x.tmp"]
    assert not hits(tmp_path, "Somebody Else")


def test_within_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f"<w:t>{NAME}</w:t>" * 50)
    assert hits(tmp_path, NAME)


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_deleted_rows_of_a_database(tmp_path, journal):
    database = sqlite3.connect(tmp_path / "x.sqlite")
    database.execute(f"PRAGMA journal_mode = {journal}")
    database.execute("PRAGMA secure_delete = OFF")
    database.execute("CREATE TABLE t (a TEXT)")
    database.executemany("INSERT INTO t VALUES (?)", [(f"row {n} " + NAME * (n == 5) + "." * 300,) for n in range(50)])
    database.commit()
    assert hits(tmp_path, NAME)
    database.execute("DELETE FROM t WHERE a LIKE 'row 5 %'")
    database.commit()
    assert hits(tmp_path, NAME)  # a delete is no erasure
    database.execute("VACUUM")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    assert not hits(tmp_path, NAME)


def test_a_row_that_lies_over_pages_is_read_by_its_column(tmp_path):
    with sqlite3.connect(tmp_path / "x.sqlite") as database:
        database.execute("PRAGMA page_size = 512")
        database.execute("CREATE TABLE t (a TEXT)")
        for shift in range(0, 4200, 7):  # somewhere the name straddles a page
            database.execute("INSERT INTO t VALUES (?)", ("." * (4000 + shift) + NAME + "." * 5000,))
    raw = (tmp_path / "x.sqlite").read_bytes().count(NAME.encode())
    assert raw < 600
    assert hits(tmp_path, NAME)["x.sqlite"] >= 600


def test_vectors_of_the_engine_after_a_delete_alone_and_after_it_forgot(tmp_path):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(40, 16)).astype("f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [new_id() for _ in vectors]
    index = QdrantEdgeIndex.create(tmp_path / "i", dim=16)
    index.upsert([Point(i, new_id(), v, SparseVector([1], [1.0]), {}) for i, v in zip(ids, vectors, strict=True)])
    index.optimize()
    index.flush()
    gone, lives = (Needles(vector_forms(vectors[n])) for n in (0, 1))
    assert scan(tmp_path, {"gone": gone})["gone"]
    index.delete([ids[0]])
    index.flush()
    assert scan(tmp_path, {"gone": gone})["gone"]
    index.optimize()
    index.close()
    found = scan(tmp_path, {"gone": gone, "lives": lives})
    assert not found["gone"]
    assert found["lives"]


def test_what_begins_another_is_not_it(tmp_path):
    (tmp_path / "x").write_text("policies HH-4471-09823 and XHH-4471-0982")
    assert not scan(tmp_path, {"it": Needles((), whole=plain_forms("HH-4471-0982"))})["it"]
    (tmp_path / "x").write_text("policy HH-4471-0982.")
    assert scan(tmp_path, {"it": Needles((), whole=plain_forms("HH-4471-0982"))})["it"]


@given(
    data=st.binary(max_size=300),
    needles=st.lists(st.binary(min_size=4, max_size=9), min_size=1, max_size=5, unique=True),
    places=st.lists(st.integers(0, 300), max_size=4),
)
def test_as_many_as_a_plain_search_finds(data, needles, places):
    for place, needle in zip(places, needles, strict=False):
        data = data[:place] + needle + data[place:]
    plain = sum(data.startswith(needle, at) for needle in needles for at in range(len(data)))
    assert Needles(needles).count(data) == plain


def test_without_a_living_control_nothing_is_known():
    assert Probe("p", "raw-bytes", "house", 0, 0).verdict == "inconclusive"
    assert Probe("p", "raw-bytes", "house", 1, 0).verdict == "pass"
    assert Probe("p", "raw-bytes", "house", 1, 1).verdict == "fail"
    with pytest.raises(ValueError, match="too short"):
        Needles([b"abc"])
