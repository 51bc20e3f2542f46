"""The guard in a real process: what phones home is stopped and written down, what is declared or here is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.core.attempts import REPORT, Attempt, Book, attempts, shown
from freehold.core.telemetry import SWITCHES

PLANTS = Path(__file__).with_name("plants.py")
NO_WAY = "import socket\nfrom freehold.core import egress\nfrom freehold.core.errors import EgressStopped\n"


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", NO_WAY + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], list[Attempt]]:
    report = tmp_path_factory.mktemp("house") / REPORT
    done = subprocess.run(
        [sys.executable, str(PLANTS), str(report)], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]), attempts(report)


def test_every_planted_attempt_is_stopped(tried: tuple[dict[str, str], list[Attempt]]) -> None:
    outcomes, _ = tried
    assert len(outcomes) >= 35
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "stopped"} == {}


def test_they_are_reported_by_host_and_never_by_content(tried: tuple[dict[str, str], list[Attempt]]) -> None:
    _, told = tried
    hosts = {one.host for one in told if one.stopped}
    assert {"requests-post.phone.example", "python-subprocess.phone.example", "198.51.100.4", "2001:db8::1"} <= hosts
    assert "*.lookup-only.phone.example" in hosts
    assert not any("anna" in json.dumps(one.host) or "words" in one.host for one in told)


def test_what_is_on_this_machine_may_be_reached() -> None:
    code = """
import asyncio, threading
egress.arm()
with socket.create_server(("", 0)) as server:
    port = server.getsockname()[1]
    own = socket.gethostbyname(socket.gethostname())
    for host in ("127.0.0.1", "localhost", socket.gethostname(), own):
        socket.create_connection((host, port), timeout=5).close()
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("127.0.0.1", port))
a, b = socket.socketpair(); a.send(b"x"); print(b.recv(1))
"""
    assert run(code) == "b'x'\n"


def test_a_declared_host_may_be_reached_at_its_port_and_nowhere_else() -> None:
    code = """
import _socket
real = _socket.getaddrinfo
def getaddrinfo(host, port, *rest):
    return real("198.51.100.9" if host == "llm.example" else host, port, *rest)
_socket.getaddrinfo = getaddrinfo
egress.arm()
egress.permit([("LLM.example.", 8000)])
def outcome(host, port):
    try:
        socket.create_connection((host, port), timeout=0.2).close()
    except EgressStopped:
        return "stopped"
    except OSError:
        pass  # nobody is there, and it is not the guard who says so
    return "tried"
print(outcome("198.51.100.9", 8000), outcome("llm.example", 8000), outcome("198.51.100.9", 8000),
      outcome("llm.example", 22), outcome("198.51.100.9", 22), outcome("other.llm.example", 8000))
"""
    assert run(code) == "stopped tried tried stopped stopped stopped\n"


def test_a_transfer_is_let_through_while_it_lasts() -> None:
    code = """
egress.arm()
def outcome():
    try:
        socket.gethostbyname("pull.phone.example")
    except EgressStopped:
        return "stopped"
    except OSError:
        return "tried"
before = outcome()
with egress.transfer("models pull"):
    during = outcome()
print(before, during, outcome())
"""
    assert run(code) == "stopped tried stopped\n"


def test_a_process_that_uses_freehold_as_a_library_is_not_guarded_unless_it_asks() -> None:
    code = """
import freehold
try:
    freehold.open("/nowhere")
except Exception:
    pass
print(egress.is_armed())
freehold.guard()
print(egress.is_armed())
"""
    assert run(code) == "False\nTrue\n"


def test_libraries_read_their_switches_as_off() -> None:
    code = """
import os
os.environ["RAY_USAGE_STATS_ENABLED"] = "1"
egress.arm()
from huggingface_hub import constants
from mlflow.telemetry.utils import is_telemetry_disabled
from ray._common.usage.usage_lib import usage_stats_enabled
print(constants.HF_HUB_DISABLE_TELEMETRY, is_telemetry_disabled(), usage_stats_enabled())
"""
    assert run(code) == "True True False\n"
    assert "DO_NOT_TRACK" in SWITCHES


def test_a_sitecustomize_of_ones_own_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos.environ['OWN'] = 'ran'\n")
    code = """
import os, subprocess, sys
os.environ["PYTHONPATH"] = sys.argv[1]
egress.arm()
code = "import os; from freehold.core import egress; print(os.environ['OWN'], egress.is_armed())"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout, end="")
"""
    assert run(code, str(tmp_path)) == "ran True\n"


def test_what_never_stops_trying_fills_no_disk(tmp_path: Path) -> None:
    book, report = Book(), tmp_path / REPORT
    book.keep_in(report)
    for _ in range(10_000):
        book.count("connect", "198.51.100.1", 443, stopped=True)
    for number in range(10_000):
        book.count("lookup", f"n{number}.example", 0, stopped=True)
    told = attempts(report)
    assert report.stat().st_size < 100_000
    assert next(one for one in told if one.host == "198.51.100.1").count == 8192
    assert next(one for one in told if one.host == "others").count == 8192
    with report.open("a") as file:
        file.write('{"at": "cut o')
    assert attempts(report) == told


def test_long_names_are_cut() -> None:
    assert shown("anna.keller.owes.evil.example") == "*.owes.evil.example"
    assert shown("x" * 60 + ".example") == "x" * 32 + ".example"
    assert shown("2001:db8::1") == "2001:db8::1"
