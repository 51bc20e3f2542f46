"""The raw scanner finds what is planted in real files, says when it could not look, and tells nobody what it sought."""

from __future__ import annotations

import base64
import bz2
import dataclasses
import gzip
import json
import lzma
import os
import sqlite3
import struct
import unicodedata
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from freehold.proof import layers
from freehold.proof.matching import Matcher, Pattern
from freehold.proof.scan import CHUNK, Probe, scan
from freehold.proof.writings import raw_vector_patterns, text_patterns, vector_patterns

NAME, LIVE = "Eulália Wójcik-Strauß", "sentinel-7b1d living"
EMAIL = "eulalia.wojcik@example.org"


def planted(tmp_path: Path, data: bytes, name: str = "file") -> Path:
    (tmp_path / name).write_bytes(data + b"\n" + LIVE.encode())
    return tmp_path


def told(root: Path, patterns: Iterable[Pattern]) -> Probe:
    """What the pass found of the owner ``gone``, beside that of ``live``."""
    found = scan(root, patterns)
    gone = found.found.get("gone", {})
    lives = sum(found.found.get("live", {}).values())
    return Probe("p", "raw-bytes", "files", lives, sum(gone.values()), tuple(gone), found.unread)


def look(root: Path, *needles: str, live: str = LIVE) -> Probe:
    wanted = [pattern for text in needles or (NAME, EMAIL) for pattern in text_patterns(text, "gone")]
    return told(root, [*wanted, *text_patterns(live, "live")])


def look_vectors(root: Path, vectors: Sequence[NDArray[np.float32]], live: NDArray[np.float32]) -> Probe:
    wanted = [pattern for vector in vectors for pattern in vector_patterns(vector, "gone")]
    return told(root, [*wanted, *raw_vector_patterns(live, "live")])


# -- matching --------------------------------------------------------------------------------------------------------


def occurrences(data: bytes, pattern: bytes) -> list[int]:
    return [at for at in range(len(data)) if data.startswith(pattern, at)]


@given(
    st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=20, unique=True),
    st.lists(st.integers(0, 19) | st.binary(max_size=9), max_size=30),
)
def test_all_patterns_are_found_wherever_they_are(patterns: list[bytes], parts: list[int | bytes]) -> None:
    data = b"".join(patterns[part % len(patterns)] if isinstance(part, int) else part for part in parts)
    found = sorted((at, p.owner) for at, p in Matcher([Pattern(p, str(n)) for n, p in enumerate(patterns)]).find(data))
    assert found == sorted((at, str(n)) for n, p in enumerate(patterns) for at in occurrences(data, p))


@given(st.text("abcdXYZ äÖ", min_size=7, max_size=12), st.binary(max_size=9), st.binary(max_size=9), st.data())
def test_folded_patterns_are_found_in_any_case(text: str, before: bytes, after: bytes, data: st.DataObject) -> None:
    mixed = "".join(c.upper() if c.isascii() and data.draw(st.booleans()) else c for c in text)
    found = [at for at, _ in Matcher([Pattern(text.encode(), "it", folded=True)]).find(before + mixed.encode() + after)]
    assert len(before) in found


# -- text ------------------------------------------------------------------------------------------------------------


def code_page(text: str) -> bytes:
    try:
        return text.encode("cp1250")
    except UnicodeEncodeError:
        return text.encode()


def all_escaped(text: str) -> bytes:
    wide = text.encode("utf-16-be")
    return "".join(f"\\u{unit:04X}" for unit in struct.unpack(f">{len(wide) // 2}H", wide)).encode()


