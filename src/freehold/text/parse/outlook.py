"""MSG: Outlook's messages, a compound file with one stream per property (MS-OXMSG)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import olefile

from freehold.core.types import ParsedText
from freehold.text.parse.kind import decode
from freehold.text.parse.mail import Attachment, write_message
from freehold.text.parse.outcome import ParseLimits, Unreadable

MEDIA_TYPE = "application/vnd.ms-outlook"

_SUBJECT, _SENDER_NAME, _SENDER_ADDRESS, _SENDER_SMTP = "0037", "0C1A", "0C1F", "5D01"
_TO, _CC, _BODY, _HTML = "0E04", "0E03", "1000", "1013"
_LONG_FILE_NAME, _FILE_NAME, _DATA = "3707", "3704", "3701"
_SUBMITTED, _DELIVERED = 0x00390040, 0x0E060040
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_PROPERTIES_HEADER_BYTES = 32
_PROPERTY_BYTES = 16


def read(data: bytes, limits: ParseLimits) -> ParsedText:
    """Raises Unreadable: malformed or too_large."""
    try:
        compound = olefile.OleFileIO(io.BytesIO(data))
    except OSError as error:
        raise Unreadable("malformed", "The message is damaged. Ask for the file again.") from error
    with compound:
        message = _Properties(compound, ())
        address = message.text(_SENDER_SMTP) or message.text(_SENDER_ADDRESS)
        sender = f"{message.text(_SENDER_NAME)} <{address}>" if "@" in address else message.text(_SENDER_NAME)
        headers = {
            "Subject": message.text(_SUBJECT),
            "From": sender,
            "To": message.text(_TO),
            "Cc": message.text(_CC),
            "Date": message.date(),
        }
        plain = message.text(_BODY)
        body = plain or message.text(_HTML) or decode(message.binary(_HTML) or b" ")
        return write_message(headers, body, _attachments(compound), limits, media_type=MEDIA_TYPE, html=not plain)


class _Properties:
    """The properties of the message or of one attachment."""

    def __init__(self, compound: olefile.OleFileIO, folder: tuple[str, ...]) -> None:
        self._compound = compound
        self._folder = folder

    def text(self, tag: str) -> str:
        if data := self._stream(f"{tag}001F"):
            return data.decode("utf-16-le", errors="replace").rstrip("\0")
        data = self._stream(f"{tag}001E")
        return decode(data).rstrip("\0") if data else ""

    def binary(self, tag: str) -> bytes:
        return self._stream(f"{tag}0102")

    def date(self) -> str:
        """When the message was sent, else delivered: ISO 8601, UTC, to the second."""
        data = self._read("__properties_version1.0")[_PROPERTIES_HEADER_BYTES:]
        times = {
            int.from_bytes(data[at : at + 4], "little"): int.from_bytes(data[at + 8 : at + 16], "little")
            for at in range(0, len(data) - _PROPERTY_BYTES + 1, _PROPERTY_BYTES)
        }
        ticks = times.get(_SUBMITTED) or times.get(_DELIVERED)
        if not ticks:
            return ""
        return (_FILETIME_EPOCH + timedelta(microseconds=ticks // 10)).isoformat(timespec="seconds")

    def _stream(self, name: str) -> bytes:
        return self._read(f"__substg1.0_{name}")

    def _read(self, name: str) -> bytes:
        path = [*self._folder, name]
        return bytes(self._compound.openstream(path).read()) if self._compound.exists(path) else b""


def _attachments(compound: olefile.OleFileIO) -> Iterator[Attachment]:
    folders = {path[0] for path in compound.listdir() if path[0].startswith("__attach_version1.0_")}
    for folder in sorted(folders):
        properties = _Properties(compound, (folder,))
        name = properties.text(_LONG_FILE_NAME) or properties.text(_FILE_NAME) or "unnamed"
        yield Attachment(name, properties.binary(_DATA))
