"""How a text or a vector may be written in a file: the patterns that a raw scan looks for."""

from __future__ import annotations

import base64
import json
import struct
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import numpy as np
from numpy.typing import NDArray

from freehold.proof.matching import Pattern

SHORTEST_NEEDLE = 4
"""Bytes: what is shorter is everywhere."""
WINDOW = 8
"""Components of a vector that count as a trace of it."""
_TELLING = 4
"""Different numbers in a vector that can be told from others."""
_ENCODINGS = ("cp1250", "cp1252", "iso8859-2", "iso8859-15")


def text_patterns(needle: str, owner: str, *, whole: bool = False) -> set[Pattern]:
    """A text in the encodings, forms, cases and escapes that files have it in.

    UTF-8, UTF-16 of both orders and the 8-bit code pages of Europe; NFC and NFD; as it is, lower, upper, title and
    folded (ASCII letters in any case); escaped as JSON does (some or all letters), percent-encoded; base64 at its three
    alignments, of both alphabets, also of what JSON escapes. ``whole``: not as part of something longer, which leaves
    out UTF-16 and base64, where that cannot be told. Raises ValueError for a text under SHORTEST_NEEDLE bytes.
    """
    _long_enough(needle)
    found = set()
    for form in _forms(needle):
        encoded = form.encode("utf-8", "surrogatepass")
        wide = form.encode("utf-16-le", "surrogatepass")
        units = [f"\\u{unit:04x}" for unit in struct.unpack(f"<{len(wide) // 2}H", wide)]
        escaped, quoted = json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1]
        # Between its first and last byte that is not zero, text of ASCII is the same in both orders of UTF-16.
        wides = {wide[:-1]} if form.isascii() else {wide, form.encode("utf-16-be", "surrogatepass")}
        writings = {
            "utf-8": {encoded},
            "utf-16": set() if whole else wides,
            "escaped": {
                text.encode("utf-8", "surrogatepass")
                for text in (escaped, quoted, escaped.replace("/", "\\/"), quoted.replace("/", "\\/"), "".join(units))
            },
            "percent": {quote(encoded, safe=safe).encode() for safe in ("", "/", "@:/")}
            | {quote_plus(encoded).encode()},
            "code page": set(_code_pages(form)),
        }
        done: set[bytes] = set()
        for writing, datas in writings.items():
            found |= {Pattern(data.lower(), owner, writing, folded=True, whole=whole) for data in datas - done}
            done |= datas
        if not whole:
            for data in {encoded, escaped.encode(), quoted.encode("utf-8", "surrogatepass")}:
                found |= {Pattern(core, owner, "base64") for core in base64_cores(data)}
    return found


def plain_patterns(needle: str, owner: str) -> set[Pattern]:
    """A text in UTF-8, in any case of ASCII letters. Raises ValueError for one under SHORTEST_NEEDLE bytes."""
    _long_enough(needle)
    return {Pattern(needle.encode("utf-8", "surrogatepass"), owner, "utf-8", folded=True)}


def _long_enough(needle: str) -> None:
    if len(needle.encode("utf-8", "surrogatepass")) < SHORTEST_NEEDLE:
        raise ValueError(f"a text of {SHORTEST_NEEDLE} bytes or more: what is shorter is everywhere")


def _forms(needle: str) -> set[str]:
    cases = {needle, needle.lower(), needle.upper(), needle.title(), needle.casefold()}
    return {unicodedata.normalize(form, case) for case in cases for form in ("NFC", "NFD")} | {needle}


def _code_pages(form: str) -> Iterator[bytes]:
    if not form.isascii():
        for name in _ENCODINGS:
            try:
                yield form.encode(name)
            except UnicodeEncodeError:
                continue


def base64_cores(data: bytes) -> Iterator[bytes]:
    """What of base64 does not depend on the bytes before and after: at three alignments, of both alphabets."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data)
        # 8 bits a byte, 6 a letter: letters that hold a bit of another byte are left out.
        core = whole[(8 * before + 5) // 6 : 8 * (before + len(data)) // 6]
        if len(core) >= 6:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))


def vector_patterns(vector: NDArray[np.float32], owner: str) -> set[Pattern]:
    """Stretches of a vector as files have them: of the vector as given and scaled to length 1.

    Floats of 16 bits (IEEE and bfloat), 32 and 64, of both orders; CBOR's tagged floats of 32 and 64 bits; decimal as
    JSON has them; base64 of 32-bit floats. None for a vector so plain that it cannot be told from others.
    Raises ValueError for one that is not finite.
    """
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError("a vector of one dimension and finite numbers")
    found = set()
    scale = float(np.linalg.norm(vector.astype(np.float64)))
    for values in (vector.astype(np.float32), (vector / (scale or 1.0)).astype(np.float32)):
        for start, end in _stretches(values):
            for writing, data in _written(values[start:end]):
                found.add(Pattern(data, owner, writing))
    return found


def raw_vector_patterns(vector: NDArray[np.float32], owner: str) -> set[Pattern]:
    """A vector's stretches as 32-bit floats alone, as an engine's files and a catalog's cells have them."""
    stretches = (vector[start:end].astype("<f4").tobytes() for start, end in _stretches(vector))
    return {Pattern(data, owner, "f32 le") for data in stretches}


def _stretches(values: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Where telling stretches are: about the first, middle and last; the whole where no short one tells it."""
    last = max(0, len(values) - WINDOW)
    starts = set()
    for wanted in (0, last // 2, last):
        nearest = np.argsort(np.abs(np.arange(last + 1) - wanted), kind="stable").tolist()
        found = (at for at in nearest if np.unique(values[at : at + WINDOW]).size >= min(6, len(values)))
        starts.add(next(found, None))
    if None in starts:
        return [(0, len(values))] if np.unique(values).size >= _TELLING else []
    return [(at, at + WINDOW) for at in sorted(at for at in starts if at is not None)]


def _written(part: NDArray[np.float32]) -> Iterator[tuple[str, bytes]]:
    cut = part.view(np.uint32)
    rounded = cut.astype(np.uint64) + 0x7FFF + ((cut >> 16) & 1)  # to the nearest, ties to even
    for order, name in (("<", "le"), (">", "be")):
        yield f"f32 {name}", part.astype(f"{order}f4").tobytes()
        yield f"f64 {name}", part.astype(f"{order}f8").tobytes()
        with np.errstate(over="ignore"):
            yield f"f16 {name}", part.astype(f"{order}f2").tobytes()
        yield f"bf16 {name}", (cut >> 16).astype(f"{order}u2").tobytes()
        yield f"bf16 {name}", (rounded >> 16).astype(f"{order}u2").tobytes()
    yield "cbor", b"".join(b"\xfa" + struct.pack(">f", x) for x in part.tolist())
    yield "cbor", b"".join(b"\xfb" + struct.pack(">d", x) for x in part.tolist())
    for core in base64_cores(part.astype("<f4").tobytes()):
        yield "base64", core
    for between in (",", ", "):
        yield "decimal", between.join(map(repr, part.tolist())).encode()
        yield "decimal", between.join(np.format_float_positional(x, unique=True, trim="0") for x in part).encode()
