"""Freehold's service beside Hayhooks (Haystack) and a plain FastAPI service over LlamaIndex, under the same load.

    python bench/load/peers.py --data DIR [--save] [--quick]

The same machine, weights, passages and questions; hybrid search without reranking, ten hits, no cache. All are up at
the same time and are loaded one after the other, in rounds whose order turns, so that noise of the machine falls on all
alike. The peers answer with ids alone, Freehold with the passages' text and places. Each peer has a virtual environment
of its own under ``.bench``, and its pipeline is that of ``bench/peers``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx

HERE = Path(__file__).parent
PEERS = HERE.parent / "peers"
sys.path.append(str(PEERS))

from freehold.house import open_house  # noqa: E402
from freehold.models.pull import pull  # noqa: E402
from run import WORK, Server, bodies, load, made, questions, say, told  # noqa: E402
from systems import ENTRIES, python_of  # noqa: E402
from worker import QUIET, Worker, tree_rss_bytes  # noqa: E402

MODEL = "all-minilm-l6-v2"
ROUNDS = 3
CORES = os.cpu_count() or 1
START_S = 300


@dataclass(frozen=True)
class Peer:
    """A service: what its environment is called, its command, where it answers."""

    name: str
    entry: str
    """Which of ``bench/peers`` makes its index."""
    environment: str
    packages: tuple[str, ...]
    path: str
    command: tuple[str, ...]


PEER_SERVICES = (
    Peer(
        "Hayhooks",
        "haystack",
        "hayhooks",
        ("hayhooks", "haystack-ai"),
        "/search/run",
        (
            "-c",
            "from hayhooks.cli import hayhooks_cli; hayhooks_cli()",
            "run",
            "--host",
            "127.0.0.1",
            "--pipelines-dir",
            str(HERE / "services" / "hayhooks"),
        ),
    ),
    Peer(
        "FastAPI + LlamaIndex",
        "llamaindex",
        "llamaindex-service",
        ("fastapi", "uvicorn", "llama-index-core"),
        "/search",
        (str(HERE / "services" / "llamaindex_service.py"),),
    ),
)


class Running:
    """A peer in service."""

    key = ""

    def __init__(self, peer: Peer, data: Path, model: Path) -> None:
        self.peer = peer
        store = WORK / f"store-{peer.entry}"
        if not (store / "done").exists():
            say(f"{peer.name}: ingesting (minutes, once)")
            shutil.rmtree(store, ignore_errors=True)
            entry = replace(ENTRIES[peer.entry], environment=peer.environment)
            with Worker(entry, model=model, threads=CORES) as worker:
                worker.ask(do="ingest", corpus=str(data), store=str(store))
            (store / "done").write_text("")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        told_it = {
            "PEERS": str(PEERS),
            "MODEL": str(model),
            "THREADS": str(CORES),
            "STORE": str(store),
            "PORT": str(self.port),
            "HAYHOOKS_PORT": str(self.port),
        }
        self._log = (WORK / f"{peer.entry}.log").open("wb")
        self._python = str(python_of(peer.environment))
        started = time.monotonic()
        self.process = subprocess.Popen(
            [self._python, *peer.command], stdout=self._log, stderr=self._log, env=os.environ | QUIET | told_it
        )
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.port}/status").status_code == 200:
                    break
            assert self.process.poll() is None, f"{peer.name} did not start: see .bench/load/{peer.entry}.log"
            assert time.monotonic() - started < START_S
            time.sleep(0.1)
        self.start_s = time.monotonic() - started

    def versions(self) -> dict[str, str]:
        code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
        done = subprocess.run(
            [self._python, "-c", code, *self.peer.packages], capture_output=True, text=True, check=True
        )
        return dict(zip(self.peer.packages, done.stdout.split(), strict=True))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FREEHOLD_DATA", "../shared/data")) / "obliqa")
    parser.add_argument("--quick", action="store_true", help="short rounds, to see that it runs")
    parser.add_argument("--save", action="store_true", help="write bench/results/load-peers-DATE.json")
    given = parser.parse_args()
    seconds = 3 if given.quick else 20
    sent = bodies(questions(given.data), 1, rerank_depth=0)
    plain = [json.dumps({"query": json.loads(body)["query"], "k": 10}) for body in sent]
    model = pull(MODEL)
    found: dict[str, object] = {"made": f"{datetime.now(UTC):%Y-%m-%d}", "cores": CORES}
    with ExitStack() as stack:
        house = made(given.data)
        with open_house(house) as opened:
            found["passages"] = opened.stats().chunks
        up: dict[str, tuple[Server | Running, str, list[str]]] = {"Freehold": (Server(house), "/v1/search", sent)}
        for peer in PEER_SERVICES:
            up[peer.name] = (Running(peer, given.data, model), peer.path, plain)
        for server, *_ in up.values():
            stack.callback(server.stop)
        found["services"] = measured(up, seconds)
        for name, (server, *_) in up.items():
            found["services"][name] |= {  # type: ignore[index]
                "start_to_ready_s": round(server.start_s, 1),
                "resident_mb": round((tree_rss_bytes(server.process.pid) or 0) / 1e6),
                "versions": server.versions() if isinstance(server, Running) else {},
            }
    print(json.dumps(found, indent=1))
    if given.save:
        path = HERE.parent / "results" / f"load-peers-{datetime.now(UTC):%Y-%m-%d}.json"
        path.write_text(json.dumps(found, indent=1) + "\n")


def measured(up: dict[str, tuple[Server | Running, str, list[str]]], seconds: float) -> dict[str, dict[str, object]]:
    """Closed loop of eight clients: as much as each answers; then all at half of what the slowest does."""
    for server, path, some in up.values():
        load(server, some, path=path, mode="closed", seconds=3)
    most = rounds(up, seconds, mode="closed")
    rate = min(statistics.median(r["per_s"] for r in seen) for seen in most.values()) / 2
    same = rounds(up, seconds, mode="open", rate_per_s=rate, clients=256)
    best = statistics.median(r["per_s"] for r in most["Freehold"])
    quick = statistics.median(r["p95_ms"] for r in same["Freehold"])
    told_all = {}
    for name in up:
        per_s = statistics.median(r["per_s"] for r in most[name])
        p95 = statistics.median(r["p95_ms"] for r in same[name])
        told_all[name] = {
            "most": {"per_s": per_s, "of Freehold's": round(per_s / best, 3), "rounds": most[name]},
            "at one rate": {"p95_ms": p95, "times Freehold's": round(p95 / quick, 2), "rounds": same[name]},
        }
        say(f"{name}: {per_s} a second; p95 {p95} ms at {rate:.1f} a second")
    return told_all


def rounds(up: dict, seconds: float, **plan: object) -> dict[str, list[dict]]:
    seen: dict[str, list[dict]] = {name: [] for name in up}
    for number in range(ROUNDS):
        names = list(up)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            server, path, some = up[name]
            seen[name].append(told(load(server, some, path=path, seconds=seconds, **plan)))
    return seen


if __name__ == "__main__":
    main()
