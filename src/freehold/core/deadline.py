"""When an answer to a person is due: one calendar month after receipt, Art. 12(3) GDPR."""

from __future__ import annotations

import calendar
from datetime import datetime

EXTENSION_MONTHS = 2
"""By which the month may be extended, with reasons told within the first."""


def due_after(received: datetime, *, months: int = 1) -> datetime:
    """The same day of the month that follows, or its last where that has no such day (Reg. 1182/71 art. 3(2)(c)).

    The end of that day: a period in months ends with the expiry of its last hour. Raises ValueError without a time
    zone.
    """
    if received.tzinfo is None:
        raise ValueError("a deadline needs a time zone")
    month = received.month - 1 + months
    year, month = received.year + month // 12, month % 12 + 1
    day = min(received.day, calendar.monthrange(year, month)[1])
    return received.replace(year=year, month=month, day=day, hour=23, minute=59, second=59, microsecond=0)
