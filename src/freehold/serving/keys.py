"""API keys: who may do what through the service. ``keys.json`` in the house holds digests, never a key.

A key is 32 random bytes, so a plain SHA-256 of it tells nothing (there is no dictionary to try); it is shown once.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from freehold.core.access import checked
from freehold.core.errors import StorageFault, UsageError
from freehold.core.files import write_durably
from freehold.core.ids import canonical_json, new_id
from freehold.core.records import from_json, to_json

FILE = "keys.json"
FORMAT = 1
PREFIX = "fh"

Scope = Literal["ask", "ingest", "admin", "dpo"]
"""``ask``: search and ask. ``ingest``: documents and feedback as well. ``admin``: evaluation, models, all documents.
``dpo``: requests of people, what the house holds of them, and certificates.
"""
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Key:
    """One key as the house knows it."""

    id: str
    name: str
    """Of a program or a role; not of a person."""
    digest: str
    """SHA-256 of the secret, in hex."""
    scopes: tuple[Scope, ...]
    created: str
    groups: tuple[str, ...] | None = None
    """Of documents that it sees besides those for everybody; None: all."""
    expires: str = ""
    revoked: str = ""

    def is_valid(self, now: datetime) -> bool:
        """Neither revoked nor expired."""
        return not self.revoked and (not self.expires or now.isoformat() < self.expires)


class Keys:
    """The keys of one house. Read anew when the file changed: another process may add and revoke."""

    def __init__(self, root: Path) -> None:
        self._path = root / FILE
        self._read_at = (-1, -1)
        self._keys: dict[str, Key] = {}

    def all(self) -> Sequence[Key]:
        """All, the oldest first. Raises StorageFault for a damaged file."""
        try:
            about = self._path.stat()
        except FileNotFoundError:
            return []
        stamp = (about.st_mtime_ns, about.st_ino)
        if stamp != self._read_at:
            try:
                written = json.loads(self._path.read_bytes())
                keys = [from_json(Key, one) for one in written["keys"]]
            except (OSError, ValueError, KeyError, TypeError):
                hint = "restore it from a backup, or remove it and make new keys"
                raise StorageFault(f"{FILE} is damaged", hint=hint, refs=(str(self._path),)) from None
            self._keys, self._read_at = {key.id: key for key in keys}, stamp
        return list(self._keys.values())

    def add(
        self, name: str, scopes: Collection[Scope], *, groups: Collection[str] | None = None, days: int = 0
    ) -> tuple[Key, str]:
        """Make one; the string is what its bearer shows, and is nowhere kept. ``days``: 0 is without end.

        Raises UsageError for what is no name of a group.
        """
        with self._alone():
            now = datetime.now(UTC)
            key, secret = _made(name, tuple(s for s in SCOPES if s in scopes), now)
            key = replace(
                key,
                groups=None if groups is None else checked(groups),
                expires=(now + timedelta(days=days)).isoformat(timespec="seconds") if days else "",
            )
            self._write([*self.all(), key])
        return key, secret

    def rotate(self, reference: str, *, overlap_days: int = 0) -> tuple[Key, str]:
        """Another secret with the same rights; the one before ends now, or after ``overlap_days``."""
        with self._alone():
            old = self._find(reference)
            now = datetime.now(UTC)
            new, secret = _made(old.name, old.scopes, now)
            new = replace(new, groups=old.groups, expires=old.expires)
            ends = (now + timedelta(days=overlap_days)).isoformat(timespec="seconds")
            ended = replace(old, expires=min(filter(None, (ends, old.expires)))) if overlap_days else _revoked(old, now)
            self._write([*(ended if key.id == old.id else key for key in self.all()), new])
        return new, secret

    def revoke(self, reference: str) -> Key:
        """From now on it opens nothing. Raises UsageError where none or several are called so."""
        with self._alone():
            revoked = _revoked(self._find(reference), datetime.now(UTC))
            self._write([revoked if key.id == revoked.id else key for key in self.all()])
        return revoked

    def bearer(self, secret: str) -> Key | None:
        """The valid key that this is the secret of."""
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        found = None
        for key in self.all():
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found if found and found.is_valid(datetime.now(UTC)) else None

    def _find(self, reference: str) -> Key:
        found = [
            key for key in self.all() if not key.revoked and (key.id.startswith(reference) or key.name == reference)
        ]
        if len(found) != 1:
            many = "several keys are" if found else "no key is"
            raise UsageError(f"{many} called {reference!r}", hint="freehold keys list shows their ids")
        return found[0]

    def _write(self, keys: Sequence[Key]) -> None:
        text = canonical_json({"format": FORMAT, "keys": to_json(keys)})
        write_durably(self._path, text.encode(), mode=0o600)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait for another process that adds or revokes."""
        with self._path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _made(name: str, scopes: tuple[Scope, ...], now: datetime) -> tuple[Key, str]:
    id = new_id()
    secret = f"{PREFIX}_{id[:8]}_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return Key(id, name, digest, scopes, now.isoformat(timespec="seconds")), secret


def _revoked(key: Key, now: datetime) -> Key:
    return replace(key, revoked=now.isoformat(timespec="seconds"))
