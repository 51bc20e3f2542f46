"""A small real house in service with its console, in this process, for whoever calls over real HTTP."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from freehold.console.app import add
from freehold.http.app import create_app
from freehold.serving.keys import SCOPES, Keys
from freehold.serving.service import Service

EVIL = "<script>alert('x')</script>"
EVIL_NAME = "<img src=x onerror=alert(1)>.txt"
PAPERS = {
    "motor.md": "# Motor policy\n\n## Clause 4: batteries\n\nTraction batteries that are leased rather than owned are not "
    "covered. The excess for windscreens is 75 euros.\n\n## Clause 5: abroad\n\nDriving abroad is covered for 90 days.\n",
    "household.txt": "Household policy, clause 7.\n\nKilns are fired at night. Damage by frost to garden pipes is "
    "covered up to 900 euros.\n",
    "letter-keller.txt": "Dear Ms Keller,\n\nyour claim HH-4471-09823 is settled. We pay 480 euros for the broken "
    "window.\n\nAnna Keller, anna.keller@example.com\n",
    "minutes.txt": "Minutes of the claims committee.\n\nAnna Keller asked for her window to be paid. Mr Desmond Halpin "
    "reported that the car park in Naas burned down.\n",
    "rumours.txt": "Notes from the depot.\n\nA certain Keller was seen near the gasworks on Tuesday. Nobody knows more.\n",
    EVIL_NAME: f"Statement of the zoo.\n\nThe zebra escaped at noon {EVIL} and was found in the canteen & fed.\n",
}
START_S = 120.0


@dataclass
class Console:
    """A running service."""

    root: Path
    url: str

    def key(self, *scopes: Any, name: str = "somebody") -> str:
        """A new key; all scopes where none is given."""
        return Keys(self.root).add(name, scopes or SCOPES)[1]

    @contextmanager
    def browser(self, *scopes: Any, key: str = "") -> Iterator[Browser]:
        """Somebody who has signed in."""
        with httpx.Client(base_url=self.url, timeout=60, follow_redirects=True) as client:
            response = client.post("/console/login", data={"key": key or self.key(*scopes)})
            assert response.status_code == 200, response.text
            yield Browser(client)


@dataclass
class Browser:
    """What a person does with pages."""

    client: httpx.Client

    def get(self, path: str, status: int = 200, **params: Any) -> str:
        response = self.client.get(path, params=params or None)
        assert response.status_code == status, response.text
        return response.text

    @property
    def token(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/console"))
        assert found
        return found[1]

    def post(self, path: str, *, status: int = 200, files: Any = None, **fields: Any) -> httpx.Response:
        """Send a form, and go where it leads."""
        response = self.client.post(path, data={"csrf": self.token, **fields}, files=files)
        assert response.status_code == status, response.text
        return response

    def until_over(self, response: httpx.Response) -> str:
        """The page of a job or a request once it does not load itself again."""
        path = response.url.path
        end = time.monotonic() + 180
        while "http-equiv" in (page := self.get(path)):
            assert time.monotonic() < end, "it did not come to an end"
            time.sleep(0.3)
        return page

    def ask(self, question: str) -> str:
        return self.post("/console/ask", question=question).text


def copied(house: Path, to: Path) -> Path:
    """A copy of a house below a folder."""
    shutil.copytree(house, to / "house")
    return to / "house"


@contextmanager
def served(root: Path) -> Iterator[Console]:
    """A house in service, until the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made: list[uvicorn.Server] = []

    def run() -> None:  # a service is for one thread, from its beginning
        config = uvicorn.Config(create_app(Service(root), add), host="127.0.0.1", port=port, log_config=None)
        made.append(uvicorn.Server(config))
        made[0].run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        end = time.monotonic() + START_S
        while not (made and made[0].started):
            assert thread.is_alive(), "the service did not start"
            assert time.monotonic() < end, "the service took too long"
            time.sleep(0.05)
        yield Console(root, f"http://127.0.0.1:{port}")
    finally:
        if made:
            made[0].should_exit = True
        thread.join(60)
