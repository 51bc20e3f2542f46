"""Starts ``freehold serve`` and talks to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from freehold.serving.keys import SCOPES, Keys

PAPERS = {
    "motor.txt": "Motor policy, clause 4.\n\nTraction batteries that are leased rather than owned are not covered. The "
    "excess for windscreens is 75 euros.\n",
    "household.txt": "Household policy, clause 7.\n\nKilns are fired at night. Damage by frost to garden pipes is "
    "covered up to 900 euros.\n",
    "letter-keller.txt": "Dear Ms Keller,\n\nyour claim HH-4471-09823 is settled. We pay 480 euros for the broken "
    "window.\n\nAnna Keller, anna.keller@example.com\n",
    "minutes.txt": "Minutes of the claims committee.\n\nAnna Keller asked for her window to be paid. Mr Desmond Halpin "
    "reported that the car park in Naas burned down.\n",
}
START_S = 90.0


def copied(house: Path, to: Path) -> Path:
    """A copy of a house below a folder."""
    shutil.copytree(house, to / "house")
    return to / "house"


def settings(house: Path, text: str) -> None:
    """Put these sections in the place of the ones in the house's settings."""
    path = house / "freehold.toml"
    headings = {line for line in text.splitlines() if line.startswith("[")}
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#") and line not in headings]
    path.write_text("\n".join([*lines, text]))


class Server:
    """A running service, with a key for everything."""

    def __init__(self, house: Path) -> None:
        self.house = house
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        _, self.key = Keys(house).add("all", SCOPES)
        self.log = house.parent / f"serve-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def over(cls, house: Path, **environment: str) -> Iterator[Self]:
        """Started, and stopped at the end."""
        server = cls(house)
        server.start(**environment)
        try:
            yield server
        finally:
            server.stop()

    def start(self, **environment: str) -> None:
        command = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(self.house)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "serve", "--port", str(self.port)], stderr=log, stdout=log, env={**os.environ, **environment}
            )
        self.until(self.is_ready, START_S)

    def is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-2000:]
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, how: int = signal.SIGTERM) -> int:
        """Its exit status."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(60)

    @staticmethod
    def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "it did not come to pass in time"
            time.sleep(0.1)

    def client(self, key: str | None = None, **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key if key is None else key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, **options)

    def key_for(self, *scopes: Any, **rights: Any) -> str:
        return Keys(self.house).add("some", scopes, **rights)[1]

    def post(self, path: str, body: object, *, key: str | None = None) -> httpx.Response:
        with self.client(key) as client:
            return client.post(path, json=body)

    def get(self, path: str, *, key: str | None = None) -> httpx.Response:
        with self.client(key) as client:
            return client.get(path)

    def upload(self, files: dict[str, bytes], **fields: str) -> dict[str, Any]:
        """Send files and wait until they are read."""
        with self.client() as client:
            parts = [("files", (name, data)) for name, data in files.items()]
            response = client.post("/v1/documents", files=parts, data={"fields": json.dumps(fields)})
        assert response.status_code == 202, response.text
        return self.job(response.json()["id"])

    def job(self, job_id: str, *, state: str = "done") -> dict[str, Any]:
        """The job when it is over."""
        told: dict[str, Any] = {}

        def is_over() -> bool:
            nonlocal told
            told = self.get(f"/v1/jobs/{job_id}").json()
            return told["state"] in {"done", "failed"}

        self.until(is_over, 120)
        assert told["state"] == state, told
        return told

    def found(self, query: str, *, key: str | None = None, **more: Any) -> list[dict[str, Any]]:
        response = self.post("/v1/search", {"query": query, **more}, key=key)
        assert response.status_code == 200, response.text
        return response.json()["hits"]
