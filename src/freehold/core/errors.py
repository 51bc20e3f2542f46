"""The error tree.

FreeholdError
├── UsageError            exit 2   the command or call cannot be meant
│   └── InvalidQuery               a query that is empty, too long or not text
├── SettingsError         exit 3   freehold.toml, a model or an endpoint is not as it must be
│   ├── ModelNotFound              no such name in the manifest, no such folder
│   ├── EgressStopped              a connection or look-up that the house does not declare
│   ├── ModelMismatch              weights whose hash, format or dimension is not the declared one
│   └── HouseMismatch              a house made by another embedder or a newer Freehold
├── NeedsPerson           exit 4   only a person can decide
│   └── HouseBusy                  another process is writing
└── HouseFault            exit 70  our fault, or the machine's
    ├── StorageFault               disk full, unreadable or damaged files
    ├── EngineFault                a vector engine failed
    ├── ContextOverflow            a text above a model's limit reached a model
    └── EndpointFault              a remote endpoint failed, timed out or answered nonsense
        └── CutShort               a model was stopped before it was done
            └── TimedOut           time was over

Messages name things by id, path or key; never by the words of a document or a query.
"""

from __future__ import annotations

from typing import ClassVar


class FreeholdError(Exception):
    """Root of every error raised on purpose.

    ``code`` is stable and meant for programs, ``hint`` says what to do next, ``refs`` holds ids, paths and keys only.
    """

    exit_code: ClassVar[int] = 70
    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "", refs: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.refs = refs

    def as_dict(self) -> dict[str, object]:
        """The JSON shape of an error, the same on every surface."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint, "refs": list(self.refs)}}


class UsageError(FreeholdError):
    exit_code = 2
    code = "usage"


class InvalidQuery(UsageError):
    code = "invalid_query"


class SettingsError(FreeholdError):
    exit_code = 3
    code = "settings"


class ModelNotFound(SettingsError):
    code = "model_not_found"


class EgressStopped(SettingsError, PermissionError):  # libraries take it for a network that is not there
    code = "egress_stopped"


class ModelMismatch(SettingsError):
    code = "model_mismatch"


class HouseMismatch(SettingsError):
    code = "house_mismatch"


class NeedsPerson(FreeholdError):
    exit_code = 4
    code = "needs_person"


class HouseBusy(NeedsPerson):
    code = "house_busy"


class HouseFault(FreeholdError):
    exit_code = 70
    code = "fault"


class StorageFault(HouseFault):
    code = "storage"


class EngineFault(HouseFault):
    code = "engine"


class ContextOverflow(HouseFault):
    code = "context_overflow"


class EndpointFault(HouseFault):
    code = "endpoint"


class CutShort(EndpointFault):
    """A model was stopped before it was done, by its server or because time was over: what came before may stand."""


class TimedOut(CutShort):
    """Time was over."""
