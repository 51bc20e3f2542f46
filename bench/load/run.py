"""A house of 13,012 passages in service, under load: rate, latency, memory, work beside it, and too much of it.

    python bench/load/run.py --data DIR [--save] [--quick]

DIR holds the BEIR set ``obliqa``. Load comes from a second process on the loopback, bounded in count and time. Results
are not cached, as a set of questions that comes round again and again would be answered from memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np

from freehold import __version__
from freehold.house import House, open_house
from freehold.measure.capacity.levels import drive
from freehold.serving.keys import SCOPES, Keys

HERE = Path(__file__).parent
WORK = HERE.parent.parent / ".bench" / "load"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def made(data: Path) -> Path:
    """The house, ingested once, with a query adapter that waits to be promoted."""
    house = WORK / "obliqa"
    if not (house / "done").exists():
        shutil.rmtree(house, ignore_errors=True)
        say("ingesting obliqa and training a query adapter (some minutes, once)")
        settings = {
            "house.name": "obliqa", "house.languages": ("en",), "server.cache": 0, "schedule.service": False,
            "gate.dataset": str(data.resolve()), "gate.split": "dev",
        }  # fmt: skip
        with House.create(house, settings) as opened:
            opened.ingest_beir(data)
        command = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(house)]
        subprocess.run([*command, "tune", "adapter", "--data", data], check=True, stdout=subprocess.DEVNULL)
        (house / "done").write_text("")
    return house


def questions(data: Path) -> list[str]:
    lines = (data / "queries.jsonl").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


class Server:
    """``freehold serve`` in a process of its own."""

    def __init__(self, house: Path) -> None:
        self.house = house
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (house / "keys.json").unlink(missing_ok=True)
        self.key = Keys(house).add("bench", SCOPES)[1]
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers={"Authorization": f"Bearer {self.key}"}, timeout=120
        )
        command = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(house)]
        started = time.monotonic()
        self.log = (WORK / "serve.log").open("wb")
        self.process = subprocess.Popen([*command, "serve", "--port", str(self.port)], stderr=self.log)
        while True:
            try:
                if self.client.get("/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, "it did not start: see .bench/load/serve.log"
            time.sleep(0.05)
        self.start_s = time.monotonic() - started

    def rss_mb(self) -> float:
        """Resident set of the server and its children; what they share is counted by each of them."""
        total = 0
        for pid in [self.process.pid, *_children(self.process.pid)]:
            with suppress(OSError):
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return total / 1e6

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


def _children(pid: int) -> list[int]:
    try:
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*found, *(grandchild for child in found for grandchild in _children(child))]


def load(server: Server, bodies: list[str], *, path: str = "/v1/search", **plan: object) -> dict[str, object]:
    """What the second process saw."""
    whole = {
        "host": "127.0.0.1", "port": server.port, "path": path,
        "headers": {"Authorization": f"Bearer {server.key}"}, "bodies": bodies, **plan,
    }  # fmt: skip
    return drive(whole)


def told(seen: dict) -> dict[str, object]:
    ms = np.array(seen["ms"] or [np.nan])
    errors = {status: count for status, count in seen["statuses"].items() if status != "200"}
    return {
        "answered": len(seen["ms"]),
        "per_s": round(len(seen["ms"]) / seen["seconds"], 1),
        **{f"p{q}_ms": round(float(np.percentile(ms, q)), 1) for q in (50, 95, 99)},
        "max_ms": round(float(ms.max()), 1),
        "others": errors,
        "client_cpu": round(seen["cpu_s"] / seen["seconds"], 3),
    }


def bodies(texts: list[str], seed: int, **more: object) -> list[str]:
    order = random.Random(seed).sample(texts, len(texts))
    return [json.dumps({"query": text, "k": 10, **more}) for text in order]


@contextmanager
def beside(work) -> object:
    """Something else at the same time; joined at the end, and its error is raised."""
    trouble: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            trouble.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield thread
    thread.join()
    if trouble:
        raise trouble[0]


def wait(server: Server, job: str) -> dict:
    while True:
        state = server.client.get(f"/v1/jobs/{job}").json()
        if state["state"] in {"done", "failed"}:
            assert state["state"] == "done", state
            return state
        time.sleep(0.2)


FIRST = ("Orla", "Bertil", "Chiara", "Dagmar", "Emeric", "Fenja", "Gaspard", "Henrike", "Ilmari", "Jolanta")
LAST = [
    "Quillfeather",
    "Brandvold",
    "Castelnuovo",
    "Dziedzic",
    "Ehrenfried",
    "Fitzwalter",
    "Grootveld",
    "Hautamaki",
    "Iturbe",
    "Janoušek",
]


def papers(count: int, texts: list[str]) -> dict[str, bytes]:
    """So many documents of the words of the questions, and a letter to each of ten people."""
    rng = random.Random(count)
    words = sorted({word for text in texts for word in text.split() if word.isalpha()})
    made = {f"paper-{n}.txt": (" ".join(rng.choices(words, k=110)) + ".").encode() for n in range(count)}
    for n, (first, last) in enumerate(zip(FIRST, LAST, strict=True)):
        text = f"Dear {first} {last},\n\nyour file is closed. We wrote to you at {last.lower()}@example.com as well.\n"
        made[f"letter-{n}.txt"] = text.encode()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FREEHOLD_DATA", "../shared/data")) / "obliqa")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it runs")
    parser.add_argument("--save", action="store_true", help="write bench/results/load-DATE.json")
    given = parser.parse_args()
    part = 0.1 if given.quick else 1.0
    texts = questions(given.data)
    found: dict[str, object] = {
        "freehold": __version__, "cores": os.cpu_count(), "passages": 0, "made": f"{datetime.now(UTC):%Y-%m-%d}",
    }  # fmt: skip
    house = made(given.data)
    with open_house(house) as opened:
        found["passages"] = opened.stats().chunks
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        shutil.copytree(house, Path(folder) / "house")  # what is ingested and erased is not kept
        server = Server(Path(folder) / "house")
        try:
            found |= scenarios(server, texts, part)
        finally:
            server.stop()
    print(json.dumps(found, indent=1))
    if given.save:
        path = HERE.parent / "results" / f"load-{datetime.now(UTC):%Y-%m-%d}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")


def scenarios(server: Server, texts: list[str], part: float) -> dict[str, object]:
    found: dict[str, object] = {"start_to_ready_s": round(server.start_s, 2)}
    seconds = max(5, 30 * part)
    plain, deep = bodies(texts, 1, rerank_depth=0), bodies(texts, 2, rerank_depth=20)
    load(server, plain, mode="closed", seconds=3)
    for name, some in (("hybrid", plain), ("hybrid, 20 reranked", deep), ("as the settings have it", bodies(texts, 3))):
        most = told(load(server, some, mode="closed", seconds=seconds))
        half = told(load(server, some, mode="open", rate_per_s=most["per_s"] / 2, seconds=seconds, clients=256))
        found[name] = {"most": most, "at half of it": half}
        say(f"{name}: {found[name]}")
    before = server.rss_mb()
    count = int(10_000 * part)
    fixed = load(server, plain, mode="open", rate_per_s=10_000 / 300, seconds=300 * part, most=count, clients=256)
    found["10,000 in five minutes"] = told(fixed)
    say(f"10,000 in five minutes: {found['10,000 in five minutes']}")
    load(server, deep, mode="closed", seconds=600 * part, most=count)
    found["resident set MB"] = {"before": round(before), "after 20,000": round(server.rss_mb())}
    say(f"resident set: {found['resident set MB']}")
    rate = found["hybrid"]["most"]["per_s"] / 2  # type: ignore[index]
    sent = papers(int(2_000 * part), texts)

    def ingest() -> None:
        parts = [("files", item) for item in sent.items()]
        for start in range(0, len(parts), 500):
            wait(server, server.client.post("/v1/documents", files=parts[start : start + 500]).json()["id"])

    def erase() -> None:
        for first, last in zip(FIRST, LAST, strict=True):
            who = [
                {"kind": "name", "value": f"{first} {last}"},
                {"kind": "email", "value": f"{last.lower()}@example.com"},
            ]
            job = server.client.post("/v1/erasure-requests", json={"subject": who}).json()["id"]
            result = wait(server, job)["result"]
            assert result["verdict"] == "COMPLETE", result

    def promote() -> None:
        (version,) = (v["id"] for v in server.client.get("/v1/models").json()["versions"])
        result = wait(server, server.client.post(f"/v1/models/{version}/promote").json()["id"])["result"]
        assert result["promoted"], result

    for name, work in (("an ingest of 2,000", ingest), ("a promotion", promote), ("ten erasures", erase)):
        # Alone right before and right after: the machine is not always equally fast.
        alone = [load(server, plain, mode="open", rate_per_s=rate, seconds=seconds / 2, clients=256)]
        seen: list[dict] = []
        with beside(work) as thread:
            while thread.is_alive():
                seen.append(load(server, plain, mode="open", rate_per_s=rate, seconds=10, clients=256))
        alone.append(load(server, plain, mode="open", rate_per_s=rate, seconds=seconds / 2, clients=256))
        before, meanwhile = told(together(alone)), told(together(seen))
        found[f"during {name}"] = {
            "alone": before,
            "meanwhile": meanwhile,
            "p95 ratio": round(meanwhile["p95_ms"] / before["p95_ms"], 2),
            "took s": round(sum(one["seconds"] for one in seen)),
        }
        say(f"during {name}: {found[f'during {name}']}")
    over_rate = 10 * found["hybrid"]["most"]["per_s"]  # type: ignore[index]
    flood = load(server, plain, mode="open", rate_per_s=over_rate, seconds=10, clients=2000)
    after = told(load(server, plain, mode="open", rate_per_s=rate, seconds=5, clients=256))
    found["ten times too much"] = {"meanwhile": told(flood), "right after": after}
    say(f"ten times too much: {found['ten times too much']}")
    return found


def together(seen: list[dict]) -> dict:
    """Several runs as one."""
    names = {name for one in seen for name in one["statuses"]}
    return {
        "ms": [ms for one in seen for ms in one["ms"]],
        "statuses": {name: sum(one["statuses"].get(name, 0) for one in seen) for name in names},
        "seconds": sum(one["seconds"] for one in seen),
        "cpu_s": sum(one["cpu_s"] for one in seen),
    }


if __name__ == "__main__":
    main()