WRITINGS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "upper": lambda s: s.upper().encode(),
    "lower": lambda s: s.lower().encode(),
    "folded": lambda s: s.casefold().encode(),
    "nfd": lambda s: unicodedata.normalize("NFD", s).encode(),
    "utf-16-le": lambda s: s.encode("utf-16-le"),
    "utf-16-be": lambda s: s.encode("utf-16-be"),
    "utf-16 nfd": lambda s: unicodedata.normalize("NFD", s).encode("utf-16"),
    "cp1250": code_page,
    "json": lambda s: json.dumps(s).encode(),
    "json, all escaped": all_escaped,
    "json, slashes": lambda s: json.dumps(s).replace("/", "\\/").encode(),
    "percent": lambda s: urllib.parse.quote(s, safe="").encode(),
    "plus": lambda s: urllib.parse.quote_plus(s).encode(),
    "base64": lambda s: base64.b64encode(s.encode()),
    "base64 +1": lambda s: base64.b64encode(b"x" + s.encode() + b"yz"),
    "base64 +2": lambda s: base64.urlsafe_b64encode(b"\xff\xfe" + s.encode() + b"\xfe"),
    "base64 lower": lambda s: base64.b64encode(s.lower().encode()),
    "zlib": lambda s: zlib.compress(s.encode() * 3),
    "gzip": lambda s: gzip.compress(s.encode() * 3),
    "bzip2": lambda s: bz2.compress(s.encode()),
    "xz": lambda s: lzma.compress(s.encode()),
    "gzip in gzip": lambda s: gzip.compress(b"......" + gzip.compress(s.encode())),
    "zlib, cut short": lambda s: zlib.compress(s.encode() + os.urandom(2000))[:1500],
    "json in base64": lambda s: base64.b64encode(json.dumps({"n": s}, ensure_ascii=False).encode()),
}  # fmt: skip


@pytest.mark.parametrize("how", WRITINGS)
@pytest.mark.parametrize("needle", [NAME, EMAIL, "12/3456-78 ö"])
def test_every_writing_is_found(tmp_path: Path, how: str, needle: str) -> None:
    for shift in range(4):
        root = planted(tmp_path, bytes(shift) + b"..." + WRITINGS[how](needle) + b"...", f"f{shift}")
    found = look(root, needle)
    assert found.verdict == "fail"
    assert set(found.places) == {"f0", "f1", "f2", "f3"}


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zs"]), min_size=5, max_size=12),
    st.sampled_from(sorted(WRITINGS)),
    st.binary(max_size=40),
    st.binary(max_size=40),
)
@example("abcdé", "utf-16-be", b"\0", b"")
@settings(max_examples=150)
def test_any_text_in_any_writing_after_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, needle: str, how: str, before: bytes, after: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "f").write_bytes(before + WRITINGS[how](needle) + after)
    assert look(folder, needle).hits > 0


