"""Jobs: long work that a caller does not wait for. A folder each under ``jobs/``, done one after the other.

A job is carried out by a process of its own at low priority (``freehold.serving.job``), so that searches go on. It is
on disk before its caller is told of it, and every kind of work may be done again: a job that was cut off is waiting
when the service starts again. Uploaded files lie sealed under a key of the vault until they are read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from freehold.core.errors import UsageError
from freehold.core.files import shred_tree, write_durably
from freehold.core.ids import new_id
from freehold.store.folders import Folders, read_record, write_record
from freehold.store.vault import Vault, seal, unseal

FOLDER = "jobs"
FORMAT = 1
RECORD = "job.json"
SEALED = "sealed"
OPEN = "open"
_KEY = "upload:"
KEPT_DAYS = 30
"""What is told of a job that is over goes after so many days."""
_FIRST = frozenset({"ingest", "remove", "erase"})
_LAST = frozenset({"schedule"})

JobKind = Literal[
    "ingest", "remove", "erase", "tune", "retrain", "eval", "audit", "promote", "rollback", "index", "schedule"
]
JobState = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done, and how far it is. It holds ids, counts and codes; no word of a document or a person."""

    id: str
    kind: JobKind
    created: str
    key: str = ""
    """Id of the API key that asked for it."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Its arguments."""
    state: JobState = "waiting"
    started: str = ""
    ended: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.state in {"done", "failed"}


class Jobs:
    """The jobs of one house."""

    def __init__(self, root: Path, vault: Vault) -> None:
        """``root``: the house's folder."""
        hint = "GET /v1/jobs lists them"
        self._folders = Folders(root / FOLDER, record=RECORD, what="job", made_by=hint, fault="job")
        self._root, self._vault = root / FOLDER, vault

    def add(
        self, kind: JobKind, given: Mapping[str, Any], *, key: str = "", files: Sequence[tuple[str, bytes]] = ()
    ) -> Job:
        """A job, waiting; durable on return. ``files``: (name, bytes) of uploads."""
        job = Job(new_id(), kind, _now(), key, dict(given))
        with self._folders.new(job.id) as folder:
            folder.mkdir()
            if files:
                secret = self._vault.ensure(f"{_KEY}{job.id}")
                (folder / SEALED).mkdir()
                for number, (name, data) in enumerate(files):
                    packed = json.dumps(name).encode() + b"\n" + data
                    path = folder / SEALED / str(number)
                    write_durably(path, seal(secret, packed, document_id=f"{job.id}/{number}"), mode=0o600)
            write_record(folder / RECORD, job, version=FORMAT)
        return job

    def clear(self) -> None:
        """Forget what was uploaded for jobs that a crash kept from being added. Raises StorageFault."""
        if not self._root.exists():
            return
        self._folders.clear()
        with self._folders.alone():  # a job that is being added has its key before its folder
            named = self._vault.named(_KEY)
            self._vault.destroy([name for name in named if not (self._root / name.removeprefix(_KEY)).exists()])

    def get(self, reference: str) -> Job:
        """By id or the beginning of one. Raises UsageError where none or several fit."""
        return self._read(self._folders.find(reference))

    def all(self) -> list[Job]:
        """All, the oldest first."""
        return sorted(map(self._read, self._folders.names()), key=lambda job: (job.created, job.id))

    def stamp(self) -> int:
        """Another number when a job was added, by another process too."""
        try:
            return self._root.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _read(self, name: str) -> Job:
        return read_record(self._root / name / RECORD, Job, version=FORMAT)

    def next(self) -> Job | None:
        """What is to be done now: what somebody asked for before what is merely due.

        What came in before a request to erase is read before it, so that it is found.
        """
        waiting = [job for job in self.all() if job.state == "waiting"]
        return min(waiting, key=lambda job: (_place(job.kind), job.created, job.id), default=None)

    def update(self, job: Job, **changes: Any) -> Job:
        """Keep how far it is; durable on return."""
        job = replace(job, **changes)
        write_record(self._root / job.id / RECORD, job, version=FORMAT)
        return job

    def begin(self, job: Job) -> Job:
        """It is being done."""
        return self.update(job, state="running", started=_now(), stage="", done=0, total=0)

    def end(self, job: Job, *, result: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None) -> Job:
        """It is over, and what was uploaded for it is gone."""
        self.forget_files(job.id)
        state: JobState = "failed" if error else "done"
        return self.update(job, state=state, ended=_now(), result=result or {}, error=error or {})

    def resume(self) -> None:
        """What was running when the service was cut off waits again; what is over for long goes."""
        oldest = (datetime.now(UTC) - timedelta(days=KEPT_DAYS)).isoformat()
        for job in self.all():
            if job.state == "running":
                self.close_files(job.id)
                self.update(job, state="waiting")
            elif job.is_over and job.ended < oldest:
                shutil.rmtree(self._root / job.id)

    # -- uploads -----------------------------------------------------------------------------------------------------

    def open_files(self, job: Job) -> Path:
        """A folder with the job's files under their own names, for as long as it takes; see ``close_files``."""
        folder = self._root / job.id / OPEN
        self.close_files(job.id)
        folder.mkdir(mode=0o700)
        secret = self._vault.key(f"{_KEY}{job.id}")
        for path in sorted((self._root / job.id / SEALED).iterdir(), key=lambda path: int(path.name)):
            packed = unseal(secret, path.read_bytes(), document_id=f"{job.id}/{path.name}")
            name, _, data = packed.partition(b"\n")
            target = folder / json.loads(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return folder

    def opened(self) -> list[str]:
        """Ids of the jobs whose files lie open: one that runs, or was cut off."""
        return sorted(path.parent.name for path in self._root.glob(f"*/{OPEN}"))

    def close_files(self, job_id: str) -> None:
        """No byte of them lies open any more."""
        if (self._root / job_id / OPEN).exists():
            shred_tree(self._root / job_id / OPEN)

    def forget_files(self, job_id: str) -> None:
        """Key first: from here on the sealed bytes are noise."""
        self.close_files(job_id)
        self._vault.destroy([f"{_KEY}{job_id}"])
        with suppress(FileNotFoundError):
            shutil.rmtree(self._root / job_id / SEALED)


def _place(kind: JobKind) -> int:
    return 0 if kind in _FIRST else 2 if kind in _LAST else 1


def checked_name(name: str) -> str:
    """The name of an uploaded file, as the house will call it. Raises UsageError for one that is a path or no text."""
    if not name or not name.isprintable() or "/" in name or "\\" in name or name in {".", ".."} or name[0] == ".":
        raise UsageError("the name of an uploaded file must be printable, without slashes", hint="rename the file")
    if len(name.encode()) > 200:
        raise UsageError("the name of an uploaded file is longer than 200 bytes", hint="rename the file")
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
