"""Key files: the keys of a house's backups, kept elsewhere, for the day when the house is lost.

A house and what was restored from it may live side by side and share a key file: each takes out what it destroyed, and
puts in what it made. What it was given at its restore it leaves as it is there, until it makes a backup of its own.
"""

from __future__ import annotations

import base64
import fcntl
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freehold.core.errors import StorageFault, UsageError
from freehold.core.faults import step
from freehold.core.files import put, storage_fault
from freehold.core.ids import canonical_json
from freehold.house import House
from freehold.store.vault import fingerprint

KEYS = "backup:"
"""Begins the names of the keys of units in the vault."""
REQUESTS = "request:"
"""The same of the keys under which it lies sealed whom a request is about."""
COPIES = "key_files"
"""Fact: where key files were written."""
FORMAT = 1
_KEY_BYTES = 32


def export_keys(house: House) -> list[str]:
    """Bring every key file up to the vault; those that are out of reach, or another house's, are given back.

    A key file holds the keys of the units and what the fence knows, so that a house restored from it refuses the same
    people. What this house destroyed goes, what it made is put in; the rest is of a house that shares the file.
    """
    left = []
    for name in copies_of(house):
        path = Path(name)
        try:
            if not path.exists() and not house.shelf.vault.marked("given"):
                path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path):
                _write_keys(house, path)
        except (OSError, StorageFault, UsageError):
            left.append(name)
        step("backup.key_file")
    return left


def _write_keys(house: House, path: Path) -> None:
    """For whoever is alone with the key file: what is read from the vault is never older than what is written there."""
    vault, fence = house.shelf.vault, house.shelf.fence.exported()
    own = {**vault.keys(KEYS), **vault.keys(REQUESTS)}
    destroyed, given = vault.marked("destroyed"), vault.marked("given")  # behind the keys: what goes meanwhile is gone
    try:
        there = read_json(path, "a key file")
        keys, theirs = checked(there, path)
        if not given and "joined" not in there:  # of an earlier version, which kept no marks of what it destroyed
            keys, theirs = {}, {"key": theirs["key"], "prints": [], "signatures": []}
    except UsageError:
        # There is none, or it is damaged. A restored house knows of it by hearsay: it may lie elsewhere now.
        if given:
            raise
        keys, theirs = {}, {"key": fence["key"], "prints": [], "signatures": []}
    if theirs["key"] != fence["key"]:
        raise UsageError(f"{path} is another house's key file", hint="give each house a key file of its own")
    keys |= {name: key for name, key in own.items() if fingerprint(key) not in given}
    kept = {name: base64.b64encode(key).decode() for name, key in keys.items() if fingerprint(key) not in destroyed}
    both = {part: _joined(fence[part], theirs[part]) for part in ("prints", "signatures")}
    about = {"format": FORMAT, "joined": True, "keys": kept, "fence": {"key": fence["key"], **both}}
    put(path, canonical_json(about).encode(), mode=0o600)


def _joined(*entries: Any) -> list[list[Any]]:
    return sorted(list(entry) for entry in {tuple(entry) for some in entries for entry in some})


def try_key_file(house: House, path: Path) -> None:
    """Raise UsageError or StorageFault where this cannot be the house's key file, before it is put on the list."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="give a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if (
                path.exists()
                and checked(read_json(path, "a key file"), path)[1]["key"] != house.shelf.fence.exported()["key"]
            ):
                raise UsageError(f"{path} is another house's key file", hint="give each house a key file of its own")
    except OSError as e:
        raise storage_fault(e, path) from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait for other processes that write the key file. Raises OSError."""
    with path.with_name(f".{path.name}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def checked(kept: Mapping[str, Any], path: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Name -> key, and the fence, of a key file. Raises UsageError where it is not of its form."""
    try:
        keys = {name: base64.b64decode(key, validate=True) for name, key in kept["keys"].items()}
        fence: dict[str, Any] = kept["fence"]
        if {len(key) for key in (*keys.values(), bytes.fromhex(fence["key"]))} != {_KEY_BYTES}:
            raise ValueError("a key of another length")
        for digest, _request, _reason, words in fence["prints"]:
            bytes.fromhex(digest) + bytes(int(words) < 0)
        for _request, veiled in fence["signatures"]:
            bytes.fromhex(veiled)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UsageError(f"the key file {path} is not of its form", hint="take another copy of it") from None
    return keys, fence


def put_copies(house: House, copies: Collection[str]) -> None:
    """Keep where key files are; durable on return."""
    house.shelf.set_fact(COPIES, json.dumps(sorted(copies)))


def forget_key_file(house: House, key_file: Path) -> None:
    """Take a key file that was destroyed off the list. Raises UsageError where none of that name is on it."""
    copies = copies_of(house)
    name = str(key_file.resolve())
    if name not in copies:
        raise UsageError(f"{key_file} is on no list", hint=f"known: {', '.join(copies) or 'none'}")
    put_copies(house, set(copies) - {name})


def copies_of(house: House) -> list[str]:
    """Where key files of the house are, as absolute paths."""
    found: list[str] = json.loads(house.shelf.fact(COPIES) or "[]")
    return found


def read_json(path: Path, what: str) -> Any:
    """A key file, or what a backup says of itself. Raises UsageError where it is not ``what`` it should be."""
    try:
        found = json.loads(path.read_bytes())
        if found["format"] > FORMAT:
            raise UsageError(f"{path} was written by a newer Freehold", hint="upgrade Freehold")
        return found
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is not {what}", hint="freehold backup FOLDER --keys FILE makes both") from None
