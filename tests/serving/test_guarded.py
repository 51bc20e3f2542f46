"""A library that phones home from whichever process of the service it is loaded in: planted in all, stopped in all."""

from __future__ import annotations

import json
import os
from pathlib import Path

from live import Server

from freehold.core.attempts import REPORT, attempts

PHONE = """
import json, os, socket, sys, threading, time

def phones(line=os.environ.get("PHONE_LOG")):
    try:
        socket.create_connection(("phone.example", 443), timeout=2)
        outcome = "went"
    except OSError as error:
        outcome = type(error).__name__
    if outcome == "EgressStopped":
        with open(line, "a") as log:
            log.write(json.dumps([sys.orig_argv[1:4], outcome]) + "\\n")
    return outcome == "EgressStopped"

def keeps_phoning():
    while not phones():
        time.sleep(0.1)

if os.environ.get("PHONE_LOG") and not phones():
    threading.Thread(target=keeps_phoning, daemon=True).start()
"""
ROLES = {"freehold.serving.engine", "freehold.serving.job", "freehold.index.builder_process"}


def test_every_process_of_the_service_is_guarded(own: Path, tmp_path: Path) -> None:
    (tmp_path / "plant").mkdir()
    (tmp_path / "plant" / "sitecustomize.py").write_text(PHONE)
    log = tmp_path / "phone.jsonl"
    paths = os.pathsep.join([str(tmp_path / "plant"), os.environ.get("PYTHONPATH", "")])

    def stopped() -> set[str]:
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return {next((word for word in argv if word.startswith("freehold.")), "front") for argv, _ in lines}

    with Server.over(own, PYTHONPATH=paths, PHONE_LOG=str(log)) as server:
        server.upload({"new.txt": b"Conservatories are covered up to 1,200 euros.\n"})
        assert server.found("conservatories")
        server.until(lambda: stopped() >= {*ROLES, "front"}, 120)
    told = [one for one in attempts(own / REPORT) if one.host == "phone.example"]
    assert {one.process for one in told} >= {*ROLES, "freehold"}
    assert all(one.stopped for one in told)
