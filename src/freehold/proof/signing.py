"""Signatures: Ed25519 (RFC 8032) over DSSE envelopes (secure-systems-lab/dsse, v1), under a key of the house."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from freehold.core.ids import canonical_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Signer:
    """A private key, and the name that its public half gives it."""

    key: Ed25519PrivateKey

    @classmethod
    def new(cls) -> Signer:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, data: bytes) -> Signer:
        """From the 32 bytes that ``private`` gives. Raises ValueError."""
        return cls(Ed25519PrivateKey.from_private_bytes(data))

    @property
    def private(self) -> bytes:
        return self.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    @property
    def public(self) -> bytes:
        """32 bytes."""
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def key_id(self) -> str:
        """sha256 of the public key, in hexadecimal."""
        return sha256(self.public).hexdigest()

    def envelope(self, statement: Mapping[str, Any]) -> dict[str, Any]:
        """The statement in canonical JSON, signed: a DSSE envelope."""
        payload = canonical_json(statement).encode()
        signature = self.key.sign(pae(PAYLOAD_TYPE, payload))
        return {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": self.key_id, "sig": base64.b64encode(signature).decode()}],
        }


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed: the pre-authentication encoding of DSSE v1."""
    kind = payload_type.encode()
    return b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
