"""The ledger on disk: tiles and a checkpoint as C2SP's tlog-tiles has them, so that any client of those can read it.

``checkpoint`` is what counts: a leaf is there when a checkpoint covers it. ``tile/entries/`` holds leaves, 256 to a
file, each behind its length; ``tile/0/`` their hashes; ``tile/1/`` the roots of whole files, and so on. What lies
beyond the checkpoint is the leaving of a crash, and is written over.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from freehold.core.errors import StorageFault
from freehold.core.faults import step
from freehold.core.files import storage_fault, write_durably
from freehold.core.ids import canonical_json, new_id
from freehold.core.ledger import Kind, Leaf
from freehold.core.records import from_json
from freehold.proof import merkle
from freehold.proof.note import Checkpoint, opened, signed
from freehold.proof.signing import Signer

WIDTH = 256
"""Entries in a whole tile."""
_HINT = "restore the ledger's folder from a backup; a witness's file tells how much of it is genuine"


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a ledger, and where."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A leaf, its audit path (RFC 6962 2.1.1) and the checkpoint that covers it, a signed note."""

    leaf: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    public: bytes
    """The log's key."""


class HouseLedger:
    """The port ``freehold.core.ledger.Ledger`` over one directory, made when a leaf is first added."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def append(
        self,
        kind: Kind,
        *,
        ids: Mapping[str, str] | None = None,
        digests: Mapping[str, str] | None = None,
        counts: Mapping[str, int] | None = None,
        codes: Mapping[str, str] | None = None,
    ) -> int:
        """See ``Ledger``."""
        with self._alone():
            signer = self._signer()
            checkpoint = self.checkpoint()
            if checkpoint is None:
                house = new_id()
                checkpoint = Checkpoint(f"freehold/{house}", 0, merkle.root([]))
                opening = Leaf("house.opened", _now(), {"house": house})
                checkpoint = self._add(checkpoint, opening, signer)
            now, codes = _now(), dict(codes or {})
            last = self._last(checkpoint)
            if now < last.at:
                now, codes["clock"] = last.at, "went-back"
            leaf = Leaf(kind, now, dict(ids or {}), dict(digests or {}), dict(counts or {}), codes)
            return self._add(checkpoint, leaf, signer).size - 1

    def leaves(self, start: int = 0) -> Iterator[Leaf]:
        """See ``Ledger``."""
        for data in self.entries(start):
            yield _leaf(data)

    def newest_first(self) -> Iterator[Leaf]:
        """All leaves, read as far back as somebody asks."""
        size = self._size()
        for tile in reversed(range(-(-size // WIDTH))):
            for data in reversed(self._tile(tile, size)):
                yield _leaf(data)

    def checkpoint(self) -> Checkpoint | None:
        """The latest; None while there is no leaf. Raises StorageFault where it does not verify, or is missing."""
        path = self.root / "checkpoint"
        if not path.exists():
            if self._has_leaves() and not path.exists():  # another process may have been at its first ones
                raise StorageFault(f"{path} is missing, and leaves are there", hint=_HINT, refs=(str(path),))
            return None
        try:
            return opened(path.read_text(encoding="utf-8"), self.public)
        except (OSError, ValueError) as e:
            raise StorageFault(f"{path}: {e}", hint=_HINT, refs=(str(path),)) from None

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes. Raises StorageFault before there is one."""
        return self._signer(make=False).public

    def entries(self, start: int = 0) -> Iterator[bytes]:
        """The leaves' bytes from a number on."""
        yield from self._entries(self._size(), start)

    def hashes(self) -> list[bytes]:
        """The leaf hashes, as the tiles have them."""
        return self._hashes(self._size())

    def inclusion(self, index: int) -> Inclusion:
        """What shows anybody that a leaf is in the ledger as it is now. Raises IndexError where there is none."""
        with self._alone():
            hashes = self.hashes()
            path = merkle.proof(hashes, index)
            leaf = next(self.entries(index))
            note = (self.root / "checkpoint").read_text(encoding="utf-8")
            return Inclusion(leaf, index, tuple(path), note, self.public)

    def verify(self) -> list[Damage]:
        """Everything recomputed from the leaves: hashes, tiles, root, signature, schema, order of times."""
        try:
            checkpoint = self.checkpoint()
            if checkpoint is None:
                return []
            entries = list(self._entries(checkpoint.size))
        except StorageFault as fault:
            return [Damage("checkpoint or entries", fault.message)]
        found = []
        hashes = [merkle.leaf(data) for data in entries]
        if len(entries) != checkpoint.size or merkle.root(hashes) != checkpoint.root:
            told = self._hashes_or_none(checkpoint.size)
            wrong = next((at for at, pair in enumerate(zip(hashes, told, strict=False)) if pair[0] != pair[1]), None)
            where = f"leaf {wrong}" if wrong is not None else "checkpoint"
            found.append(Damage(where, "the leaves are not those that the checkpoint was signed for"))
        elif hashes != self._hashes_or_none(checkpoint.size):
            found.append(Damage("tile/0", "the hashes are not those of the leaves"))
        last = ""
        for at, data in enumerate(entries):
            try:
                leaf = _leaf(data)
            except StorageFault as fault:
                found.append(Damage(f"leaf {at}", fault.message))
                continue
            if leaf.at < last:
                found.append(Damage(f"leaf {at}", "it is older than the one before"))
            last = leaf.at
        return found

    # -- inside --------------------------------------------------------------------------------------------------------
    # Whoever reads without the lock asks once how many leaves there are: others may be added on its way.

    def _size(self) -> int:
        checkpoint = self.checkpoint()
        return checkpoint.size if checkpoint else 0

    def _entries(self, size: int, start: int = 0) -> Iterator[bytes]:
        for tile in range(start // WIDTH, -(-size // WIDTH)):
            yield from self._tile(tile, size)[max(0, start - tile * WIDTH) :]

    def _tile(self, tile: int, size: int) -> list[bytes]:
        width = min(WIDTH, size - tile * WIDTH)
        return _unbundled(self._read("entries", tile, width))[:width]

    def _hashes(self, size: int) -> list[bytes]:
        tiles = range(-(-size // WIDTH))
        return [one for tile in tiles for one in self._roots("0", tile, min(WIDTH, size - tile * WIDTH))]

    def _hashes_or_none(self, size: int) -> list[bytes]:
        try:
            return self._hashes(size)
        except StorageFault:
            return []

    def _has_leaves(self) -> bool:
        """Whether there is more than a first append leaves where it is killed."""
        first = {self._path(kind, 0, 1) for kind in ("entries", "0")}
        files = (path for path in (self.root / "tile").rglob("*") if path.is_file())
        return any(path.with_name(path.name.removesuffix(".new")) not in first for path in files)

    def _add(self, checkpoint: Checkpoint, leaf: Leaf, signer: Signer) -> Checkpoint:
        data = canonical_json(asdict(leaf)).encode()
        tile, before = divmod(checkpoint.size, WIDTH)
        bundle = self._read("entries", tile, before) if before else b""
        hashes = b"".join(self._roots("0", tile, before)) if before else b""
        hashes += merkle.leaf(data)
        self._write("entries", tile, before + 1, _bundled(_unbundled(bundle)[:before]) + _bundled([data]))
        self._write("0", tile, before + 1, hashes)
        roots, old = self._fold(tile, before + 1, hashes)
        step("ledger.tiles")
        partial = [] if before + 1 == WIDTH else [merkle.root(_split(hashes))]
        new = Checkpoint(checkpoint.origin, checkpoint.size + 1, merkle.root([*roots, *partial]))
        write_durably(self.root / "checkpoint", signed(new, signer).encode())
        step("ledger.checkpoint")
        for path in (*(self._path(kind, tile, before) for kind in ("entries", "0")), *old):
            path.unlink(missing_ok=True)
        return new

    def _fold(self, tile: int, width: int, hashes: bytes) -> tuple[list[bytes], list[Path]]:
        """Roots of the whole tiles, this one's included where it is whole; kept a level up. And the tiles that others
        stand for as soon as the checkpoint does.
        """
        roots = [one for at in range(-(-tile // WIDTH)) for one in self._roots("1", at, min(WIDTH, tile - at * WIDTH))]
        old: list[Path] = []
        if width < WIDTH:
            return roots, old
        roots.append(merkle.root(_split(hashes)))
        level, below = 1, roots
        while True:
            at, inside = divmod(len(below) - 1, WIDTH)
            self._write(str(level), at, inside + 1, b"".join(below[at * WIDTH :]))
            if inside:
                old.append(self._path(str(level), at, inside))
            if inside + 1 < WIDTH:
                return roots, old
            below = [merkle.root(below[place : place + WIDTH]) for place in range(0, len(below), WIDTH)]
            level += 1

    def _last(self, checkpoint: Checkpoint) -> Leaf:
        return _leaf(next(self._entries(checkpoint.size, checkpoint.size - 1)))

    def _path(self, kind: str, tile: int, width: int) -> Path:
        digits = (
            f"{tile:03d}"
            if tile < 1000
            else "/".join([f"x{part:03d}" for part in _thousands(tile)[:-1]] + [f"{tile % 1000:03d}"])
        )
        name = digits if width == WIDTH else f"{digits}.p/{width}"
        return self.root / "tile" / kind / name

    def _roots(self, kind: str, tile: int, width: int) -> list[bytes]:
        return _split(self._read(kind, tile, width)[: width * merkle.HASH_BYTES])

    def _read(self, kind: str, tile: int, width: int) -> bytes:
        """A tile that begins with so many entries. It is a wider one where leaves were added since that was asked."""
        wide = width
        while True:
            for path in (self._path(kind, tile, wide), self._path(kind, tile, WIDTH)):
                with suppress(FileNotFoundError):
                    return path.read_bytes()
            now = min(WIDTH, self._size() - tile * WIDTH)
            if now <= wide:
                path = self._path(kind, tile, width)
                raise StorageFault(f"{path} is missing", hint=_HINT, refs=(str(path),))
            wide = now

    def _write(self, kind: str, tile: int, width: int, data: bytes) -> None:
        path = self._path(kind, tile, width)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise storage_fault(e, path) from None
        write_durably(path, data)

    def _signer(self, *, make: bool = True) -> Signer:
        path = self.root / "key"
        try:
            if make and not path.exists():
                write_durably(path, Signer.new().private, mode=0o600)
            return Signer.read(path.read_bytes())
        except (OSError, ValueError) as e:
            raise StorageFault(f"{path} cannot be read", hint=_HINT, refs=(str(path),)) from e

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root, os.O_RDONLY)
        except OSError as e:
            raise storage_fault(e, self.root) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _leaf(data: bytes) -> Leaf:
    try:
        return from_json(Leaf, json.loads(data))
    except ValueError as e:
        raise StorageFault("a leaf of the ledger is not as it was written", hint=_HINT) from e


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + merkle.HASH_BYTES] for at in range(0, len(hashes), merkle.HASH_BYTES)]


def _bundled(entries: list[bytes]) -> bytes:
    return b"".join(len(data).to_bytes(2, "big") + data for data in entries)


def _unbundled(bundle: bytes) -> list[bytes]:
    found, at = [], 0
    while at + 2 <= len(bundle):
        size = int.from_bytes(bundle[at : at + 2], "big")
        found.append(bundle[at + 2 : at + 2 + size])
        at += 2 + size
    return found


def _thousands(number: int) -> list[int]:
    parts = [number % 1000]
    while number >= 1000:
        number //= 1000
        parts.insert(0, number % 1000)
    return parts
