"""Where documents come from: files and folders, and corpora in the BEIR layout (Thakur et al. 2021)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from freehold.core.errors import UsageError
from freehold.core.ids import sha256_hex
from freehold.core.shelf import Quarantined
from freehold.core.types import ParsedText
from freehold.journeys.ingest import Raw, Reader
from freehold.text.parse.outcome import Rejected
from freehold.text.prepare import ParsedDoc, prepare
from freehold.text.sandbox import ParserPool


def find_files(paths: Sequence[Path], *, max_bytes: int, progress: Callable[[int], None]) -> dict[str, str]:
    """Every file under ``paths``, as absolute path -> digest of its bytes, in a stable order.

    Hidden files and folders are left out. A file that cannot be read has an empty digest, one above ``max_bytes`` a
    digest of its size and time: both are for the parser to refuse with a reason.
    Raises UsageError for a path that does not exist.
    """
    found: dict[str, str] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist", hint="give files or folders that do", refs=(str(path),))
        for file in [path] if not path.is_dir() else _walk(path):
            source = str(file.resolve())
            if source not in found:
                found[source] = _digest(file, max_bytes)
                progress(len(found))
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(files) if not name.startswith("."))


def _digest(file: Path, max_bytes: int) -> str:
    try:
        size = file.stat().st_size
        if size > max_bytes:
            return f"{size} bytes, {file.stat().st_mtime_ns}"
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def file_reader(pool: ParserPool, digests: Mapping[str, str], *, limits: str, fields: Mapping[str, str]) -> Reader:
    """Reads files through the parsing processes; ``fields`` are filter fields given to every document."""

    def read(sources: Sequence[str]) -> Iterator[Raw | Quarantined]:
        for path, outcome in pool.map(Path(source) for source in sources):
            source = str(path)
            if isinstance(outcome, Rejected):
                yield Quarantined(source, outcome.reason, outcome.message, sha256=digests[source], limits=limits)
            else:
                yield _from_file(source, outcome, fields)

    return read


def _from_file(source: str, read: ParsedDoc, fields: Mapping[str, str]) -> Raw | Quarantined:
    try:
        original = Path(source).read_bytes()
    except OSError as e:
        return Quarantined(source, "unreadable", f"the file vanished while it was read: {e.strerror}")
    if sha256_hex(original) != read.sha256:
        return Quarantined(source, "changing", "the file changed while it was read; ingest it again when it is still")
    parsed = replace(read.parsed, title=read.parsed.title or Path(source).stem, metadata=fields)
    return Raw(source, read.sha256, parsed, read.language, read.signature, original)


@dataclass(frozen=True, slots=True)
class BeirCorpus:
    """The records of a ``corpus.jsonl``: where each stands in the file, and what is wrong with the others."""

    path: Path
    found: dict[str, str]
    offsets: dict[str, int]
    bad: dict[str, Quarantined]


def find_beir(folder: Path) -> BeirCorpus:
    """Scan a BEIR folder. Ids are kept as sources; lines that are no record are quarantined as ``corpus.jsonl:12``.

    Raises UsageError when there is no ``corpus.jsonl``.
    """
    path = folder / "corpus.jsonl"
    if not path.is_file():
        raise UsageError(f"{folder} holds no corpus.jsonl", hint="give the folder of a set in the BEIR layout")
    corpus = BeirCorpus(path, {}, {}, {})
    offset = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                _scan(corpus, line, number, offset)
            offset += len(line)
    return corpus


def _scan(corpus: BeirCorpus, line: bytes, number: int, offset: int) -> None:
    name, digest = f"{corpus.path.resolve()}:{number}", sha256_hex(line)
    try:
        record = json.loads(line)
        identifier = record["_id"]
        well_formed = isinstance(identifier, str) and isinstance(record.get("text"), str)
    except (ValueError, KeyError, TypeError):
        well_formed, identifier = False, ""
    if not well_formed:
        problem = ("malformed", 'not a JSON object with strings "_id" and "text"')
    elif identifier in corpus.found:
        problem = ("duplicate", f"_id {identifier} stands in an earlier line already")
    else:
        corpus.found[identifier] = digest
        corpus.offsets[identifier] = offset
        return
    corpus.found[name] = digest
    corpus.bad[name] = Quarantined(name, *problem, sha256=digest)


def beir_reader(corpus: BeirCorpus, *, limits: str, fields: Mapping[str, str]) -> Reader:
    """Reads a corpus's records one by one; a record's metadata of plain values become filter fields."""

    def read(sources: Sequence[str]) -> Iterator[Raw | Quarantined]:
        with corpus.path.open("rb") as lines:
            for source in sources:
                if source in corpus.bad:
                    yield replace(corpus.bad[source], limits=limits)
                    continue
                lines.seek(corpus.offsets[source])
                yield _from_record(source, lines.readline(), limits, fields)

    return read


def _from_record(source: str, line: bytes, limits: str, fields: Mapping[str, str]) -> Raw | Quarantined:
    record, digest = json.loads(line), sha256_hex(line)
    metadata = {k: str(v) for k, v in (record.get("metadata") or {}).items() if isinstance(v, str | int | float)}
    title = record.get("title") or ""
    read = prepare(
        ParsedText(record["text"], title=title, media_type="application/x-beir", metadata={**metadata, **fields})
    )
    if isinstance(read, Rejected):
        return Quarantined(source, read.reason, read.message, sha256=digest, limits=limits)
    return Raw(source, digest, read.parsed, read.language, read.signature, original=None)