@given(st.binary(max_size=3_000))
def test_what_is_not_there_is_not_found(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    root = planted(tmp_path_factory.mktemp("noise"), noise)
    assert (look(root).hits, look(root).verdict) == (0, "pass")


def test_it_is_found_across_the_pieces_that_a_file_is_read_in(tmp_path: Path) -> None:
    data = bytearray(os.urandom(1) * (2 * CHUNK + 4_000))
    needle = NAME.encode()
    for at in (CHUNK - 5, 2 * CHUNK - 1, CHUNK + 300):
        data[at : at + len(needle)] = needle
    assert look(planted(tmp_path, bytes(data))).hits == 3


def test_holes_of_a_file_hide_nothing(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.write(LIVE.encode())
        for at in (CHUNK, 3 * CHUNK - 5, 9 * CHUNK + 1):
            file.seek(at)
            file.write(NAME.encode())
        file.truncate(12 * CHUNK)
    found = scan(tmp_path, text_patterns(NAME, "gone"))
    assert found.found == {"gone": {"a": 3}}
    assert found.size_bytes == 12 * CHUNK


def test_members_of_archives(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(tmp_path / f"{method}.docx", "w", method) as archive:
            archive.writestr("word/document.xml", "<w:t>" + NAME + "</w:t>" + "x" * 5000)
    found = look(planted(tmp_path, b""))
    assert set(found.places) == {"0.docx", "8.docx", "12.docx"}
    whole = (tmp_path / "8.docx").read_bytes()
    (tmp_path / "8.docx").write_bytes(whole[:-80])  # without its directory, as after a crash
    assert "8.docx" in look(tmp_path).places


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    root = planted(tmp_path, b"")
    assert look(root).verdict == "pass"
    with zipfile.ZipFile(root / "x.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", "nothing" * 50)
    assert (look(root).verdict, look(root).unread) == ("inconclusive", ("x.zip",))


ZSTD = base64.b64decode("KLUv/SQZyQAAbm90aGluZyBvZiBpbnRlcmVzdCBpbiBoZXJl/////w==")


@pytest.mark.skipif(find_spec("zstandard") is not None, reason="here it can be opened")
def test_zstd_without_its_package_makes_a_scan_inconclusive(tmp_path: Path) -> None:
    assert look(planted(tmp_path, ZSTD)).verdict == "inconclusive"


def test_a_bomb_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "STREAM_BYTES", 1 << 20)
    root = planted(tmp_path, gzip.compress(bytes(1 << 23)), "bomb.gz")
    assert (look(root).verdict, look(root).unread) == ("inconclusive", ("bomb.gz",))


# -- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".hidden", "catalog.sqlite-wal", "current.json.new", "a/b/.c/deep", "core.1234"])
def test_every_file_is_read(tmp_path: Path, name: str) -> None:
    planted(tmp_path, b"")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(NAME)
    assert look(tmp_path).places == (name,)


def test_names_are_read_and_not_told(tmp_path: Path) -> None:
    planted(tmp_path, b"")
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "letter.txt").write_text(f"{NAME} wrote")
    (tmp_path / f"{EMAIL}.eml").write_text("nothing")
    found = look(tmp_path)
    assert len(found.places) == 3
    told = json.dumps(dataclasses.asdict(found)).lower()
    for word in ("eul", "wojcik", "wójcik", "strauß", "example.org", "sentinel"):
        assert word not in told


def test_links_out_are_not_followed_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(NAME)
    root = planted(tmp_path / "house", b"") if (tmp_path / "house").mkdir() is None else tmp_path
    (root / "inside").symlink_to(root / "file")
    assert look(root).verdict == "pass"
    (root / "link").symlink_to(tmp_path / "outside")
    assert (look(root).hits, look(root).verdict, look(root).unread) == (0, "inconclusive", ("link",))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    root = planted(tmp_path, b"")
    (root / "secret").write_text("x")
    (root / "secret").chmod(0)
    assert look(root).verdict == "inconclusive"


def test_a_file_that_cannot_be_looked_at_is_no_file_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may be listed and not entered."""
    root, seen = planted(tmp_path, b""), os.lstat
    (root / "secret").write_text("x")

    def lstat(path: str) -> os.stat_result:
        if path.endswith("secret"):
            raise PermissionError(13, "denied", path)
        return seen(path)

    monkeypatch.setattr(os, "lstat", lstat)
    assert (look(root).verdict, look(root).unread) == ("inconclusive", ("secret",))


def test_without_its_control_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "sealed").write_bytes(os.urandom(5_000))
    assert look(tmp_path).verdict == "inconclusive"
    planted(tmp_path, b"")
    assert look(tmp_path).verdict == "pass"
    assert look(tmp_path, live="another that is not there").verdict == "inconclusive"
    (tmp_path / "more").write_text(NAME)
    assert look(tmp_path, live="not there at all").verdict == "fail"


def test_what_begins_another_is_not_it(tmp_path: Path) -> None:
    wanted = text_patterns("HH-4471-0982", "gone", whole=True)
    (tmp_path / "x").write_text("policies HH-4471-09823 and XHH-4471-0982")
    assert told(tmp_path, wanted).hits == 0
    for apart in range(9):
        (tmp_path / "x").write_text("." * (CHUNK - 4 - apart) + " hh-4471-0982.")
        assert told(tmp_path, wanted).hits == 1
        (tmp_path / "x").write_text("." * (CHUNK - 4 - apart) + "1hh-4471-0982.")
        assert told(tmp_path, wanted).hits == 0


def test_what_cannot_be_sought_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 bytes"):
        look(tmp_path, "Li")
    with pytest.raises(ValueError, match="finite"):
        vector_patterns(np.full(64, np.nan, np.float32), "gone")


def test_a_vector_of_few_numbers_is_sought_whole_or_not_at_all(tmp_path: Path) -> None:
    few = np.zeros(64, np.float32)
    assert vector_patterns(few, "gone") == set()
    few[[3, 20, 40]] = (0.5, -0.25, 0.125)
    (tmp_path / "f").write_bytes(b"." + few.tobytes())
    assert look_vectors(tmp_path, [few], ALIVE).hits


# -- SQLite ----------------------------------------------------------------------------------------------------------

MODES = ("delete", "truncate", "persist", "wal", "off")


def database(path: Path, mode: str, *, secure: bool = False, size: int = 1024) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {size}")
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute(f"PRAGMA secure_delete = {secure}")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT, number INTEGER)")
    connection.execute("INSERT INTO t VALUES (1, ?, 7)", (LIVE,))
    return connection


@pytest.mark.parametrize("mode", MODES)
def test_deleted_rows_stay_until_they_are_overwritten(tmp_path: Path, mode: str) -> None:
    connection = database(tmp_path / "a.db", mode)
    assert look(tmp_path).verdict == "pass"
    connection.execute("INSERT INTO t VALUES (2, ?, 7)", (NAME,))
    assert look(tmp_path).verdict == "fail"
    connection.execute("DELETE FROM t WHERE id = 2")
    assert connection.execute("SELECT count(*) FROM t WHERE id = 2").fetchone() == (0,)
    assert look(tmp_path).verdict == "fail", "deleted, and still in the file"
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA journal_mode = delete")
    assert look(tmp_path).verdict == "pass"
    connection.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("size", [512, 4096])
@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("scattered", [False, True])
def test_a_text_across_the_edge_of_pages_is_found(
    tmp_path: Path, mode: str, size: int, deleted: bool, scattered: bool
) -> None:
    """At every place of a long text: in part at the end of a page, in part on the one that overflows from it."""
    needle, missed, probed = "Maximilian Oberhuber-Kainz", [], 0
    for at in range(0, 3 * size, 37 if size < 4096 else 293):
        file = tmp_path / f"{at}.db"
        connection = database(file, mode, size=size)
        filler = "".join(chr(97 + n * 7 % 26) for n in range(4 * size))
        if scattered:  # pages are given out again in another order than they lie in
            connection.executemany("INSERT INTO t VALUES (?, ?, 7)", [(n, filler) for n in range(10, 14)])
            connection.executemany("DELETE FROM t WHERE id = ?", [(n,) for n in (12, 10, 13, 11)])
        connection.execute("INSERT INTO t VALUES (2, ?, 7)", (filler[:at] + needle + filler[at:],))
        if deleted:
            connection.execute("DELETE FROM t WHERE id = 2")
        there = still_there(tmp_path, size, needle)
        probed += there
        if there and look(tmp_path, needle).verdict != "fail":
            missed.append(at)
        connection.close()
        for leftover in tmp_path.iterdir():
            leftover.unlink()
    assert missed == []
    assert probed > 25


def test_numbers_of_pages_left_of_a_longer_list_cost_no_pass(tmp_path: Path) -> None:
    """The list of free pages gets shorter, and what it named stays behind it: no text, unlike what it grew over."""
    connection = database(tmp_path / "a.db", "delete", secure=True)
    connection.executemany("INSERT INTO t VALUES (?, ?, 7)", [(n, "x" * 3_000) for n in range(10, 90)])
    connection.execute("DELETE FROM t WHERE id > 9")
    connection.executemany("INSERT INTO t VALUES (?, ?, 7)", [(n, "x" * 3_000) for n in range(10, 40)])
    connection.close()
    raw = (tmp_path / "a.db").read_bytes()
    trunk, count = int.from_bytes(raw[32:36], "big"), 0
    page = raw[(trunk - 1) * 1024 : trunk * 1024]
    count = int.from_bytes(page[4:8], "big")
    assert page[8 + 4 * count :].strip(b"\0"), "nothing is left of the longer list"

    def read(data: bytes) -> layers.Read:
        return lambda offset, size: data[offset : offset + size]

    assert list(layers.seams(read(raw), read(b""), 64)) == []
    at = (trunk - 1) * 1024 + 8 + 4 * count + 100
    with_text = raw[:at] + NAME.encode() + raw[at + len(NAME.encode()) :]
    assert list(layers.seams(read(with_text), read(b""), 1_000)) != []


def still_there(folder: Path, size: int, needle: str) -> bool:
    """Whole, or up to some place and from there on at the head of a page: freeing a page may write over its head."""
    raws = [path.read_bytes() for path in folder.iterdir()]
    text = needle.encode()
    if any(text in raw for raw in raws):
        return True
    parts = [(text[:k], text[k:]) for k in range(4, len(text) - 3)]
    starts = [
        range(4, len(raw), size) if raw[:6] == b"SQLite" else range(32 + 24 + 4, len(raw), 24 + size) for raw in raws
    ]
    return any(
        any(front in raw for raw in raws)
        and any(raw.startswith(back, at) for raw, heads in zip(raws, starts, strict=True) for at in heads)
        for front, back in parts
    )


def test_whole_numbers_and_long_values_are_read_through_sqlite(tmp_path: Path) -> None:
    connection = database(tmp_path / "a.db", "delete")
    connection.execute("INSERT INTO t VALUES (2, ?, 48600700800)", (gzip.compress(os.urandom(3_000) + NAME.encode()),))
    assert look(tmp_path, "48600700800").hits
    assert look(tmp_path, NAME).hits
    connection.close()


def test_nothing_is_written_beside_a_database(tmp_path: Path) -> None:
    connection = database(tmp_path / "a.db", "wal")
    connection.close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    look(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_damaged_database_is_read_as_bytes(tmp_path: Path) -> None:
    connection = database(tmp_path / "a.db", "delete")
    connection.execute("INSERT INTO t VALUES (2, ?, 7)", (NAME,))
    connection.close()
    data = bytearray((tmp_path / "a.db").read_bytes())
    data[16:18] = b"\x03\x03"
    data[100:110] = bytes(10)
    (tmp_path / "a.db").write_bytes(data)
    assert look(tmp_path).verdict == "fail"


# -- vectors ---------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(11)
DIM = 48


def vectors(count: int, dim: int = DIM) -> NDArray[np.float32]:
    return RNG.standard_normal((count, dim)).astype(np.float32)


GONE, ALIVE = vectors(3), vectors(1)[0]


def bf16(v: NDArray[np.float32], order: str) -> bytes:
    return (v.view(np.uint32) >> 16).astype(f"{order}u2").tobytes()


VECTORS: dict[str, Callable[[NDArray[np.float32]], bytes]] = {
    "f32 le": lambda v: v.astype("<f4").tobytes(),
    "f32 be": lambda v: v.astype(">f4").tobytes(),
    "f64": lambda v: v.astype("<f8").tobytes(),
    "f16 le": lambda v: v.astype("<f2").tobytes(),
    "f16 be": lambda v: v.astype(">f2").tobytes(),
    "bf16 le": lambda v: bf16(v, "<"),
    "bf16 be": lambda v: bf16(v, ">"),
    "normalised": lambda v: (v / np.linalg.norm(v)).astype("<f4").tobytes(),
    "cbor": lambda v: b"".join(b"\xfa" + struct.pack(">f", x) for x in v.tolist()),
    "json": lambda v: json.dumps(v.tolist()).encode(),
    "json, compact": lambda v: json.dumps(v.tolist(), separators=(",", ":")).encode(),
    "base64": lambda v: base64.b64encode(v.tobytes()),
    "zlib": lambda v: zlib.compress(v.tobytes()),
    "cut at the front": lambda v: v.tobytes()[40:],
    "cut at the end": lambda v: v.tobytes()[:60],
}  # fmt: skip


@pytest.mark.parametrize("how", VECTORS)
def test_every_writing_of_a_vector_is_found(tmp_path: Path, how: str) -> None:
    data = b"..." + VECTORS[how](GONE[1]) + b"...."
    (tmp_path / "f").write_bytes(data + bytes(-len(data) % 4) + ALIVE.tobytes())
    assert look_vectors(tmp_path, GONE, ALIVE).verdict == "fail"
    assert look_vectors(tmp_path, GONE[[0, 2]], ALIVE).verdict == "pass"


@given(st.sampled_from(sorted(VECTORS)), st.binary(max_size=40), st.integers(0, 2))
@settings(max_examples=60)
def test_a_vector_after_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, how: str, before: bytes, which: int
) -> None:
    folder = tmp_path_factory.mktemp("v")
    (folder / "f").write_bytes(before + VECTORS[how](GONE[which]))
    assert look_vectors(folder, GONE, ALIVE).hits > 0


def test_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    rows = np.concatenate([vectors(50), GONE])
    save_file({"w": rows, "half": rows.astype(np.float16)}, tmp_path / "model.safetensors")
    assert look_vectors(tmp_path, GONE, rows[3]).verdict == "fail"
    save_file({"w": rows[:50]}, tmp_path / "model.safetensors")
    assert look_vectors(tmp_path, GONE, rows[3]).verdict == "pass"
