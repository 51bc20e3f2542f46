"""A Qdrant server, asked patiently: what may pass is tried again, and what it fails with is an error of the house.

Connections are direct (proxy variables are not read), redirects are not followed, and what the server says in a failure
is never quoted.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from freehold.core.errors import EndpointFault, SettingsError, StorageFault

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

ATTEMPTS = 4
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 20.0
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_NO_QDRANT = "is index.endpoint the address of a Qdrant server?"

Answer = TypeVar("Answer")


class Server:
    """A connection to one server. Threads may share it."""

    def __init__(self, client: QdrantClient, *, host: str) -> None:
        """``client`` may also be one in local mode, without a server; ``host`` names it in errors."""
        self._client = client
        self.host = host

    @classmethod
    def connect(cls, url: str, *, api_key: str | None, timeout_s: float) -> Self:
        """Nothing is sent yet. ``timeout_s`` holds for each request; a port that ``url`` leaves out is 6333.

        Raises SettingsError where qdrant-client is not installed.
        """
        try:
            from qdrant_client import QdrantClient
        except ImportError:
            raise SettingsError(
                "index.kind = qdrant needs qdrant-client", hint='pip install "freehold[qdrant]"'
            ) from None
        with warnings.catch_warnings():
            # Which key goes to which address is the settings' to say.
            warnings.filterwarnings("ignore", message=".*insecure connection", category=UserWarning)
            # The client counts in whole seconds.
            client = QdrantClient(
                url=url,
                api_key=api_key,
                timeout=math.ceil(timeout_s),
                check_compatibility=False,
                trust_env=False,
            )
        return cls(client, host=urlsplit(url).netloc)

    def ask(self, call: Callable[[QdrantClient], Answer]) -> Answer:
        """What the server answers. ``call`` may be made several times: it must come to the same.

        Raises StorageFault where there is no such collection, EndpointFault for everything else that goes wrong.
        """
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call(self._client)
            except Exception as error:  # the client passes on what httpx, pydantic and its own assertions raise
                fault = self._fault(error)
                if not isinstance(fault, Passing) or attempt == ATTEMPTS:
                    # Without its cause, which may quote what the server said.
                    raise fault from None
                time.sleep(min(fault.pause_s or pause_s, LONGEST_PAUSE_S))
                pause_s *= 2
        raise AssertionError  # the last attempt returns or raises

    def _fault(self, error: Exception) -> EndpointFault | StorageFault:
        from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        if isinstance(error, EndpointFault | StorageFault):
            return error
        if isinstance(error, ResourceExhaustedResponse):
            fault = self._refused(429)
            if isinstance(fault, Passing):
                fault.pause_s = float(error.retry_after_s)
            return fault
        if isinstance(error, UnexpectedResponse):
            if _speaks_of_a_missing_collection(error):
                return self.missing()
            return self._refused(error.status_code or 0)
        if isinstance(error, ResponseHandlingException) and _is_of_transport(error.source):
            return Passing(
                f"{self.host} cannot be reached or broke off", hint="is the server running at index.endpoint?"
            )
        if isinstance(error, ValueError) and str(error).startswith("Collection") and "not found" in str(error):
            return self.missing()  # as local mode says it
        return EndpointFault(f"{self.host} did not answer as a Qdrant server does", hint=_NO_QDRANT)

    def missing(self) -> StorageFault:
        """What is raised where a collection is not there."""
        return StorageFault(f"the collection is not on {self.host}", hint="build the index again from the catalog")

    def _refused(self, status: int) -> EndpointFault:
        hint = "look at the server's log"
        if status in {401, 403}:
            hint = "look at index.api_key: it must allow collections to be made and dropped"
        if status == 404 or status < 400:
            hint = _NO_QDRANT
        if status == 429:
            hint = "the server has too much to do: try again later"
        kind = Passing if status in _TRANSIENT else EndpointFault
        return kind(f"{self.host} answered {status}", hint=hint)


class Passing(EndpointFault):
    """A failure that may pass."""

    pause_s: float | None = None


def _is_of_transport(source: Exception) -> bool:
    import httpx

    return isinstance(source, httpx.TransportError)


def _speaks_of_a_missing_collection(error: Any) -> bool:
    """Tells Qdrant's 404 from that of some other server at the address."""
    try:
        said = str(error.structured()["status"]["error"])
    except (ValueError, KeyError, TypeError):
        return False
    return error.status_code == 404 and "ollection" in said
