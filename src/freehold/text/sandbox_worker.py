"""The child's end of the sandbox: ``python -m freehold.text.sandbox_worker LIMITS`` reads files named on its input.

The wire: the parent sends one path per line, as JSON; the child answers each with 8 bytes of length and that much JSON.
JSON, because a child taken over by a hostile file must not be able to make the parent run anything (pickle would).
An empty frame says that the child is ready.
"""

from __future__ import annotations

import json
import math
import os
import resource
import stat
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, BinaryIO, get_args

from freehold.core.types import Heading, Page, ParsedText
from freehold.text.clean import CleaningReport
from freehold.text.duplicates import SIGNATURE_BYTES
from freehold.text.parse.outcome import ParseLimits, Reason, Rejected
from freehold.text.parse.parser import parse
from freehold.text.prepare import ParsedDoc, prepare

HEADER_BYTES = 8

_WARM_UP = b"A text that is long enough to load the language model and the rest of what every file needs."
_FORBIDDEN_EVENTS = frozenset({"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"})
_FORBIDDEN_PREFIX = "socket."


def encode(outcome: ParsedDoc | Rejected) -> bytes:
    """An outcome as JSON."""
    if isinstance(outcome, Rejected):
        return json.dumps(asdict(outcome)).encode()
    return json.dumps({**asdict(outcome), "signature": outcome.signature.hex()}).encode()


def decode(data: bytes) -> ParsedDoc | Rejected:
    """What ``encode`` wrote. Raises ValueError for anything else."""
    try:
        value: dict[str, Any] = json.loads(data)
        return _rejected(value) if "reason" in value else _doc(value)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not an outcome") from error


def _rejected(value: Mapping[str, Any]) -> Rejected:
    if value["reason"] not in get_args(Reason):
        raise ValueError("no such reason")
    return Rejected(value["reason"], _text(value["message"]))


def _doc(value: Mapping[str, Any]) -> ParsedDoc:
    parsed = value["parsed"]
    text = _text(parsed["text"])
    doc = ParsedDoc(
        parsed=ParsedText(
            text=text,
            title=_text(parsed["title"]),
            media_type=_text(parsed["media_type"]),
            pages=tuple(Page(_count(page["number"]), *_span(page, text)) for page in parsed["pages"]),
            headings=tuple(Heading(_count(heading["level"]), *_span(heading, text)) for heading in parsed["headings"]),
            metadata={_text(key): _text(content) for key, content in parsed["metadata"].items()},
        ),
        language=_text(value["language"]),
        sha256=_text(value["sha256"]),
        size_bytes=_count(value["size_bytes"]),
        signature=bytes.fromhex(value["signature"]),
        cleaning=CleaningReport(**{name: _count(count) for name, count in value["cleaning"].items()}),
    )
    if len(doc.signature) != SIGNATURE_BYTES:
        raise ValueError("a signature of another length")
    return doc


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    value.encode()  # raises for halves of characters, which no file can hold
    return value


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError("not a count")
    return value


def _span(value: Mapping[str, Any], text: str) -> tuple[int, int]:
    start, end = _count(value["start"]), _count(value["end"])
    if not start <= end <= len(text):
        raise ValueError("not a span of the text")
    return start, end


def read_file(path: str, limits: ParseLimits) -> ParsedDoc | Rejected:
    """Read, parse and prepare one file."""
    data = _bytes_of(path, limits.max_bytes)
    if isinstance(data, Rejected):
        return data
    parsed = parse(data, name=os.path.basename(path), limits=limits)  # noqa: PTH119 - a name, not a place
    if isinstance(parsed, Rejected):
        return parsed
    try:
        return prepare(parsed, source=data)
    except MemoryError:
        return Rejected("memory", "Cleaning the text takes more memory than allowed.")


def _bytes_of(path: str, max_bytes: int) -> bytes | Rejected:
    try:
        # Without O_NONBLOCK a named pipe would hold the worker until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                return Rejected("unreadable", "This is not a regular file.")
            if about.st_size > max_bytes:
                return Rejected("too_large", f"The file is larger than {max_bytes:,} bytes. Split it.")
            return file.read(max_bytes + 1)
    except FileNotFoundError:
        return Rejected("unreadable", "The file is not there any more.")
    except PermissionError:
        return Rejected("unreadable", "The file may not be read. Check its permissions.")
    except OSError as error:
        return Rejected("unreadable", f"The file cannot be read ({os.strerror(error.errno or 0)}).")
    except MemoryError:
        return Rejected("memory", "Reading the file takes more memory than allowed.")


def _forbid(event: str, _: tuple[object, ...]) -> None:
    """Parsers need no network and no programs. Stops Python code only: native code is held by the resource limits."""
    if event in _FORBIDDEN_EVENTS or event.startswith(_FORBIDDEN_PREFIX):
        raise PermissionError(f"{event} is not allowed while a file is read")


def _confine(limits: ParseLimits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the document
    sys.addaudithook(_forbid)


def _arm_cpu_limit(cpu_s: int) -> None:
    """The limit counts the process's whole life: what earlier files used is added to it."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + cpu_s, hard))


def _send(pipe: BinaryIO, payload: bytes) -> None:
    pipe.write(len(payload).to_bytes(HEADER_BYTES, "big") + payload)
    pipe.flush()


def _limits(text: str) -> ParseLimits:
    values: Mapping[str, Any] = json.loads(text)
    return ParseLimits(**values)


def main() -> None:
    """Serve until the input ends."""
    limits = _limits(sys.argv[1])
    # Whatever a library prints must not end up in the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    prepare(ParsedText(_WARM_UP.decode()))
    _confine(limits)
    _send(answers, b"")
    for line in sys.stdin.buffer:
        _arm_cpu_limit(limits.cpu_s)
        _send(answers, encode(read_file(json.loads(line), limits)))


if __name__ == "__main__":
    main()
