"""From a load test on the command line to a month in euros, and what is refused on the way."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

import pytest
from typer.testing import CliRunner

from freehold.cli import output
from freehold.cli.main import app
from freehold.core.errors import UsageError
from freehold.measure.capacity import trial
from freehold.measure.capacity.checks import checks
from freehold.measure.capacity.levels import Run
from freehold.measure.capacity.scaling import Law


@contextmanager
def service(ms: float = 8.0, at_once: int = 2):
    """A service that does so many requests at once."""
    room = threading.Semaphore(at_once)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 8192  # one packet an answer: two of them meet the client's delayed acknowledgement

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            with room:
                time.sleep(ms / 1000)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/search"
    finally:
        server.shutdown()
        server.server_close()


def freehold(*arguments):
    with mock.patch.object(output.out, "_width", 220):  # it is asked for once a process, of the terminal
        done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def load(tmp_path):
    """The result of a load test on a service that follows a law."""
    law, runs = Law(40, 0.2, 0.001), []
    for clients in (1, 2, 4, 8):
        rates = tuple(law.per_s(clients) * (1 + part / 100) for part in (-2, -1, 0, 1, 2))
        means, tails = (tuple(factor * 1000 * clients / rate for rate in rates) for factor in (1, 1.5))
        mean_ms = 1000 * clients / law.per_s(clients)
        times = (mean_ms, mean_ms, 1.5 * mean_ms, 2 * mean_ms, 3 * mean_ms)
        runs.append(Run(clients, 0, 10, 400, law.per_s(clients), *times, {}, rates, means, tails, 0.1, 0.1, ""))
    tested = trial.Trial("http://127.0.0.1/v1/search", "2026-11-28T00:00:00Z", tuple(runs), law, tuple(checks(runs)))
    trial.save(tested, tmp_path / "l.json")
    return tmp_path / "l.json"


def test_a_load_test_leaves_a_file_that_a_month_can_be_made_of(tmp_path):
    (tmp_path / "q.txt").write_text("a question\nanother\n")
    with service() as url:
        said = freehold(
            "loadtest", url, "--questions", tmp_path / "q.txt", "--clients", "1,2,4", "--seconds", "1", "--ramp", "0",
            "--out", tmp_path / "load.json",
        )  # fmt: skip
    assert "4 clients" in said
    runs = trial.load(tmp_path / "load.json").runs
    assert [one.clients for one in runs] == [1, 2, 4]
    assert all(len(one.slices_p95_ms) == len(one.slices_per_s) for one in runs)


def test_a_load_test_stands_in_the_assumptions_and_moves_the_month(load):
    with_it, without = (json.loads(freehold("cost", *more, "--json")) for more in (["--load", load], []))
    used = {one["name"]: one for one in with_it["options"][0]["assumptions"]}
    measured = {name for name, one in used.items() if one["basis"] == "measured: l.json"}
    assert measured == {"search_ms", "search_in_line", "search_in_step", "search_tail"}
    for name, planted in {"search_ms": 25, "search_in_line": 0.2, "search_tail": 1.5}.items():
        low, likely, high = used[name]["range"]
        assert low <= likely <= high
        assert likely == pytest.approx(planted, rel=1e-3)
    assert any(note.startswith("l.json: 4 clients, left out: ") for note in with_it["notes"])
    assert with_it["options"][0]["p95_ms"] != without["options"][0]["p95_ms"]
    assert {one["basis"] for one in without["options"][0]["assumptions"]} == {"assumed", "price"}


def test_the_promised_fields_are_there():
    told = json.loads(freehold("cost", "--scenario", "10k-queries-a-day", "--json"))
    assert {"name", "monthly", "interval", "p95_ms", "p95_interval", "meets_target", "assumptions"} <= set(
        told["options"][0]
    )
    assert {"self_hosted", "bought", "queries_a_day", "sensitivity"} == set(told["break_even"][0])
    assert told["latency_target_ms"] == 10_000


def test_the_table_has_target_machines_and_notes(tmp_path):
    said = freehold("cost", "--set", "latency_target_ms=4000", "--report", tmp_path / "out.html")
    assert "within 4,000 ms" in said
    assert "GPU" in said
    assert "left out, needs a price that is not in the table: qdrant_gb" in said
    assert "days old: check it" in said
    assert (tmp_path / "out.html").read_text().count("<svg") == 3


def test_a_client_at_its_limit_is_said_and_gives_no_capacity(tmp_path):
    (tmp_path / "q.txt").write_text("a question\n")
    with service(ms=0, at_once=8) as url:
        said = freehold(
            "loadtest", url, "--questions", tmp_path / "q.txt", "--rate", "8000", "--seconds", "1", "--ramp", "0",
            "--timeout", "1", "--out", tmp_path / "load.json",
        )  # fmt: skip
    assert "the client's, not the service's" in said
    with pytest.raises(UsageError, match="too few levels"):
        freehold("cost", "--load", tmp_path / "load.json")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--set", "queries_a_day"], "--set takes NAME=VALUE"),
        (["--scenario", "nothing"], "there is no scenario"),
        (["--prices", "missing.toml"], "missing.toml cannot be read"),
        (["--load", "missing.json"], "missing.json is no result of a load test"),
    ],
)
def test_bad_input_is_refused(arguments, part):
    with pytest.raises(UsageError, match=part):
        freehold("cost", *arguments)
