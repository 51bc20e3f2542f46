"""Erase people of a town one after the other, and look for what is left with code that shares nothing with Freehold.

    python bench/erasure/run.py --people 200            a town, erased in random order, some of it under kill -9
    python bench/erasure/run.py --mutants                each step of erasing turned off: is that caught?
    python bench/erasure/run.py --cost                   seconds a person in houses of different size

Prints tables; ``--save`` writes bench/results/erasure-DATE.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
import oracle
import town as towns
from scipy import stats

from freehold.backup import backup
from freehold.core.faults import KILL_AT
from freehold.core.ports import Embedder
from freehold.core.types import Embeddings
from freehold.erasing import holders, walk
from freehold.erasing.erase import erase
from freehold.erasing.verify import verify
from freehold.erasing.walk import Orders
from freehold.house import House, open_house
from freehold.privacy.subjects import parse_subject

STEPS = (
    "fence.before_commit", "request.fenced", "catalog.before_restricted", "erase.evidence", "catalog.before_commit",
    "catalog.committed", "vault.destroyed", "index.before_swap", "index.after_swap", "erase.index", "request.erased",
)  # fmt: skip


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def made(root: Path, people: int, seed: int) -> towns.Town:
    """A house full of traffic: documents, a training set, an experiment, a backup."""
    town = towns.build(people, seed)
    town.write(root / "papers")
    labels = root / "labels"
    (labels / "qrels").mkdir(parents=True)
    with House.create(root / "house", {"house.name": "town", "house.languages": ("en", "de", "fr")}) as house:
        house.ingest([root / "papers"])
        sources = {Path(source).name: source for source in house.shelf.known()}
    queries, qrels = [], ["query-id\tcorpus-id\tscore"]
    for number, paper in enumerate(town.papers):
        words = paper.text.split()
        queries.append(json.dumps({"_id": f"q{number}", "text": f"What of the {' '.join(words[-4:])}?"}))
        qrels.append(f"q{number}\t{sources[paper.name]}\t1")
    (labels / "queries.jsonl").write_text("\n".join(queries) + "\n")
    (labels / "qrels" / "train.tsv").write_text("\n".join(qrels) + "\n")
    for verb in (["tune", "data", "--data", str(labels), "--allow-missing"], ["eval", str(labels), "--searches", "0"]):
        done = command(root / "house", *verb)
        assert done.returncode == 0, done.stderr
    with open_house(root / "house") as house:
        backup(house, root / "backup", root / "keys.json", progress=silent)
    return town


def command(house: Path, *arguments: str, kill_at: str = "") -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(house), *arguments]
    environment = {**os.environ, KILL_AT: kill_at}
    return subprocess.run(program, env=environment, capture_output=True, text=True, check=False)


def whole(root: Path, people: int, erased_people: int, seed: int, kill_every: int) -> dict[str, object]:
    town = made(root, people, seed)
    rng = random.Random(seed)
    order = rng.sample(town.people, min(erased_people, people))
    gone: set[int] = set()
    rows = []
    for at, person in enumerate(order):
        killed = ""
        if kill_every and at % kill_every == kill_every - 1:
            killed = rng.choice(STEPS)
            who = ("--subject", f"name={person.name}", "--subject", f"email={person.email}")
            done = command(root / "house", "erase", *who, "--yes", kill_at=killed)
            assert done.returncode == -signal.SIGKILL, done.stderr
        started = time.perf_counter()
        with open_house(root / "house") as house:
            subject = parse_subject([("name", person.name), ("email", person.email)])
            outcome = erase(house, subject, ground="17(1)(b)", orders=Orders(), retrain_models=False, progress=silent)
            verdict = outcome.certified.certificate.verdict
            asked = list(outcome.request.asked)
            decided = _decided(house, town, person, asked)
            if asked:
                orders = Orders(decisions=decided)
                outcome = erase(
                    house, outcome.request.id, ground="17(1)(b)", orders=orders, retrain_models=False, progress=silent
                )
                verdict = outcome.certified.certificate.verdict
            seconds = time.perf_counter() - started
            kept = "\n".join(words.text for words in house.shelf.words())
            work = dict(outcome.request.seconds)
        gone.add(person.number)
        left = oracle.residue(root / "house", oracle.needles(person, town))
        rows.append(
            {"left": left, "verdict": verdict, "asked": len(asked), "seconds": round(seconds, 2), "killed": killed,
             "lost": oracle.lost(kept, town, gone), "work": work}
        )  # fmt: skip
        print(
            f"{at + 1}/{len(order)} {verdict} left {left} lost {rows[-1]['lost']} {seconds:.1f} s {killed}", flush=True
        )
    again = command(root / "house", "ingest", str(root / "papers"), "--json")
    back = sum(bool(oracle.residue(root / "house", oracle.needles(p, town))) for p in order)
    restored = command(root / "restored", "restore", str(root / "backup"), "--keys", str(root / "keys.json"), "--json")
    assert (again.returncode, restored.returncode) == (0, 0), again.stderr + restored.stderr
    back += sum(bool(oracle.residue(root / "restored", oracle.needles(p, town))) for p in order)
    clean = sum(not row["left"] for row in rows)
    n = len(rows)
    bound = stats.beta.ppf(0.05, clean, n - clean + 1) if clean < n else 0.05 ** (1 / n)
    seconds = [row["seconds"] for row in rows]
    return {
        "people": n,
        "of": people,
        "papers": len(town.papers),
        "clean": clean,
        "lower95": round(float(bound), 5),
        "false certificates": sum(bool(row["left"]) and row["verdict"] == "COMPLETE" for row in rows),
        "resurrections": back,
        "bystander sentences lost": max((row["lost"] for row in rows), default=0),
        "documents put to a person": sum(row["asked"] for row in rows),
        "killed": sum(bool(row["killed"]) for row in rows),
        "not complete": sum(row["verdict"] != "COMPLETE" for row in rows),
        "seconds": {"p50": statistics.median(seconds), "max": max(seconds)},
        "restricted s": statistics.median(row["work"].get("restricted", 0) for row in rows),
        "erased s": statistics.median(row["work"].get("erased", 0) for row in rows),
    }


def _decided(house: House, town: towns.Town, person: towns.Person, asked: list[str]) -> dict[str, str]:
    """What a person who knows the town would say: is something said of them there?"""
    mine = {paper.name: paper for paper in town.of(person.number)}
    decided = {}
    for words in house.shelf.words(asked):
        paper = mine.get(Path(words.source).name)
        theirs = paper.sentences.get(person.number, (paper.text,)) if paper else ()
        said = any(number in words.text for number in person.identifiers()) or any(s in words.text for s in theirs)
        decided[words.document_id] = "redact" if said else "keep"
    return decided


# -- mutants -----------------------------------------------------------------------------------------------------------


@contextmanager
def off(target: object, name: str, instead: Callable[..., object] = lambda *_, **__: None):
    with mock.patch.object(target, name, instead):
        yield


def mutants() -> dict[str, Callable[[], object]]:
    """A step of erasing turned off, each by itself."""
    from freehold.index import generations
    from freehold.store import catalog, vault
    from freehold.store.blobs import Blobs
    from freehold.store.fence import HouseFence

    nothing = lambda *_, **__: None  # noqa: E731
    return {
        "database log not emptied": lambda: _both(
            off(catalog, "truncate_log", lambda _: True), off(vault, "truncate_log", lambda _: True)
        ),
        "deleted rows not overwritten": lambda: off(catalog.Catalog, "commit", _insecure(catalog.Catalog.commit)),
        "fence not put up": lambda: _both(off(HouseFence, "put_subject"), off(HouseFence, "put_documents")),
        "index not brought up": lambda: off(holders.IndexHolder, "erase", nothing),
        "old generation left": lambda: off(generations.Generations, "_sweep", lambda _: ()),
        "original left": lambda: off(Blobs, "delete", nothing),
        "key left": lambda: off(vault.Vault, "destroy", nothing),
        "training set left": lambda: off(holders.TrainingHolder, "erase", nothing),
        "experiment left": lambda: off(holders.ExperimentsHolder, "erase", nothing),
        "searches left": lambda: off(holders.SearchesHolder, "erase", nothing),
        "backup keys left": lambda: off(holders.BackupsHolder, "erase", nothing),
        "document only hidden": lambda: off(walk, "put_instead", lambda *_, **__: {}),
    }


@contextmanager
def _both(*contexts):
    with contexts[0], contexts[1]:
        yield


def _insecure(commit: Callable[..., bool]) -> Callable[..., bool]:
    def insecure(self, changes):
        with self._engine.connect() as c:
            c.exec_driver_sql("PRAGMA secure_delete = OFF")
        return commit(self, changes)

    return insecure


def caught(root: Path, seed: int) -> dict[str, str]:
    """Mutant -> what caught it: a probe of the certificate, the oracle, or nothing."""
    made(root, 30, seed)
    town = towns.build(30, seed)
    person = next(p for p in town.people if len(town.of(p.number)) > 2)
    subject = parse_subject([("name", person.name), ("email", person.email)])
    with open_house(root / "house") as house:
        asked = [case.document_id for case in walk.preview(house, subject, silent).cases if not case.decided]
        decided = _decided(house, town, person, asked)
    found = {}
    for name, mutant in {"none": lambda: off(oracle, "lost"), **mutants()}.items():
        work = root / "mutant"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(root / "house", work)
        stranded = work / "tuning" / "abc" / "houses"
        stranded.mkdir(parents=True)
        (stranded / "copy.txt").write_text(person.name)
        with open_house(work) as house:
            try:
                with mutant():
                    outcome = erase(
                        house,
                        subject,
                        ground="17(1)(b)",
                        orders=Orders(decisions=decided, wait_s=0),
                        retrain_models=False,
                        progress=silent,
                    )
                verdict = outcome.certified.certificate.verdict
                failed = [p.id for p in outcome.verified.probes if p.verdict != "pass"]
            except Exception as error:  # a refusal to go on is a catch
                verdict, failed = type(error).__name__, []
        left = oracle.residue(work, oracle.needles(person, town))
        by = f"probes: {', '.join(failed)}" if failed else f"stopped: {verdict}" if verdict != "COMPLETE" else "nothing"
        found[name] = by + (f" (the oracle finds {len(left)} files)" if left else "")
        print(f"{name:30} {found[name]}", flush=True)
    return found


class Drawn:
    """The house's encoder, but vectors of documents are drawn, not computed: what they cost is not the question."""

    def __init__(self, encoder: Embedder) -> None:
        self._encoder = encoder
        self._rng = np.random.default_rng(1)

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)

    def embed_documents(self, texts, *, tokens=False, progress=None) -> Embeddings:
        dense = self._unit((len(texts), self._encoder.info.dim))
        each = tuple(self._unit((len(text) // 5 + 1, self._encoder.info.dim)) for text in texts) if tokens else None
        if progress:
            progress(len(texts))
        return Embeddings(dense, each)

    def _unit(self, shape: tuple[int, int]) -> np.ndarray:
        drawn = self._rng.standard_normal(shape, dtype=np.float32)
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def fill(folder: Path, town: towns.Town, papers: int, seed: int) -> None:
    """Papers of words of the town's in any order, some of each language, without names and numbers."""
    rng = random.Random(seed)
    words = sorted({word for paper in town.papers for word in paper.text.split() if word.isalpha() and word.islower()})
    for number in range(papers):
        text = " ".join(rng.choices(words, k=rng.randint(80, 160)))
        place = folder / f"fill{number // 1000:03d}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.txt").write_text(f"{text}.\n")


def cost(root: Path, sizes: list[int], seed: int) -> dict[str, object]:
    """Seconds of work for one person in houses of about so many chunks, and of looking for them afterwards.

    The town is the same in all, so that what is said of a person is; the rest is papers in which nobody is named.
    """
    rows = {}
    for size in sizes:
        place = root / str(size)
        town = towns.build(100, seed)
        town.write(place / "papers")
        fill(place / "papers", town, size - len(town.papers), seed)
        with House.create(place / "house", {"house.name": "town", "house.languages": ("en", "de", "fr")}) as house:
            house.crew.__dict__["encoder"] = Drawn(house.crew.encoder)
            house.ingest([place / "papers"])
            chunks = house.stats().chunks
        times = []
        for person in town.people[:3]:
            with open_house(place / "house") as house:
                subject = parse_subject([("name", person.name), ("email", person.email)])
                started = time.perf_counter()
                request = walk.receive(house, subject, "17(1)(b)")
                request = walk.carry_out(house, request, Orders(), silent)
                worked = time.perf_counter() - started
                verify(house, request, silent)
                looked = time.perf_counter() - started - worked
                times.append({**request.seconds, "all work": worked, "search afterwards": looked})
        size_bytes = sum(path.stat().st_size for path in (place / "house").rglob("*") if path.is_file())
        rows[str(chunks)] = {
            "megabytes": round(size_bytes / 1e6),
            **{
                key: round(statistics.median(t.get(key, 0) for t in times), 2)
                for key in ("restricted", "erased", "all work", "search afterwards")
            },
        }
        shutil.rmtree(place)
        print(chunks, rows[str(chunks)], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--people", type=int, default=200)
    add("--erased", type=int, default=0, help="how many of them are erased; 0: all")
    add("--kill-every", type=int, default=5)
    add("--seed", type=int, default=1)
    add("--mutants", action="store_true")
    add("--cost", type=int, nargs="*", metavar="CHUNKS")
    add("--save", action="store_true", help="write bench/results/erasure-DATE.json")
    given = parser.parse_args()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        if given.mutants:
            found["mutants"] = caught(Path(folder), given.seed)
        elif given.cost is not None:
            found["cost"] = cost(Path(folder), given.cost or [10_000, 100_000], given.seed)
        else:
            found["town"] = whole(
                Path(folder), given.people, given.erased or given.people, given.seed, given.kill_every
            )
    print(json.dumps(found, indent=1))
    if given.save:
        path = Path(__file__).parent.parent / "results" / f"erasure-{datetime.now(UTC):%Y-%m-%d}.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
