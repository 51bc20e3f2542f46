"""Signed notes and checkpoints, as C2SP has them (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), with Ed25519."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from freehold.proof.signing import Signer

_ED25519 = b"\x01"
_DASH = "—"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its name, how many leaves it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text: three lines, each ended."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_id(name: str, public: bytes) -> bytes:
    """4 bytes: which key of that name signed."""
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def verifier_key(name: str, public: bytes) -> str:
    """``name+id+key``: what somebody needs to check the log."""
    return f"{name}+{key_id(name, public).hex()}+{base64.b64encode(_ED25519 + public).decode()}"


def signed(checkpoint: Checkpoint, signer: Signer) -> str:
    """The checkpoint as a signed note."""
    text = checkpoint.text()
    signature = key_id(checkpoint.origin, signer.public) + signer.key.sign(text.encode())
    return f"{text}\n{_DASH} {checkpoint.origin} {base64.b64encode(signature).decode()}\n"


def opened(note: str, public: bytes) -> Checkpoint:
    """The checkpoint in a signed note. Signatures by other keys are passed over. Raises ValueError if none fits."""
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not signatures.endswith("\n"):
        raise ValueError("it is no signed note")
    text += "\n"
    lines = text.split("\n")
    try:
        checkpoint = Checkpoint(lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True))
    except (IndexError, ValueError, binascii.Error):
        raise ValueError("it is no checkpoint") from None
    if len(lines) != 4 or checkpoint.text() != text or not checkpoint.origin or "+" in checkpoint.origin:
        raise ValueError("it is no checkpoint in its one form")
    for line in signatures.splitlines():
        words = line.split(" ")
        ours = len(words) == 3 and words[:2] == [_DASH, checkpoint.origin]
        if ours and _fits(words[2], checkpoint.origin, public, text.encode()):
            return checkpoint
    raise ValueError("no signature of the log's key fits")


def _fits(coded: str, name: str, public: bytes, text: bytes) -> bool:
    try:
        data = base64.b64decode(coded, validate=True)
        if data[:4] != key_id(name, public):
            return False
        Ed25519PublicKey.from_public_bytes(public).verify(data[4:], text)
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True
