"""An answer as plain words: no picture that a browser would fetch, no link that hides where it leads, no markup.

A document, or a model that read one, may hold an address that carries off what a reader was told once it is fetched or
followed (OWASP LLM01 and LLM02, 2025). Addresses stay readable, as code, so that nobody follows one by mistake.
"""

from __future__ import annotations

import re

_PICTURE = re.compile(r"!\[([^\]\n]*)\](?:\([^)\n]*\)?|\[[^\]\n]*\]?)")
_LINK = re.compile(r"\[([^\]\n]*)\]\(\s*<?([^)\s>]*)[^)\n]*\)?")
_REFERENCE = re.compile(r"(?m)^[ \t]*\[[^\]\n]+\]:[ \t]*\S.*$")
_TAG = re.compile(r"</?[A-Za-z!?][^>\n]*>?")
_ADDRESS = re.compile(r"(?<!\w)(?:https?|ftp|data|javascript|file|vbscript)\s*:\s*[^\s`<>\])]+", re.IGNORECASE)
_OPEN = re.compile(r"!?\[[^\]\n]*(?:\][(\[]?[^)\]\n]*)?$|<[^>\n]*$|\S*$")
_HELD_CHARS = 2_000


def neutral(text: str) -> str:
    """The same words. Marks of citations (``[1]``) stay; what is neutral comes back as it is."""
    text = _PICTURE.sub(lambda match: match[1], text)
    text = _LINK.sub(lambda match: f"{match[1]} {match[2]}" if match[2] else match[1], text)
    text = _REFERENCE.sub("", text)
    text = _TAG.sub("", text)
    if _ADDRESS.search(text):
        text = text.replace("`", "")  # a stray one would close the code before the address
    return _ADDRESS.sub(lambda match: f"`{match[0]}`", text)


class Neutral:
    """The same for words that come one by one: what may become markup is held back until it is clear."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What of it can be shown now."""
        text = self._held + piece
        open_at = _OPEN.search(text)
        at = open_at.start() if open_at else len(text)
        for kind in (_PICTURE, _LINK, _TAG):
            at = next((match.start() for match in kind.finditer(text) if match.start() < at < match.end()), at)
        if len(text) - at > _HELD_CHARS:  # nobody writes an address of that length
            at = len(text)
        self._held = text[at:]
        return neutral(text[:at])

    def end(self) -> str:
        """The rest."""
        rest, self._held = self._held, ""
        return neutral(rest)
