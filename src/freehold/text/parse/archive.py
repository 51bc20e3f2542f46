"""Zip archives (docx, odt, pptx, xlsx, epub): checked before anything in them is unpacked."""

from __future__ import annotations

import io
import posixpath
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from freehold.text.parse.outcome import ParseLimits, Unreadable

_SMALL_BYTES = 2**20
_ENCRYPTED_FLAG = 0x1


class Archive:
    """The members of a checked zip file, by name."""

    def __init__(self, data: bytes, limits: ParseLimits) -> None:
        """Open and check ``data``; nothing is unpacked.

        Raises Unreadable: malformed, encrypted, unsafe_path or archive_bomb.
        """
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise Unreadable("malformed", "The archive is damaged. Ask for the file again.") from error
        members = self._zip.infolist()
        _check_size(members, len(data), limits)
        _check_names(members)
        if any(member.flag_bits & _ENCRYPTED_FLAG for member in members):
            raise Unreadable("encrypted", "The archive is protected by a password. Save a copy without one.")
        self.names = frozenset(member.filename for member in members)

    def read(self, name: str) -> bytes:
        """The unpacked bytes of a member. Raises Unreadable (malformed) when it is missing or damaged."""
        try:
            return self._zip.read(name)
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise Unreadable("malformed", "A part of the archive is missing or damaged.") from error

    def xml(self, name: str) -> ET.Element:
        """A member as XML. Raises Unreadable (malformed) when it is missing or not well-formed."""
        return parse_xml(self.read(name))

    def related(self, part: str) -> dict[str, str]:
        """Office Open XML: the parts that ``part`` refers to, by relationship id. Links to elsewhere are left out."""
        folder, name = posixpath.split(part)
        rels = f"{folder}/_rels/{name}.rels"
        if rels not in self.names:
            return {}
        return {
            link.get("Id", ""): posixpath.normpath(posixpath.join("/", folder, link.get("Target", ""))).lstrip("/")
            for link in self.xml(rels)
            if link.get("TargetMode") != "External"
        }


def parse_xml(data: bytes) -> ET.Element:
    """The root element. External entities are never fetched, and expat stops entities that multiply.

    Raises Unreadable (malformed).
    """
    try:
        return ET.fromstring(data)  # noqa: S314 - see above; memory and time are capped by the sandbox
    except (ET.ParseError, ValueError, LookupError) as error:
        raise Unreadable("malformed", "The file is not well-formed XML.") from error


def local(element: ET.Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2]


def attribute(element: ET.Element, name: str) -> str | None:
    """An attribute by its local name, whatever its namespace."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), None)


def _check_size(members: Sequence[zipfile.ZipInfo], packed_bytes: int, limits: ParseLimits) -> None:
    unpacked_bytes = sum(member.file_size for member in members)
    ratio = unpacked_bytes / max(packed_bytes, 1)
    if (
        len(members) > limits.max_archive_members
        or unpacked_bytes > limits.max_archive_bytes
        or (unpacked_bytes > _SMALL_BYTES and ratio > limits.max_archive_ratio)
    ):
        raise Unreadable(
            "archive_bomb", "The archive would unpack to far more than a document holds. It was not opened."
        )


def _check_names(members: Sequence[zipfile.ZipInfo]) -> None:
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or name[1:2] == ":" or ".." in PurePosixPath(name).parts:
            raise Unreadable("unsafe_path", "The archive names files outside itself; it was not opened.")
