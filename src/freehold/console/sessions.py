"""Sessions of people who signed in with a key. They are kept in memory: a restart signs everybody out."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken

IDLE_S = 8 * 3600.0
_MOST = 1_000


@dataclass
class Session:
    """Somebody who signed in. It knows which key they have, not the key."""

    key_id: str
    seen: float
    """When they last did something, on the clock of ``Sessions``."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """What every form of theirs carries."""
    _cipher: Fernet = field(default_factory=lambda: Fernet(Fernet.generate_key()))

    def is_form(self, token: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(self.token.encode(), token.encode("utf-8", "replace"))

    def sealed(self, words: str) -> str:
        """Words for an address that logs and histories may keep: noise to all but this session, and after it to all."""
        return self._cipher.encrypt(words.encode()).decode()

    def opened(self, sealed: str) -> str:
        """The words; empty where another session sealed them."""
        try:
            return self._cipher.decrypt(sealed.encode()).decode()
        except (InvalidToken, ValueError):
            return ""


class Sessions:
    """For one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock``: seconds, from any beginning."""
        self._clock = clock
        self._open: OrderedDict[str, Session] = OrderedDict()

    def begin(self, key_id: str) -> Session:
        """Somebody signed in. Where too many have, the one who did nothing for longest is signed out."""
        session = Session(key_id, self._clock())
        self._open[session.id] = session
        while len(self._open) > _MOST:
            self._open.popitem(last=False)
        return session

    def of(self, id: str, *, by_itself: bool = False) -> Session | None:
        """The session of a cookie, if it is open still. ``by_itself``: the page asked, not a person: it stays idle."""
        session = self._open.get(id)
        if session is None:
            return None
        now = self._clock()
        if now - session.seen > IDLE_S:
            self.end(id)
            return None
        if not by_itself:
            session.seen = now
            self._open.move_to_end(id)
        return session

    def end(self, id: str) -> None:
        """Sign out. What was sealed stays sealed."""
        self._open.pop(id, None)
