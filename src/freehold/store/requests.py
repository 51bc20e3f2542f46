"""Requests on disk: a folder each, with ``request.json`` and, sealed under the request's own key, whom it is about.

The key lies in the vault. Destroying it, when a request is closed, leaves ids, counts and times.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from freehold.core.erasure import STAGES, ErasureRequest, Evidence, Subject
from freehold.core.errors import StorageFault
from freehold.core.faults import step
from freehold.core.files import shred, storage_fault, write_durably
from freehold.core.ids import canonical_json
from freehold.core.records import from_json, to_json
from freehold.store.folders import Folders, damaged, read_record, write_record
from freehold.store.vault import Vault, seal, unseal

FORMAT = 1
RECORD = "request.json"
SUBJECT = "subject.sealed"
EVIDENCE = "evidence.sealed"
CERTIFICATE = "certificate.json"

T = TypeVar("T")


class RequestFolder:
    """Requests under one directory, which is made when first needed."""

    def __init__(self, root: Path, vault: Vault) -> None:
        hint = "freehold requests lists those there are"
        self._folders = Folders(root, record=RECORD, what="request", made_by=hint, fault="request")
        self._root, self._vault = root, vault

    def put(self, request: ErasureRequest, subject: Subject) -> None:
        """Keep a new request; durable on return. Raises StorageFault."""
        with self._folders.new(request.id) as folder:
            self._fill(folder, request, subject)

    def take(self, request: ErasureRequest, subject: Subject) -> ErasureRequest:
        """The open request for the same person, or else this new one, kept; durable on return. Raises StorageFault."""
        try:
            with self._folders.alone():
                known = self.open_for(subject)
                if known is not None:
                    return known
                with self._folders.placed(request.id) as folder:
                    self._fill(folder, request, subject)
        except OSError as e:
            raise storage_fault(e, self._root) from None
        step("request.kept")
        return request

    def update(self, request: ErasureRequest) -> ErasureRequest:
        """Keep how far it has come, and give it back; durable on return. Raises StorageFault."""
        write_record(self._root / request.id / RECORD, request, version=FORMAT)
        step(f"request.{request.stage}")
        return request

    def get(self, reference: str) -> ErasureRequest:
        """By id or the beginning of one. Raises UsageError where none or several fit."""
        return self._read(self._folders.find(reference))

    def all(self) -> tuple[ErasureRequest, ...]:
        """All, the oldest first."""
        return tuple(sorted(map(self._read, self._folders.names()), key=lambda r: (r.received, r.id)))

    def open_for(self, subject: Subject) -> ErasureRequest | None:
        """The request for this person that is not closed, if there is one."""
        for request in self.all():
            sealed = (self._root / request.id / SUBJECT).exists()
            if sealed and request.stage != "closed" and self.subject(request.id).identifiers == subject.identifiers:
                return request
        return None

    def subject(self, request_id: str) -> Subject:
        """Whom it is about. Raises StorageFault when it is closed: nobody can tell any more."""
        return self._unseal(self._root / request_id / SUBJECT, request_id, Subject)

    def put_subject(self, request_id: str, subject: Subject) -> None:
        """Keep whom it is about, with more that identifies them; durable on return."""
        key = self._vault.key(_key_name(request_id))
        self._seal(self._root / request_id / SUBJECT, request_id, key, subject)

    def evidence(self, request_id: str) -> Evidence:
        """What leftovers are searched by; nothing before anything was found."""
        path = self._root / request_id / EVIDENCE
        return self._unseal(path, request_id, Evidence) if path.exists() else Evidence((), (), (), (), ())

    def put_evidence(self, request_id: str, evidence: Evidence) -> None:
        """Keep it; durable on return."""
        key = self._vault.key(_key_name(request_id))
        self._seal(self._root / request_id / EVIDENCE, request_id, key, evidence)

    def put_certificate(self, request_id: str, certificate: bytes) -> Path:
        """Keep the latest certificate beside the request, and return where; durable on return."""
        path = self._root / request_id / CERTIFICATE
        write_durably(path, certificate)
        return path

    def certificate(self, request_id: str) -> bytes:
        """The latest certificate; nothing where there is none yet."""
        path = self._root / request_id / CERTIFICATE
        return path.read_bytes() if path.exists() else b""

    def close(self, request: ErasureRequest) -> ErasureRequest:
        """Destroy the key: from here on nobody can tell whom the request was about."""
        for name in (SUBJECT, EVIDENCE):
            shred(self._root / request.id / name)
        self._vault.destroy([_key_name(request.id)])
        return self.update(replace(request, stage="closed"))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait for other processes that work on requests. Raises OSError."""
        with self._folders.alone():
            yield

    def _fill(self, folder: Path, request: ErasureRequest, subject: Subject) -> None:
        key = self._vault.ensure(_key_name(request.id))
        folder.mkdir()
        self._seal(folder / SUBJECT, request.id, key, subject)
        write_record(folder / RECORD, request, version=FORMAT)

    def _seal(self, path: Path, request_id: str, key: bytes, value: object) -> None:
        data = canonical_json(to_json(value)).encode("utf-8", "surrogatepass")
        write_durably(path, seal(key, data, document_id=f"{request_id}/{path.name}"), mode=0o600)

    def _unseal(self, path: Path, request_id: str, kind: type[T]) -> T:
        try:
            sealed = path.read_bytes()
        except OSError:
            hint = "its key was destroyed when it was closed"
            raise StorageFault("nobody can tell whom the request is about", hint=hint, refs=(request_id,)) from None
        data = unseal(self._vault.key(_key_name(request_id)), sealed, document_id=f"{request_id}/{path.name}")
        try:
            return from_json(kind, json.loads(data))
        except ValueError as e:
            raise damaged(path, e) from None

    def _read(self, name: str) -> ErasureRequest:
        return read_record(self._root / name / RECORD, ErasureRequest, version=FORMAT)


def is_past(request: ErasureRequest, stage: str) -> bool:
    """Whether the request has come as far as that stage."""
    return STAGES.index(request.stage) >= [*STAGES].index(stage)  # type: ignore[arg-type]


def _key_name(request_id: str) -> str:
    return f"request:{request_id}"
