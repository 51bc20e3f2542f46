"""Documents that must be kept, for a reason of Art. 17(3), until the reason is looked at again."""

from __future__ import annotations

from datetime import date

from freehold.core.errors import HouseBusy, UsageError
from freehold.core.shelf import Hold
from freehold.house import House
from freehold.store.lock import writer_lock


def add(house: House, document_id: str, basis: str, review: str) -> None:
    """Put a document under a hold. Raises UsageError for no date to come, StorageFault for no document, HouseBusy while
    another process writes: it may have begun to erase the document, having looked for holds before.
    """
    try:
        day = date.fromisoformat(review)
    except ValueError:
        raise UsageError(f"{review!r} is no date", hint="write it as 2027-12-31") from None
    if day <= date.today():  # noqa: DTZ011 - a day of the calendar on the wall
        raise UsageError(f"{review} has passed", hint="a hold is looked at again on a day to come")
    try:
        with writer_lock(house.root):
            house.shelf.hold(document_id, Hold(basis, day.isoformat()))
    except HouseBusy as busy:
        hint = "it may be erasing the document; run the same command again when it is done"
        raise HouseBusy(busy.message, hint=hint, refs=busy.refs) from None
    house.ledger.append("hold.set", ids={"document": document_id}, codes={"basis": basis})


def remove(house: House, document_id: str) -> None:
    """End a hold. Raises StorageFault for no document."""
    house.shelf.hold(document_id, None)
    house.ledger.append("hold.removed", ids={"document": document_id})
