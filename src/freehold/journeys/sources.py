"""Where documents come from: files and folders, and corpora in the BEIR layout (Thakur et al. 2021)."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from freehold.core.errors import UsageError
from freehold.core.ids import sha256_hex
from freehold.core.shelf import Quarantined, Shelf
from freehold.core.types import ParsedText
from freehold.journeys.ingest import Raw, Reader
from freehold.text.parse.outcome import Rejected
from freehold.text.prepare import ParsedDoc, prepare
from freehold.text.sandbox import ParserPool


@dataclass(frozen=True, slots=True)
class Files:
    """The files below some paths: digests by absolute path, files that no reader can take, folders not looked into."""

    found: dict[str, str]
    bad: dict[str, Quarantined]
    blind: list[str]


def find_files(paths: Sequence[Path], *, max_bytes: int, leave_out: Path, progress: Callable[[int], None]) -> Files:
    """Every file under ``paths`` in a stable order; hidden files and folders and all of ``leave_out`` are left out.

    A file that cannot be read has an empty digest, one above ``max_bytes`` a digest of its size and time: both are for
    the parser to refuse with a reason. Raises UsageError for a path that does not exist.
    """
    files = Files({}, {}, [])
    for path in paths:
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except OSError as e:
            hint = "give files or folders that do; a folder on a share must be mounted"
            raise UsageError(f"{path} does not exist or cannot be read: {e.strerror}", hint=hint) from None
        for file in _walk(path, leave_out, files) if is_folder else [path]:
            _add(files, os.path.realpath(file), max_bytes)
            progress(len(files.found))
    return files


def _add(files: Files, source: str, max_bytes: int) -> None:
    name = os.fsencode(source).decode("utf-8", "backslashreplace")
    if name != source:
        files.found[name] = ""
        files.bad[name] = Quarantined(name, "unreadable", "the file's name is not UTF-8 text; rename it")
    elif source not in files.found:
        files.found[source] = _digest(Path(source), max_bytes)


def _walk(folder: Path, leave_out: Path, files: Files) -> Iterator[Path]:
    def blind(error: OSError) -> None:
        place = os.path.realpath(error.filename)
        files.blind.append(place)
        files.found[place] = ""
        files.bad[place] = Quarantined(place, "unreadable", f"the folder cannot be read: {error.strerror}")

    for root, folders, names in os.walk(folder, onerror=blind):
        kept = (name for name in sorted(folders) if not name.startswith("."))
        folders[:] = [name for name in kept if Path(root, name).resolve() != leave_out]
        if Path(root).resolve() != leave_out:
            yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _digest(file: Path, max_bytes: int) -> str:
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode):  # opening a pipe would wait for its writer
            return ""
        if about.st_size > max_bytes:
            return f"{about.st_size} bytes, {about.st_mtime_ns}"
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def file_reader(pool: ParserPool, files: Files, *, limits: str, fields: Mapping[str, str]) -> Reader:
    """Reads files through the parsing processes; ``fields`` are filter fields given to every document."""

    def read(sources: Sequence[str]) -> Iterator[Raw | Quarantined]:
        yield from (files.bad[source] for source in sources if source in files.bad)
        for path, outcome in pool.map(Path(source) for source in sources if source not in files.bad):
            source = str(path)
            if isinstance(outcome, Rejected):
                yield Quarantined(source, outcome.reason, outcome.message, sha256=files.found[source], limits=limits)
            else:
                yield _from_file(source, outcome, fields)

    return read


def renamed(read: Reader, paths: Mapping[str, str]) -> Reader:
    """The same, under other names for the sources: ``paths`` tells where each lies, as ``read`` calls it."""
    sources = {path: source for source, path in paths.items()}

    def read_renamed(names: Sequence[str]) -> Iterator[Raw | Quarantined]:
        for outcome in read([paths[name] for name in names]):
            yield replace(outcome, source=sources[outcome.source])

    return read_renamed


def _from_file(source: str, read: ParsedDoc, fields: Mapping[str, str]) -> Raw | Quarantined:
    try:
        original = Path(source).read_bytes()
    except OSError as e:
        return Quarantined(source, "unreadable", f"the file vanished while it was read: {e.strerror}")
    if sha256_hex(original) != read.sha256:
        return Quarantined(source, "changing", "the file changed while it was read; ingest it again when it is still")
    parsed = replace(read.parsed, title=read.parsed.title or _printable(Path(source).stem), metadata=fields)
    return Raw(source, read.sha256, parsed, read.language, read.signature, original)


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else " " for c in name)


@dataclass(frozen=True, slots=True)
class BeirCorpus:
    """The records of a ``corpus.jsonl``: where each stands in the file, and what is wrong with the others."""

    path: Path
    found: dict[str, str]
    offsets: dict[str, int]
    bad: dict[str, Quarantined]


def find_beir(folder: Path) -> BeirCorpus:
    """Scan a BEIR folder. Ids are kept as sources; lines that are no record are quarantined as ``corpus.jsonl:12``.

    Raises UsageError when there is no ``corpus.jsonl`` that can be read.
    """
    path = folder / "corpus.jsonl"
    corpus = BeirCorpus(path, {}, {}, {})
    offset = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    _scan(corpus, line, number, offset)
                offset += len(line)
    except OSError as e:
        hint = "give the folder of a set in the BEIR layout"
        raise UsageError(f"{path} cannot be read: {e.strerror}", hint=hint) from None
    return corpus


def _scan(corpus: BeirCorpus, line: bytes, number: int, offset: int) -> None:
    name, digest = f"{corpus.path.resolve()}:{number}", sha256_hex(line)
    identifier = _identifier(line)
    if identifier is None:
        problem = (
            "malformed",
            'not a JSON object with strings "_id" and "text" (and "title", and an object "metadata")',
        )
    elif identifier in corpus.found:
        problem = ("duplicate", f"_id {identifier} stands in an earlier line already")
    else:
        corpus.found[identifier] = digest
        corpus.offsets[identifier] = offset
        return
    corpus.found[name] = digest
    corpus.bad[name] = Quarantined(name, *problem, sha256=digest)


def _identifier(line: bytes) -> str | None:
    """The id of a well-formed record, else None."""
    try:
        record = json.loads(line)
        identifier, text, title = record["_id"], record["text"], record.get("title") or ""
        strings = all(isinstance(value, str) for value in (identifier, text, title))
        well_formed = strings and identifier.isprintable() and isinstance(record.get("metadata") or {}, dict)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return identifier if well_formed else None


def beir_reader(corpus: BeirCorpus, *, limits: str, fields: Mapping[str, str]) -> Reader:
    """Reads a corpus's records one by one; a record's metadata of plain values become filter fields."""

    def read(sources: Sequence[str]) -> Iterator[Raw | Quarantined]:
        with corpus.path.open("rb") as lines:
            for source in sources:
                if source in corpus.bad:
                    yield replace(corpus.bad[source], limits=limits)
                    continue
                lines.seek(corpus.offsets[source])
                line = lines.readline()
                if sha256_hex(line) != corpus.found[source]:
                    yield Quarantined(source, "changing", "the corpus changed while it was read; ingest it again")
                    continue
                yield _from_record(source, line, limits, fields)

    return read


def shelf_reader(shelf: Shelf) -> Reader:
    """Reads the documents of another shelf as it cleaned them. Originals stay where they are."""

    def read(sources: Sequence[str]) -> Iterator[Raw | Quarantined]:
        known, signatures = shelf.known(), dict(shelf.signatures())
        for source in sources:
            of = known[source]
            document = shelf.document(of.document_id)
            parsed = ParsedText(
                text=document.text,
                title=document.title,
                media_type=document.media_type,
                pages=document.pages,
                headings=document.headings,
                metadata=document.metadata,
            )
            yield Raw(source, of.sha256, parsed, document.language, signatures[of.document_id], original=None)

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
