"""What is left of somebody in a house's files, told by code that shares nothing with Freehold."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import tempfile
import unicodedata
from pathlib import Path
from urllib.parse import quote

from town import Person, Town

_WORDS = (str, bytes)


def needles(person: Person, town: Town) -> set[str]:
    """What is theirs alone: their numbers and address of mail, and their name where it stands in nobody else's."""
    others = "\n".join(name for other in town.people if other.number != person.number for name in written(other))
    return {*person.identifiers(), *(name for name in written(person) if name not in others)}


def written(person: Person) -> tuple[str, str]:
    return person.name, f"{person.family}, {person.given}"


def residue(house: Path, texts: set[str]) -> list[str]:
    """Files, names of files and tables in which any of the texts stands, in any way in which stores write text."""
    forms = {form for text in texts for form in _forms(text)}
    if not forms or not house.exists():
        return []
    with tempfile.NamedTemporaryFile() as patterns:
        patterns.write(b"\n".join(sorted(forms)))
        patterns.flush()
        call = ["grep", "-rlaF", "-f", patterns.name, "."]
        done = subprocess.run(
            call, cwd=house, env={"LC_ALL": "C", "PATH": os.defpath}, capture_output=True, check=False
        )
    assert done.returncode in {0, 1}, done.stderr
    found = [line.removeprefix("./") for line in done.stdout.decode().splitlines()]
    for path in sorted(house.rglob("*")):
        if any(form in os.fsencode(path.name) for form in forms):
            found.append(f"name of {path.relative_to(house).as_posix()}")
        if path.is_file():
            with path.open("rb") as file:
                if file.read(15) == b"SQLite format 3":
                    found += _rows(path, texts)
    return found


def _forms(text: str) -> set[bytes]:
    spelled = {
        unicodedata.normalize(form, one) for form in ("NFC", "NFD") for one in (text, text.lower(), text.upper())
    }
    found = {one.encode() for one in spelled} | {one.encode("utf-16-le") for one in spelled}
    found |= {json.dumps(one)[1:-1].encode() for one in spelled} | {quote(one).encode() for one in spelled}
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + text.encode())
        found.add(coded[4 if shift else 0 : -4])
    return {form for form in found if len(form) > 5}


def _rows(path: Path, texts: set[str]) -> list[str]:
    low = {text.lower() for text in texts}
    found = []
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):
                values = (v.decode("utf-8", "ignore") if isinstance(v, bytes) else v for v in row if type(v) in _WORDS)
                said = "\0".join(values).lower()
                if any(text in said for text in low):
                    found.append(f"{path.name}:{table}")
                    break
    return found


def lost(kept: str, town: Town, erased: set[int]) -> int:
    """Sentences about people who were not erased, or about nobody, that no text of the house has any more."""
    count = 0
    for paper in town.papers:
        alive = set(paper.people) - erased
        expected = [s for number in alive for s in paper.sentences.get(number, ())]
        if alive or not paper.people:  # a paper that named nobody but those who are gone goes whole
            expected += paper.neutral
        if not paper.sentences and paper.people and alive:
            expected.append(paper.text.splitlines()[2])  # a letter's body
        count += sum(sentence not in kept for sentence in expected)
    return count
