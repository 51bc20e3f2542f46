"""Published erasure tools, delete calls of stores, and Freehold, under the same checks: what is left, and who notices.

    python bench/erasure/peers.py [--only NAME ...] [--people 120] [--save]

The peers live in an environment of their own; what is not installed there is left out, and said:

    python -m venv .bench/erasure && .bench/erasure/bin/pip install -r bench/erasure/requirements.txt

Records are the letters of a town, each about one person and filed under them. Three people are deleted, as the
documentation of each peer asks, with its defaults. Then the oracle reads the files. Nothing leaves the machine and no
model is downloaded: for the peers texts are embedded by hashing their words, and the one tool that wants a language
model gets one that knows nothing. Freehold embeds with its own model.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import oracle
import town as towns

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".bench" / "erasure" / "bin" / "python"
RESULTS = HERE.parent / "results"
SEED = 1
ERASED = 3
TIMEOUT_S = 300
CHECKS = {
    "at once": "files as a crash right after the delete would leave them",
    "closed": "files after an orderly end",
    "cleaned": "files after the store's own clean-up, an orderly end before and after",
    "own files": "what the tool keeps for itself: registry, ledger, certificates, keys",
    "again": "the same records are brought in again",
    "restored": "a copy of the store's files from before is put back, the tool's own files stay",
    "own backup": "what its own way of keeping an earlier state brings back",
    "near-duplicate": "the letter sent once more, filed under nobody's name, was there too",
    "cached": "an answer that quotes the person, kept by the application from before",
}
OUTCOMES = {
    "caught": "gone, refused or stopped",
    "noticed": "there, and the tool says so when it is asked again",
    "residue": "there, and no word of it",
    "blind": "the same scan did not find the person before the delete either",
    "n/a": "there is no such thing",
}
# Not run, and why: what there is to say of tools that the checks do not fit.
NOT_RUN = {
    "ember-custody": "not on PyPI",
    "memaudit": "audits what a model memorised; deletes nothing",
}


class PeerFailed(Exception):
    """A peer did not do what was asked of it."""


@dataclass(frozen=True)
class Job:
    """What the peers are given, and what must not be found afterwards."""

    given: dict[str, Any]
    needles: Sequence[str]


def prepare(people: int) -> Job:
    """A town's letters, and three people who are to be erased: of those who were sent theirs twice."""
    town = towns.build(people, SEED)
    letters = {paper.name: paper for paper in town.papers if paper.people and not paper.sentences}
    again = {name: paper for name, paper in letters.items() if name.endswith("-again.txt")}
    first = [paper for name, paper in letters.items() if name not in again]
    theirs = {paper.people[0]: [p for p in first if p.people == paper.people] for paper in again.values()}

    def needles(number: int) -> list[str]:
        own = theirs[number]
        return [n for n in sorted(oracle.needles(town.people[number], town)) if any(n in paper.text for paper in own)]

    def alone(number: int) -> bool:
        # Who of two namesakes is meant is another benchmark's question.
        others = [paper.text for paper in first if paper.people != (number,)]
        return not any(needle in text for needle in needles(number) for text in others)

    candidates = [number for number in theirs if alone(number)]
    gone = candidates[:: len(candidates) // ERASED][:ERASED]

    def record(paper: towns.Paper, subject: str) -> dict[str, str]:
        return {"id": paper.name, "subject": subject, "text": paper.text}

    near = {number: [paper for paper in again.values() if paper.people == (number,)] for number in gone}
    given = {
        "records": [record(paper, f"person-{paper.people[0]}") for paper in first],
        "near": [record(paper, "archive") for papers in near.values() for paper in papers],
        "people": [
            {
                "subject": f"person-{number}",
                "name": town.people[number].name,
                "email": town.people[number].email,
                "ids": [paper.name for paper in theirs[number]],
                "texts": [paper.text.strip() for paper in theirs[number]],
                "near_ids": [paper.name for paper in near[number]],
            }
            for number in gone
        ],
    }
    return Job(given, [needle for number in gone for needle in needles(number)])


def written(vector: Sequence[float]) -> Iterator[bytes]:
    """Sixteen numbers of the middle: plain in both orders and widths, as CBOR, pickle and JSON write them."""
    middle = vector[24:40]
    yield struct.pack("<16f", *middle)
    yield struct.pack(">16f", *middle)
    yield b"".join(b"\xfa" + struct.pack(">f", x) for x in middle)
    yield struct.pack("<16d", *middle)
    yield b"".join(b"G" + struct.pack(">d", x) for x in middle)
    yield json.dumps(middle)[1:-1].encode()
    yield json.dumps(middle, separators=(",", ":"))[1:-1].encode()


@dataclass(frozen=True)
class Found:
    """How many of the texts and vectors a scan of a folder found, and in which files."""

    texts: int
    vectors: int
    files: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.texts or self.vectors)


