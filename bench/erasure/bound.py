"""People of towns erased one after the other: is anything left of anybody, and is anything of others lost?"""

from __future__ import annotations

import json
import random
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import oracle
import town as towns
from houses import command, decided, learn, made, program, silent
from scipy import stats

from freehold.core.ports import Embedder
from freehold.erasing.erase import erase
from freehold.erasing.walk import Orders
from freehold.house import open_house
from freehold.privacy.subjects import parse_subject

STEPS = (
    "fence.before_commit", "request.fenced", "catalog.before_restricted", "erase.evidence", "catalog.before_commit",
    "catalog.committed", "vault.destroyed", "index.before_swap", "index.after_swap", "erase.index", "request.erased",
)  # fmt: skip
BUSY = 4
ROWS = "rows.jsonl"
ENCODER: list[Embedder] = []
KILLED, RACED, LEARNED = 10, 15, 20
"""One of so many is erased after a ``kill -9``, beside another command, and with a model in service that knows them."""


def town_of(root: Path, people: int, erased_people: int, seed: int) -> None:
    """Writes a row for each person that was erased, in random order, and one for each house of who came back."""
    town = made(root, people, seed)
    rng = random.Random(seed)
    order = rng.sample(town.people, min(erased_people or people, people))
    gone: set[int] = set()
    for at, person in enumerate(order, 1):
        row = {"seed": seed, "person": person.number, **_one(root, town, person, gone, rng, at)}
        with (root.parent / ROWS).open("a") as file:
            file.write(json.dumps(row) + "\n")
        said = [f"left {row['left']}", f"lost {row['lost']}", f"{row['seconds']} s", row["killed"], row["raced"]]
        print(f"{seed}: {at}/{len(order)} {row['verdict']}", *(one for one in said if one), flush=True)
    again = command(root / "house", "ingest", str(root / "papers"), "--json")
    restored = command(root / "restored", "restore", str(root / "backup"), "--keys", str(root / "keys.json"), "--json")
    assert (again.returncode, restored.returncode) == (0, 0), again.stderr + restored.stderr
    for house in ("house", "restored"):
        back = [p.number for p in order if oracle.residue(root / house, oracle.needles(p, town))]
        print(f"{seed}: {house}, with all papers ingested again: {len(back)} came back", flush=True)
        with (root.parent / ROWS).open("a") as file:
            file.write(json.dumps({"back": back}) + "\n")
    shutil.rmtree(root)


def _one(
    root: Path, town: towns.Town, person: towns.Person, gone: set[int], rng: random.Random, at: int
) -> dict[str, object]:
    who = [("name", person.name), ("email", person.email)]
    killed = rng.choice(STEPS) if at % KILLED == 0 else ""
    model = learn(root) if at % LEARNED == 1 and len(gone) < len(town.people) / 2 else ""
    with open_house(root / "house") as house:
        names = {paper.name for paper in town.of(person.number)}
        ids = {words.document_id for words in house.shelf.words() if Path(words.source).name in names}
        lost_before = oracle.lost("\n".join(words.text for words in house.shelf.words()), town, {*gone, person.number})
    # A model learned from what is in the training set now. Some people's papers answer none of its questions.
    knows = bool(model and oracle.residue(root / "house" / "training", ids))
    if killed:
        pairs = [part for key, value in who for part in ("--subject", f"{key}={value}")]
        done = command(root / "house", "erase", *pairs, "--yes", kill_at=killed)
        assert done.returncode == -signal.SIGKILL, done.stderr
    raced = rng.choice(("ingest", "backup", "search")) if at % RACED == 0 else ""
    with _beside(root, raced, person, rng.uniform(0, 4)), open_house(root / "house") as house:
        if ENCODER:  # as in a service, which opens it once
            house.crew.__dict__["encoder"] = ENCODER[0]
        started = time.perf_counter()
        outcome = erase(
            house, parse_subject(who), ground="17(1)(b)", orders=Orders(), retrain_models=True, progress=silent
        )
        asked = list(outcome.request.asked)
        put = len(asked)
        for _ in range(2):  # what is left of a paper that was redacted may be asked about again
            if asked:
                orders = Orders(decisions=decided(house, town, person, asked))
                outcome = erase(
                    house, outcome.request.id, ground="17(1)(b)", orders=orders, retrain_models=True, progress=silent
                )
                asked = list(outcome.request.asked)
        seconds = time.perf_counter() - started
        ENCODER[:] = [house.crew.encoder]
        kept = "\n".join(words.text for words in house.shelf.words())
        work = dict(outcome.request.seconds)
    gone.add(person.number)
    left = oracle.residue(root / "house", oracle.needles(person, town))
    left += oracle.residue(root / "house" / "models", ids) if model else []
    if model:  # what was trained without them; the next ones are spared its being trained again for each of them
        with open_house(root / "house") as house:
            after = {version.id for version in house.registry.all()}
            left += [f"models/{model}"] if knows and model in after else []
            house.stand_down(after, silent)
            for version in after:
                house.registry.remove(version)
    return {
        "left": left, "verdict": outcome.certified.certificate.verdict, "asked": put, "seconds": round(seconds, 2),
        "killed": killed, "raced": raced, "learned": knows, "work": work,
        "lost": max(0, oracle.lost(kept, town, gone) - lost_before),
    }  # fmt: skip


