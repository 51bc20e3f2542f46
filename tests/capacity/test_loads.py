"""Load: percentiles from when requests were due, a client that knows its limits, ramp, errors, and files."""

import asyncio
import contextlib
import json
import threading

import pytest

from freehold.core.errors import EndpointFault, UsageError
from freehold.measure.capacity import levels, trial
from freehold.measure.capacity.levels import Level, Target, measure


@contextlib.contextmanager
def service(*, ms: float = 2.0, stall: tuple[float, float] | None = None, status: str = "200 OK"):
    """Answers after so long; between the two moments of ``stall`` it answers nobody."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    address: list[int] = []

    async def answer(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.partition("content-length:")[2].partition("\r")[0]))
                await asyncio.sleep(ms / 1000)
                now = loop.time() - address[1]
                if stall and stall[0] <= now < stall[1]:
                    await asyncio.sleep(stall[1] - now)
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
                await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        address.extend([server.sockets[0].getsockname()[1], loop.time()])
        ready.set()
        with contextlib.suppress(asyncio.CancelledError):
            await server.serve_forever()

    def run():
        task = loop.create_task(main())
        address_task.append(task)
        loop.run_until_complete(task)

    address_task: list = []
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(5)
    try:
        yield f"http://127.0.0.1:{address[0]}/v1/search"
    finally:
        loop.call_soon_threadsafe(address_task[0].cancel)
        thread.join(5)


def target(url: str, **more) -> Target:
    return Target(url, levels.bodies(["a question", "another"], "/v1/search", ""), **more)


def test_a_stall_counts_for_everybody_who_had_to_wait():
    # A second of standstill in four: an open loop owes it a quarter of its requests, a closed one a single request.
    with service(stall=(1.5, 2.5)) as url:
        opened = measure(target(url), Level(rate_per_s=100, arrivals="fixed"), seconds=4)
    with service(stall=(1.5, 2.5)) as url:
        closed = measure(target(url), Level(clients=1), seconds=4)
    assert opened.p95_ms > 500
    assert opened.max_ms > 900
    assert closed.p95_ms < 100


def test_closed_levels_give_as_much_as_clients_ask():
    with service(ms=20) as url:
        one, four = (measure(target(url), Level(clients=n), seconds=2, ramp_s=0.3) for n in (1, 4))
    assert 20 <= one.p50_ms < 40
    assert one.per_s <= 50
    assert 2.5 < four.per_s / one.per_s < 5.5
    assert abs(sum(four.slices_per_s) / levels.SLICES / four.per_s - 1) < 0.1


def test_a_client_at_its_limit_says_so():
    with service(ms=0) as url:
        run = measure(target(url), Level(rate_per_s=40_000), seconds=0.7)
    assert run.saturated
    tested = trial.Trial(url, "2026-11-27T00:00:00Z", (run,), None)
    assert any("the client's, not the service's" in line for line in trial.remarks(tested))
    assert not levels._saturated(0.1, 1.0, 20.0)


def test_errors_are_counted_and_nothing_answered_is_a_fault():
    with service(status="429 Too Many Requests") as url, pytest.raises(EndpointFault, match="429"):
        measure(target(url), Level(clients=1), seconds=1)
    with pytest.raises(EndpointFault, match="ConnectionRefusedError"):
        measure(target("http://127.0.0.1:9/v1/search"), Level(clients=1), seconds=0.05)
    with service(ms=500) as url, pytest.raises(EndpointFault, match="TimeoutError"):
        measure(target(url, timeout_s=0.1), Level(clients=1), seconds=0.3)


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no address"):
        measure(target("nowhere"), Level(clients=1), seconds=1)
    for clients, rate in (("x", ""), ("0", ""), ("", "-3"), ("1,-2", "")):
        with pytest.raises(UsageError):
            trial.levels(clients, rate, "poisson")
    with pytest.raises(UsageError):
        levels.bodies(["a"], "/v1/nothing", "")
    with pytest.raises(UsageError):
        levels.bodies([], "/v1/search", "")
    (tmp_path / "q.jsonl").write_text('{"no": "text"}\n')
    with pytest.raises(UsageError):
        trial.questions(tmp_path / "q.jsonl")
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(UsageError):
        trial.load(tmp_path / "r.json")


def test_a_trial_is_kept_drawn_and_read_again(tmp_path):
    with service(ms=5) as url:
        tested = trial.run(url, ["a question"], trial.levels("1,2,4", "20", "fixed"), seconds=1)
    trial.save(tested, tmp_path / "load.json")
    read = trial.load(tmp_path / "load.json")
    assert [run.per_s for run in read.runs] == [run.per_s for run in tested.runs]
    assert read.law == tested.law
    told = json.loads((tmp_path / "load.json").read_text())
    assert {"clients", "per_s", "p95_ms", "errors", "client_cpu"} <= set(told["runs"][0])
    trial.draw(tested, tmp_path / "load.svg")
    assert (tmp_path / "load.svg").read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')
