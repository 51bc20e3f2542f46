"""What no record speaks of: keys, sealed originals and folders of work that a killed process left behind.

No search by words finds what lies sealed, or what was learned. So they are counted, by a reader of their own: all that
is there, less what the catalog and the jobs have a place for.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from freehold.proof.scan import Probe

_LOOKS = 20
_WAIT_S = 0.5
"""Between two looks: what another process is at work on has its place by the next ones."""


def orphans(root: Path) -> Probe:
    """A probe over a house. Controls: living originals that are there with their keys, or the request's own key."""
    living, found = _look(root)
    for _ in range(_LOOKS):
        if not found:
            break
        time.sleep(_WAIT_S)
        found &= _look(root)[1]
    places = tuple(sorted({place for place, _ in found}))
    return Probe("orphans", "read", "house", living, len(found), places)


def _look(root: Path) -> tuple[int, set[tuple[str, str]]]:
    """How much is there that has its place, and what has none: the file or folder, and in a database whose."""
    sealed = _column(root / "catalog.sqlite", "SELECT id FROM documents WHERE sealed")
    keys = _column(root / "vault.sqlite", "SELECT document_id FROM keys")
    of_documents = {name for name in keys if ":" not in name}
    uploads = {name for name in keys if name.startswith("upload:")}
    folders = [folder for folder in (root / "blobs").iterdir() if folder.is_dir()]
    originals = {name: folder / name for folder in folders for name in os.listdir(folder)}  # noqa: PTH208 - as many
    found = {("vault.sqlite", name) for name in of_documents - sealed}
    found |= {("vault.sqlite", name) for name in uploads if not (root / "jobs" / name.partition(":")[2]).is_dir()}
    found |= {(_within(root, path), "") for name, path in originals.items() if name not in sealed}
    found |= {(_within(root, place), "") for place in _work(root / "tuning")}
    living = len(sealed & of_documents & originals.keys()) if sealed else len(keys - of_documents)
    return living, found


def _work(top: Path) -> Iterator[Path]:
    """Folders with something in them that do not say what documents that was made from."""
    for place in (*top.glob("work/*"), *top.glob("*/houses")):
        if place.is_dir() and not (place / "made-from.json").exists() and any(place.rglob("*")):
            yield place


def _column(path: Path, query: str) -> set[str]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        return {row[0] for row in connection.execute(query)}


def _within(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
