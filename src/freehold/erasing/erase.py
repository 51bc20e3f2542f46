"""``freehold erase``: a request from its receipt to its certificate, as far as it comes in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from freehold.core.erasure import ErasureRequest, Ground, Subject
from freehold.core.errors import NeedsPerson, UsageError
from freehold.erasing import retention
from freehold.erasing.certify import Certified, certify
from freehold.erasing.holders import databases, write_anew
from freehold.erasing.rectify import finish
from freehold.erasing.retrain import Replaced, retrain
from freehold.erasing.verify import Verified, verify
from freehold.erasing.walk import Orders, carry_out, patiently, receive, requests_of, show_again
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.key_files import export_keys

_FINAL = frozenset({"COMPLETE", "PARTIAL_EXEMPT"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to."""

    request: ErasureRequest
    verified: Verified
    certified: Certified
    replaced: tuple[Replaced, ...]
    recipients: tuple[str, ...]
    """Whom the controller has to tell, as the settings name them (GDPR Art. 19)."""

    @property
    def failed(self) -> bool:
        """Whether something was found that should be gone, or a probe could not look."""
        return not self.verified.passed


def erase(
    house: House,
    who: Subject | str,
    *,
    ground: Ground,
    orders: Orders,
    retrain_models: bool,
    progress: Progress,
) -> Outcome:
    """Carry a request out as far as it comes: the person's (the open one is gone on with), or that of an id.

    Raises UsageError where the request is closed, HouseBusy, NeedsPerson, StorageFault; the same call goes on.
    """
    request = request_for(house, who)[0] if isinstance(who, str) else receive(house, who, ground)
    request = carry_out(house, request, orders, progress)
    finish(house, progress, wait_s=orders.wait_s)
    replaced: list[Replaced] = []
    if request.sets and retrain_models:
        replaced = retrain(house, request.sets, progress=progress)
    elif request.sets:
        replaced = retrain(house, {}, progress=progress)
    request = _settled(house, request, replaced)
    verified = _searched(house, request, orders.wait_s, progress)
    certified = certify(house, request, verified)
    recipients = house.settings.privacy.recipients if certified.request.documents else ()
    return Outcome(certified.request, verified, certified, tuple(replaced), recipients)


def request_for(house: House, reference: str) -> tuple[ErasureRequest, Subject]:
    """A request by its id or the beginning of one, and whom it is about. Raises UsageError where it is closed."""
    requests = requests_of(house)
    request = requests.get(reference)
    if request.stage == "closed":
        hint = "nobody can tell whom it was about; a new request begins anew: freehold erase --subject ..."
        raise UsageError(f"request {request.id[:8]} is closed", hint=hint)
    return request, requests.subject(request.id)


def retrain_all(house: House, progress: Progress) -> Sequence[Replaced]:
    """What all open requests, and documents whose time was over, left tainted, trained again; see
    ``freehold.erasing.retrain``.
    """
    finish(house, progress)
    requests = requests_of(house)
    sets: dict[str, str] = dict(retention.tainted_sets(house))
    for request in requests.all():
        sets |= request.sets
    replaced = retrain(house, sets, progress=progress)
    for request in requests.all():
        _settled(house, request, replaced)
    return replaced


def reprobe(house: House, progress: Progress) -> int:
    """Search once more for what the certified requests erased; how many those are.

    What comes up again makes the certificate a failed one. Raises NeedsPerson then, after all were looked at.
    """
    requests = requests_of(house)
    certified = [one for one in requests.all() if one.stage == "certified" and one.certificate in _FINAL]
    found = []
    for request in certified:
        verified = _searched(house, request, Orders().wait_s, progress)
        if not verified.passed:
            certify(house, request, verified)
            found.append(request.id)
    if found:
        hint = "freehold erase --resume ID looks again, erases it and tells which probe found it"
        raise NeedsPerson("something erased is there again, or could not be looked for", hint=hint, refs=tuple(found))
    return len(certified)


def close(house: House, reference: str) -> ErasureRequest:
    """Destroy the key of a request whose certificate is final. Raises UsageError where it is not."""
    requests = requests_of(house)
    request = requests.get(reference)
    if request.stage != "closed" and request.certificate not in _FINAL:
        hint = f"freehold erase --resume {request.id[:8]} goes on with it"
        raise UsageError(f"request {request.id[:8]} has no final certificate", hint=hint)
    show_again(house, request)
    closed = requests.close(request)
    export_keys(house)
    house.ledger.append("erasure.closed", ids={"request": request.id})
    return closed


def _searched(house: House, request: ErasureRequest, wait_s: float, progress: Progress) -> Verified:
    """Look for what was erased. Where bytes of it stayed in a database that has no row of it any more, which SQLite
    leaves where it moves rows, the database is written anew and everything is looked at again.
    """
    verified = verify(house, request, progress)
    places = {place for probe in verified.probes for place in probe.places}
    behind = [database for name, database in databases(house).items() if name in places]
    if not behind or any(probe.hits for probe in verified.probes if probe.kind in {"read", "key"}):
        return verified
    for database in behind:
        patiently(partial(write_anew, database), wait_s)
    return verify(house, request, progress)


def _settled(house: House, request: ErasureRequest, replaced: Sequence[Replaced]) -> ErasureRequest:
    """The request with what became of the models that it tainted."""
    gone = {one.version: one.by for one in replaced if one.gone and one.version in request.sets}
    if not gone.keys() - request.replaced.keys():
        return request
    return requests_of(house).update(replace(request, replaced={**request.replaced, **gone}))
