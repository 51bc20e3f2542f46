"""A small real house in service with its console, in this process, for whoever calls over real HTTP."""

from __future__ import annotations

import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from freehold.console.app import add
from freehold.core.experiment import Estimate
from freehold.core.training import Manifest, ModelVersion
from freehold.house import House
from freehold.http.app import create_app
from freehold.serving.keys import SCOPES, Keys
from freehold.serving.service import Service
from freehold.store.folders import write_record
from freehold.store.registry import digests
from freehold.store.training import FORMAT, MANIFEST

EVIL = "<script>alert('x')</script>"
EVIL_NAME = "<img src=x onerror=alert(1)>.txt"
PAPERS = {
    "motor.md": "# Motor policy\n\n## Clause 4: batteries\n\nTraction batteries that are leased rather than owned are "
    "not covered. The excess for windscreens is 75 euros.\n\n## Clause 5: abroad\n\nDriving abroad is covered for "
    "90 days.\n",
    "household.txt": "Household policy, clause 7.\n\nKilns are fired at night. Damage by frost to garden pipes is "
    "covered up to 900 euros.\n",
    "letter-keller.txt": "Dear Ms Keller,\n\nyour claim HH-4471-09823 is settled. We pay 480 euros for the broken "
    "window.\n\nAnna Keller, anna.keller@example.com\n",
    "minutes.txt": "Minutes of the claims committee.\n\nAnna Keller asked for her window to be paid. Mr Desmond Halpin "
    "reported that the car park in Naas burned down.\n",
    "rumours.txt": "Notes from the depot.\n\nA certain Keller was seen near the gasworks on Tuesday. Nobody knows "
    "more.\n",
    EVIL_NAME: f"Statement of the zoo.\n\nThe zebra escaped at noon {EVIL} and was found in the canteen & fed.\n",
}
QUESTIONS = (
    (
        "Are leased batteries covered?",
        "motor.md",
        "Traction batteries that are leased rather than owned are not covered.",
    ),
    ("What is the excess for a windscreen?", "motor.md", "The excess for windscreens is 75 euros."),
    ("For how long may I drive abroad?", "motor.md", "Driving abroad is covered for 90 days."),
    ("Is frost damage to pipes paid?", "household.txt", "Damage by frost to garden pipes is covered up to 900 euros."),
    ("When are kilns fired?", "household.txt", "Kilns are fired at night."),
    ("Where did the car park burn?", "minutes.txt", "the car park in Naas burned down"),
)
KELLER = {"kind": ["name", "email"], "value": ["Anna Keller", "anna.keller@example.com"]}
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


def labelled() -> str:
    """Questions of the house, in its own format."""
    lines = (
        {"id": f"q{n}", "query": query, "relevant": [{"source": source, "quote": quote}]}
        for n, (query, source, quote) in enumerate(QUESTIONS)
    )
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def version(number: int, metric: float, files: Mapping[str, str]) -> ModelVersion:
    """The record of a version, as the registry keeps it."""
    return ModelVersion(
        id=f"0000000{number}-0000-4000-8000-000000000000",
        role="fusion",
        kind="weights",
        base="all-minilm-l6-v2",
        base_digest="0" * 64,
        bound=True,
        manifest="0" * 64,
        seed=0,
        settings={},
        serving={},
        metrics=(Estimate("nDCG@10", metric, None, 20),),
        baseline=(Estimate("nDCG@10", 0.71, None, 20),),
        comparisons=(),
        checks={},
        files=files,
        digest="0" * 64,
        created=f"2026-03-0{number}T10:00:00+00:00",
        seconds=1.0,
    )


def _manifest() -> Manifest:
    none = "0" * 64
    return Manifest(none, {"train": 20}, (), {"qrels": 20}, "questions.jsonl", none, ("all",), 1, none, 0, "")


def fill(console: Console, scratch: Path) -> str:
    """Measure the house, keep versions in it, erase Ms Keller until a person has to decide: that request's path."""
    with House(console.root) as house:
        for number, metric in ((1, 0.73), (2, 0.69)):
            folder = scratch / str(number)
            folder.mkdir()
            write_record(folder / MANIFEST, _manifest(), version=FORMAT)
            house.registry.put(version(number, metric, digests(folder)), folder)
        house.registry.taint(version(2, 0, {}).id, "it learned from what was erased")
    with console.browser() as browser:
        assert "Done" in browser.until_over(browser.post("/console/quality/measure"))
        begun = browser.post("/console/requests", ground="17(1)(b)", **KELLER)
        assert "Is this the person?" in browser.until_over(begun)
    return begun.url.path


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
