"""What is shredded has been overwritten wherever there were bytes of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.core import files
from freehold.core.errors import StorageFault
from freehold.core.files import shred, shred_tree, stretches

PIECE = 1 << 16


def with_holes(path: Path, parts: list[bytes | int]) -> bytes:
    """A file of these bytes, with holes where a number says how long; what it reads as."""
    with path.open("wb") as file:
        for part in parts:
            if isinstance(part, int):
                file.seek(part, os.SEEK_CUR)
            else:
                file.write(part)
        file.truncate(file.tell())
    return b"".join(bytes(part) if isinstance(part, int) else part for part in parts)


SHAPES = {
    "empty": [],
    "full": [os.urandom(3 * PIECE + 5)],
    "begins with a hole": [2 * PIECE, os.urandom(PIECE)],
    "ends in a hole": [os.urandom(10), 4 * PIECE],
    "holes between": [os.urandom(PIECE), PIECE, os.urandom(7), 8 * PIECE, os.urandom(PIECE + 1)],
    "a hole alone": [PIECE],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_all_bytes_are_in_a_stretch(tmp_path: Path, shape: str) -> None:
    content = with_holes(tmp_path / "a", SHAPES[shape])
    left = bytearray(content)
    with (tmp_path / "a").open("rb") as file:
        for start, end in stretches(file.fileno()):
            left[start:end] = bytes(end - start)
    assert left == bytes(len(content))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_shredded_was_overwritten(tmp_path: Path, shape: str) -> None:
    content = with_holes(tmp_path / "a", SHAPES[shape])
    with (tmp_path / "a").open("rb") as kept_open:  # as whoever reads the disk sees it
        blocks = os.fstat(kept_open.fileno()).st_blocks
        shred(tmp_path / "a")
        assert not (tmp_path / "a").exists()
        assert kept_open.read() == bytes(len(content))
        assert os.fstat(kept_open.fileno()).st_blocks <= blocks, "a hole was filled"


def test_a_folder_is_shredded_with_all_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    paths = [tmp_path / "a" / "one", tmp_path / "a" / "b" / "two"]
    for path in paths:
        path.write_bytes(os.urandom(PIECE))
    held = [path.open("rb") for path in paths]
    shred_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    for file in held:
        assert file.read() == bytes(PIECE)
        file.close()


def test_what_cannot_be_overwritten_is_removed_and_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for name in ("one", "two", "three"):
        (folder / name).write_bytes(b"somebody")
    overwrite = files._overwrite

    def refuse(path: Path) -> None:
        if path.name == "two":
            raise OSError(errno.EIO, "a bad block")
        overwrite(path)

    monkeypatch.setattr(files, "_overwrite", refuse)
    with pytest.raises(StorageFault, match=r"two: a bad block"):
        shred_tree(folder)
    assert not folder.exists()


WITHOUT_THREADS = """
import resource, sys, threading
from pathlib import Path

from freehold.core.files import shred_tree

had = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + (4 << 20)
resource.setrlimit(resource.RLIMIT_AS, (had, had))
try:
    threading.Thread(target=print).start()
except RuntimeError as e:
    print(e)
shred_tree(Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_a_folder_is_shredded_where_no_memory_is_left_for_a_thread(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for name in ("one", "two", "three", "four", "five"):
        (folder / name).write_bytes(b"somebody")
    with (folder / "one").open("rb") as held:
        command = [sys.executable, "-c", WITHOUT_THREADS, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "can't start new thread\n"), done.stderr
        assert held.read() == bytes(len(b"somebody"))
    assert not folder.exists()
