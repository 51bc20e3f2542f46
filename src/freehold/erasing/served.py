"""What a Qdrant server gives back of a house's collections, read by a client that shares nothing with the index's.

Plain HTTP, page by page, from every collection that the house knows of. It shows what the server answers with, not what
lies in its files.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import numpy as np

from freehold.config import IndexSettings
from freehold.core.errors import EndpointFault

if TYPE_CHECKING:
    from freehold.core.types import Float32

_PAGE = 500
_PORT = 6333
_SAME = 1e-6
"""A server scales vectors to unit length anew, in float32."""


class Served:
    """The points of a house's collections: ids and dense vectors."""

    def __init__(self, folder: Path, settings: IndexSettings) -> None:
        """``folder``: where the house keeps what it knows of its collections."""
        self._names = sorted(path.name for path in folder.glob("**/collections/*") if path.is_file())
        url = urlsplit(settings.endpoint)
        self._host = url.netloc
        self._base = f"{url.scheme}://{url.netloc}{'' if url.port else f':{_PORT}'}{url.path.rstrip('/')}"
        self._key = settings.api_key.reveal() if settings.api_key else ""
        self._timeout_s = settings.timeout_s
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def pages(self) -> Iterator[tuple[list[str], Float32]]:
        """Ids, and a row for each. Raises EndpointFault where the server does not answer as one does."""
        for name in self._names:
            offset: Any = None
            while True:
                asked = {"limit": _PAGE, "offset": offset, "with_payload": False, "with_vector": ["dense"]}
                answer = self._posted(f"/collections/{quote(name)}/points/scroll", asked)
                if answer is None:
                    break
                try:
                    points, offset = answer["result"]["points"], answer["result"]["next_page_offset"]
                    ids = [str(point["id"]) for point in points]
                    rows = np.array([point["vector"]["dense"] for point in points], np.float32)
                except (KeyError, TypeError, ValueError):
                    raise self._fault("did not answer as a Qdrant server does") from None
                if ids:
                    yield ids, rows
                if offset is None:
                    break

    def _posted(self, path: str, body: dict[str, Any]) -> Any:
        """The answer; None where there is no such collection."""
        headers = {"Content-Type": "application/json", **({"api-key": self._key} if self._key else {})}
        request = urllib.request.Request(self._base + path, json.dumps(body).encode(), headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise self._fault(f"answered {error.code}") from None
        except (OSError, HTTPException):
            raise self._fault("cannot be reached or broke off") from None
        except ValueError:
            raise self._fault("did not answer as a Qdrant server does") from None

    def _fault(self, what: str) -> EndpointFault:
        hint = "the erasure is looked at again by the same command, when the server answers"
        return EndpointFault(f"{self._host} {what}", hint=hint)


def count_same(rows: Float32, sought: Sequence[bytes]) -> int:
    """How many of the rows are one of these vectors (float32, little-endian), whatever its length was."""
    wanted = [np.frombuffer(vector, "<f4") for vector in sought]
    wanted = [vector for vector in wanted if len(vector) == rows.shape[1]]
    if not wanted:
        return 0
    here, there = _unit(rows), _unit(np.stack(wanted))
    near = here @ there.T > 1 - 1e-4
    pairs = ((row, column) for row, column in np.argwhere(near) if np.abs(here[row] - there[column]).max() <= _SAME)
    return len({row for row, _ in pairs})


def _unit(rows: Float32) -> Float32:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1), np.float32)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key goes to the address in the settings and nowhere else."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None