def look(folder: Path, needles: Sequence[str], vectors: Iterable[Sequence[float]]) -> Found:
    files = set(oracle.residue(folder, set(needles)))
    texts = sum(bool(oracle.residue(folder, {needle})) for needle in needles) if files else 0
    forms = [list(written(vector)) for vector in vectors]
    found = set()
    for path in (path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if here := {at for at, ways in enumerate(forms) if any(way in data for way in ways)}:
            found |= here
            files.add(path.relative_to(folder).as_posix())
    return Found(texts, len(found), sorted(files)[:8])


def copied(source: Path, to: Path) -> None:
    # Not by shutil: a database's server may run as a user of its own, and owns its files.
    subprocess.run(["cp", "-a", source, to], check=True)


class Trial:
    """One peer through all checks, each from a copy of the same files in the same place."""

    def __init__(self, python: Path, name: str, job: Job, folder: Path, can: Sequence[str]) -> None:
        self._python, self._name, self._job, self._folder, self._can = python, name, job, folder, can
        self._live = folder / "live"
        self._vectors: list[list[float]] = []
        self._sound = False
        """Whether the tool finds nothing wrong right after the delete: else it is no news that it does later."""

    def run(self) -> dict[str, Any]:
        """Check -> outcome. Raises PeerFailed."""
        self._live.mkdir(parents=True)
        (self._live / "job.json").write_text(json.dumps(self._job.given))
        filled = self._phase("fill")
        wanted = sum(len(person["ids"]) for person in self._job.given["people"])
        if filled["present"] < wanted:
            raise PeerFailed(f"{filled['present']} of {wanted} records are there after the filling")
        self._vectors = filled["vectors"]
        control = self._look("store")
        self._keep("filled")
        forgot = self._phase("forget")
        self._sound = forgot["clear"] is None or all(forgot["clear"])
        table: dict[str, Any] = {
            "before": {"texts": control.texts, "vectors": control.vectors},
            "says": forgot["says"],
            "still given out": forgot["present"],
            "asked again": forgot["clear"],
            "records of others lost": filled["others"] - forgot["others"],
            "at once": _seen(self._look("crashed"), control),
            "closed": _seen(self._look("store"), control),
            "own files": _seen(self._look("own"), None),
        }
        shutil.rmtree(self._live / "crashed")
        self._keep("erased")
        if "clean" in self._can:
            self._phase("clean")
            table["cleaned"] = _seen(self._look("store"), control)
            self._back_to("erased")
        again = self._phase("again")
        table["again"] = self._asked(again, caught=not again["present"])
        self._back_to("erased")
        shutil.rmtree(self._live / "store")
        copied(self._folder / "filled" / "store", self._live / "store")
        restored = self._phase("restored")
        table["restored"] = self._asked(restored, caught=not restored["present"])
        if "bring_back" in self._can:
            self._back_to("erased")
            back = self._phase("bring_back")
            table["own backup"] = self._asked(back, caught=not back["present"] and not self._look("store"))
        self._back_to("filled")
        near = self._phase("near")
        if not near["before"]:
            raise PeerFailed("the letters sent again are not there after they were added")
        table["near-duplicate"] = self._asked(near, caught=not near["present"])
        table["cached"] = {"outcome": "residue"}
        if "cached" in self._can:
            self._back_to("filled")
            shutil.rmtree(self._live / "own")
            copied(self._folder / "erased" / "own", self._live / "own")
            told = self._phase("cached")
            table["cached"] = {"outcome": "caught" if all(told["stopped"]) else "residue"}
            if "others stopped" in told:
                table["cached"]["note"] = f"{told['others stopped']} of {told['others']} letters of others stopped too"
        return table

    def _asked(self, told: dict[str, Any], *, caught: bool) -> dict[str, Any]:
        """``noticed`` where the tool, asked again about each of the people, finds something wrong with all of them."""
        if caught:
            return {"outcome": "caught"}
        noticed = self._sound and told["clear"] is not None and not any(told["clear"])
        return {"outcome": "noticed" if noticed else "residue"}

    def _look(self, part: str) -> Found:
        return look(self._live / part, self._job.needles, self._vectors)

    def _keep(self, name: str) -> None:
        copied(self._live, self._folder / name)

    def _back_to(self, name: str) -> None:
        shutil.rmtree(self._live)
        copied(self._folder / name, self._live)

    def _phase(self, phase: str) -> dict[str, Any]:
        command = [str(self._python), str(HERE / "peer_stores.py"), self._name, phase, str(self._live)]
        own = self._live / "own"
        own.mkdir(exist_ok=True)
        # What a tool writes into the home folder is its own too; Freehold keeps its models there, and nothing else.
        home = {} if self._name == "freehold" else {"HOME": str(own), "XDG_CONFIG_HOME": str(own)}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=os.environ | home
            )
        except subprocess.TimeoutExpired:
            raise PeerFailed(f"{phase}: more than {TIMEOUT_S} s") from None
        if done.returncode:
            raise PeerFailed(f"{phase}: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}")
        told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return told


