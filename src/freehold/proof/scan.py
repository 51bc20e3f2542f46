"""A search of raw files for what should be gone. It shares no code with what stores or erases, and trusts no store.

Every file below a folder is read (hidden, unknown, left over), and its name too: in all writings of a text or a vector
that ``freehold.proof.writings`` lists, and inside what ``freehold.proof.layers`` can open. A search proves something
only beside a *sentinel*: something alive that the same pass must find in the same place. What is sought is in no
report, only where it is.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal

from freehold.proof import layers
from freehold.proof.matching import Matcher, Pattern

CHUNK = 1 << 18
DEPTH = 4
"""Layers inside layers: an archive in an archive in a database, and one more."""
_JOIN = 1 << 20
_TOGETHER = 64
"""Small files in one piece of work."""

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Probe:
    """What one search found: counts and places, never what was looked for."""

    id: str
    kind: str
    """What was asked: ``raw-bytes``, ``raw-vector``, ``read``, ``served``, ``retrieval``, ``key``, ``re-ingest``,
    ``registry``."""
    target: str
    """Which holder."""
    control_hits: int
    """How often the sentinel was found; 0 proves nothing."""
    hits: int
    places: tuple[str, ...] = ()
    """Files in which there were hits, relative to the house."""
    unread: tuple[str, ...] = ()
    """Files that could not be read, or not to their end."""

    @property
    def verdict(self) -> Verdict:
        """``fail`` where there is a hit; ``pass`` where there is none, the control is and all was read."""
        if self.hits:
            return "fail"
        return "pass" if self.control_hits and not self.unread else "inconclusive"


@dataclass(frozen=True, slots=True)
class Scanned:
    """Where the patterns of each owner are."""

    found: Mapping[str, Mapping[str, int]]
    """Owner -> file -> how often. A file whose name itself holds what is sought is told of as ``#`` and a number."""
    unread: tuple[str, ...]
    """What could not be read, or not to its end, as above."""
    size_bytes: int


def scan(root: Path, patterns: Iterable[Pattern], *, threads: int = 2) -> Scanned:
    """Look for patterns in every file under a folder and in the names of files and folders.

    Links are not followed: one that leads out of the folder counts as unread. A file that vanishes meanwhile is none.
    """
    return _Scan(root, Matcher(patterns), threads).done()


