"""The service of a house, audited from outside by its own audit."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from freehold.auditing.service.audit import audit_service
from freehold.house import House
from freehold.serving.keys import SCOPES, Keys

BOATS = ("Alma", "Berta", "Clara", "Dora", "Elsa", "Frieda", "Greta", "Hanna", "Ida", "Jule", "Karla", "Lotte")


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def test_the_service_of_a_house_is_audited_over_http(tmp_path: Path, minilm: Path) -> None:
    papers = tmp_path / "papers"
    papers.mkdir()
    rows = []
    for n, boat in enumerate(BOATS, 3):
        fact = f"The monthly rent of the boathouse {boat} is {n * 7} euros, due on the third working day."
        (papers / f"{boat.lower()}.txt").write_text(f"{fact}\n")
        query = f"What is the monthly rent of the boathouse {boat}?"
        rows.append({"id": boat, "query": query, "relevant": [{"source": boat.lower()}], "answers": [fact]})
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    root = tmp_path / "house"
    with House.create(root, {"house.name": "harbour", "server.engines": 1}) as house:
        house.ingest([papers])
    (tmp_path / "key").write_text(f"Bearer {Keys(root).add('audit', SCOPES)[1]}")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        f'budget_ms = 60000\n[request]\nheaders = {{ Authorization = {{ file = "{tmp_path / "key"}" }} }}\n'
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(root)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([*command, "serve", "--port", str(port)], stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}/readyz", server)
        report = audit_service(f"http://127.0.0.1:{port}/v1", questions, mapping=mapping, progress=silent)
    finally:
        server.terminate()
        server.wait(30)
    told = {finding.rule: finding for finding in report.findings}
    for rule in ("reachable", "shape", "retrieval", "answers", "latency", "injection", "stability", "in-clear"):
        assert told[f"service-{rule}"].outcome == "sound", told[f"service-{rule}"]


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)