def _seen(found: Found, control: Found | None) -> dict[str, Any]:
    """A scan's outcome; without a control what is found counts, and nothing found is nothing kept."""
    if found:
        return {"outcome": "residue", "texts": found.texts, "vectors": found.vectors, "files": found.files}
    return {"outcome": "blind" if control is not None and not control.texts else "caught"}


def show(table: dict[str, Any]) -> str:
    """A markdown table, and below it what was not run."""
    lines = [f"| | before | {' | '.join(CHECKS)} |", "|---|" + "---|" * (len(CHECKS) + 1)]
    for name, row in table.items():
        if "checks" not in row:
            continue
        before = row["checks"]["before"]
        cells = [f"{before['texts']} + {before['vectors']}"]
        for check in CHECKS:
            one = row["checks"].get(check, {"outcome": "n/a"})
            many = f" {one['texts']} + {one['vectors']}" if "texts" in one else ""
            cells.append(one["outcome"] + many)
        title = f"**{name}**" if name == "freehold" else name
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines += ["", "What the tool said after the delete:"]
    lines += [f"- {name}: {row['checks']['says'][0] or 'nothing'}" for name, row in table.items() if "checks" in row]
    lines += ["", *(f"- not run: {name}, {row['skipped']}" for name, row in table.items() if "skipped" in row)]
    return "\n".join(lines)


def peers(python: Path) -> dict[str, Any]:
    """What there is, from the two environments: Freehold runs in this one."""
    told = {}
    for place in (python, Path(sys.executable)):
        listed = subprocess.run([place, HERE / "peer_stores.py"], capture_output=True, text=True, check=True)
        for name, peer in json.loads(listed.stdout).items():
            if (name == "freehold") == (place != python):
                told[name] = peer | {"python": place}
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=PYTHON, help="interpreter of the peers' environment")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--people", type=int, default=120)
    parser.add_argument("--save", action="store_true", help="write bench/results/erasure-peers-DATE.json")
    given = parser.parse_args()
    if not given.python.is_file():
        parser.error(f"no {given.python}: see above how the peers' environment is made, or --python")
    job = prepare(given.people)
    table: dict[str, Any] = {}
    for name, peer in peers(given.python).items():
        if given.only and name not in given.only:
            continue
        if "missing" in peer:
            table[name] = {"skipped": f"{peer['missing']} is not installed"}
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        about = {key: peer[key] for key in ("calls", "scope", "versions")}
        with tempfile.TemporaryDirectory() as folder:
            try:
                table[name] = about | {"checks": Trial(peer["python"], name, job, Path(folder), peer["can"]).run()}
            except PeerFailed as failure:
                table[name] = about | {"skipped": f"failed, {failure}"}
    table |= {name: {"skipped": reason} for name, reason in NOT_RUN.items() if not given.only}
    print(show(table))
    if given.save:
        stated = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "records": len(job.given["records"]),
            "erased": {"people": ERASED, "records": sum(len(person["ids"]) for person in job.given["people"])},
            "texts looked for": len(job.needles),
            "checks": CHECKS,
            "outcomes": OUTCOMES,
            "peers": table,
        }
        path = RESULTS / f"erasure-peers-{datetime.now(UTC):%Y-%m-%d}.json"
        path.write_text(json.dumps(stated, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