@dataclass
class _Scan:
    """One pass over a folder."""

    root: Path
    matcher: Matcher
    threads: int
    found: dict[str, Counter[str]] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    size_bytes: int = 0
    lock: Lock = field(default_factory=Lock)

    def done(self) -> Scanned:
        # The largest first: a database is read twice, and both passes go on side by side; small files go together.
        work = sorted(self._work(), key=lambda part: -part[0])
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(lambda part: part[1](), work))
        found = {owner: dict(sorted(files.items())) for owner, files in self.found.items()}
        return Scanned(found, tuple(sorted(self.unread)), self.size_bytes)

    def _work(self) -> Iterator[tuple[int, Callable[[], None]]]:
        """What is to be read, each with how many bytes that are."""
        small: list[tuple[str, str]] = []
        for number, (path, name, size) in enumerate(self._entries()):
            named = list(self.matcher.find(os.fsencode(name)))
            file = f"#{number}" if named else name
            for _, pattern in named:
                self._hit(pattern, file)
            if size is None:
                continue
            if size < CHUNK:
                small.append((path, file))
                if len(small) == _TOGETHER:
                    yield CHUNK, partial(self._each, small)
                    small = []
            else:
                yield size, partial(self._guarded, self._raw, path, file)
                yield size, partial(self._guarded, self._database, path, file)
        yield CHUNK, partial(self._each, small)

    def _entries(self) -> Iterator[tuple[str, str, int | None]]:
        """Everything under the root: path, name under the root, and size where it is to be read."""

        def refused(error: OSError) -> None:
            self.unread.add(os.path.relpath(error.filename, self.root))

        root = os.fspath(self.root)
        for folder, folders, files in os.walk(root, onerror=refused):
            folders.sort()
            below = os.path.relpath(folder, root) + os.sep if folder != root else ""
            for name in (*folders, *sorted(files)):
                path = os.path.join(folder, name)  # noqa: PTH118 - a house has as many files as documents
                try:
                    about = os.lstat(path)
                except FileNotFoundError:
                    continue  # gone meanwhile
                except OSError:
                    self.unread.add(below + name)
                    continue
                # What a link names under the root is read there; what lies elsewhere is not read, and that is said.
                if stat.S_ISLNK(about.st_mode) and not Path(path).resolve().is_relative_to(self.root.resolve()):
                    self.unread.add(below + name)
                yield path, below + name, about.st_size if stat.S_ISREG(about.st_mode) else None

    def _each(self, files: Sequence[tuple[str, str]]) -> None:
        for path, file in files:
            self._guarded(self._raw, path, file)
            self._guarded(self._database, path, file)

    def _guarded(self, read: Callable[[str, str], None], path: str, file: str) -> None:
        try:
            read(path, file)
        except FileNotFoundError:
            pass  # gone meanwhile
        except (OSError, sqlite3.Error):
            self.unread.add(file)

    def _raw(self, path: str, file: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            # Not mapped: a file that its writer cuts short while it is mapped kills whoever reads on.
            self.size_bytes += self._bytes(partial(_pread, descriptor), file, 0)
        finally:
            os.close(descriptor)

    def _bytes(self, read: layers.Read, file: str, depth: int) -> int:
        """Look at all that can be read, and inside it; how many bytes there were."""
        overlap = max(self.matcher.longest + 1, 32)
        at = 0
        while True:
            before = min(at, 4)  # whether a pattern begins something is told by what comes before it
            data = read(at - before, before + CHUNK + overlap)
            last = len(data) < before + CHUNK + overlap
            until = len(data) if last else before + CHUNK
            if data.strip(b"\0"):  # all of it zeros: a hole, or room put aside
                for offset, pattern in self.matcher.find(data):
                    if before <= offset < until:
                        self._hit(pattern, file)
                if depth < DEPTH:
                    for layer in layers.streams(data[before : until + 16], at, read):
                        if layer.offset < at + CHUNK or last:
                            self._layer(layer, file, depth)
            if last:
                return at - before + len(data)
            at += CHUNK

    def _layer(self, layer: layers.Layer, file: str, depth: int) -> None:
        if not layer.whole:
            self.unread.add(file)
        self._bytes(partial(_slice, layer.data), file, depth + 1)

    def _database(self, path: str, file: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            read = partial(_pread, descriptor)
            if read(0, len(layers.SQLITE)) != layers.SQLITE:
                return
            for values in (layers.cells(Path(path)), self._seams(path, read)):
                for joined in _joined(values):
                    self._bytes(partial(_slice, joined), file, 1)
        finally:
            os.close(descriptor)

    def _seams(self, path: str, read: layers.Read) -> Iterator[bytes]:
        for suffix in ("-wal", "-journal"):
            beside = Path(path + suffix)
            log = beside.read_bytes() if beside.is_file() and not beside.is_symlink() else b""
            if log or suffix == "-journal":
                yield from layers.seams(read, partial(_slice, log), self.matcher.longest)
                return

    def _hit(self, pattern: Pattern, file: str) -> None:
        with self.lock:
            self.found.setdefault(pattern.owner, Counter())[file] += 1


def _pread(descriptor: int, offset: int, size: int) -> bytes:
    return os.pread(descriptor, size, offset)


def _slice(data: bytes, offset: int, size: int) -> bytes:
    return data[offset : offset + size]


def _joined(values: Iterator[bytes]) -> Iterator[bytes]:
    """Many values as few buffers, each value at a multiple of four bytes and apart from the next."""
    held: list[bytes] = []
    size = 0
    for value in values:
        held.append(value + bytes(4 + -len(value) % 4))
        size += len(held[-1])
        if size >= _JOIN:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def rows(path: Path, query: str, values: Sequence[str] = ()) -> int:
    """The number that a query gives of a database, by its own reader; 0 where there is no such file."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute(query, values).fetchone()
        return int(count)