@contextmanager
def _beside(root: Path, verb: str, person: towns.Person, delay_s: float) -> Iterator[None]:
    """Another command, begun so long before and at work meanwhile, to its end; it may find the house busy."""
    arguments = {
        "ingest": ["ingest", str(root / "papers")],
        "backup": ["backup", str(root / "backup"), "--keys", str(root / "keys.json")],
        "search": ["search", person.name],
    }
    if not verb:
        yield
        return
    quiet = subprocess.DEVNULL
    other = subprocess.Popen(program(root / "house", *arguments[verb]), stdout=quiet, stderr=quiet)
    time.sleep(delay_s)
    try:
        yield
    finally:
        assert other.wait() in {0, BUSY}, verb


def bound(root: Path, people: int, erased_people: int, seeds: range, workers: int) -> dict[str, object]:
    """All people of towns with these seeds, some towns at a time."""
    with ProcessPoolExecutor(workers) as pool:
        for done in as_completed(pool.submit(town_of, root / str(seed), people, erased_people, seed) for seed in seeds):
            done.result()
    return {"people of a town": people, **summary(root / ROWS)}


def summary(path: Path) -> dict[str, object]:
    """What the rows come to, with the one-sided 95 % bound (Clopper and Pearson 1934) on the share without residue."""
    written = [json.loads(line) for line in path.read_text().splitlines()]
    rows, looked = [row for row in written if "verdict" in row], [row for row in written if "back" in row]
    n, clean = len(rows), sum(not row["left"] for row in rows)
    lower = stats.beta.ppf(0.05, clean, n - clean + 1) if clean < n else 0.05 ** (1 / n)
    seconds = sorted(row["seconds"] for row in rows)
    middle = lambda stage: statistics.median(row["work"].get(stage, 0) for row in rows)  # noqa: E731
    return {
        "people": n,
        "towns erased to the end, ingested again and restored": len(looked) // 2,
        "clean": clean,
        "lower95": round(float(lower), 5),
        "false certificates": sum(bool(row["left"]) and row["verdict"] == "COMPLETE" for row in rows),
        "not complete": sum(row["verdict"] != "COMPLETE" for row in rows),
        "resurrections": sum(len(row["back"]) for row in looked),
        "bystander sentences lost": sum(row["lost"] for row in rows),
        "documents put to a person": sum(row["asked"] for row in rows),
        "killed": sum(bool(row["killed"]) for row in rows),
        "raced": sum(bool(row["raced"]) for row in rows),
        "with a model that learned from them": sum(bool(row["learned"]) for row in rows),
        "seconds": {"p50": statistics.median(seconds), "p95": seconds[int(0.95 * n)], "max": seconds[-1]},
        "restricted s": middle("restricted"),
        "erased s": middle("erased"),
        "with a model s": statistics.median([row["seconds"] for row in rows if row["learned"]] or [0]),
    }
