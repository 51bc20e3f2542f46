"""The watch for drift: how many false alarms a month it raises, and how soon it sees what was planted.

    python bench/drift/run.py --data FOLDER [--years 4] [--repeats 10] [--save]

*Stationary replays* draw the questions of every day with replacement from those of a real set, so that nothing changes
but by chance: house-years of daily looks, as ``freehold watch`` takes them, known sample and retention included. Beside
it stands what is often done instead: the same test at every look against one sample taken at the beginning, at a fixed
alpha. *Planted shifts* begin after two quiet weeks or more, with a share of the traffic. FOLDER holds BEIR sets.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from freehold.core.ports import Embedder
from freehold.core.watch import TESTED
from freehold.measure import drift
from freehold.models.embed import open_embedder

RESULTS = Path(__file__).parent.parent / "results"
MONTH = 30
"""Looks of a month: one a day."""
KNOWN = 400
RETENTION = 30
SETTINGS = (0.1, 0.5, 1.0, 2.0)
ALPHAS = (0.05, 0.01)
QUIET, LONGEST = 14, 60
RECHECKED, SAME = 32, 0.99

Vectors = NDArray[np.float32]
Day = Callable[[int], NDArray[np.floating]]
"""Number of a look -> what came since the one before."""


@dataclass
class Replay:
    """p-values of the looks of one course, those that began a known sample anew, and the naive ones beside them."""

    p: list[float] = field(default_factory=list)
    renewed: list[int] = field(default_factory=list)
    """Looks before which the known sample began anew, and the bets with it."""
    naive: list[float] = field(default_factory=list)


def replay(
    day: Day, looks: int, compare: Callable[..., drift.Moved], rng: np.random.Generator, *, naive: bool
) -> Iterator[Replay]:
    """Looks as a house takes them: what is new joins what is known, which begins anew before it would expire."""
    seen = Replay()
    days = [day(look) for look in range(-RETENTION // 2, 0)]
    known = joined(days, rng)
    fixed = known
    begun = -RETENTION // 2
    for look in range(looks):
        if look - begun >= RETENTION:
            begun = look - RETENTION // 2
            known = joined(days[-RETENTION // 2 :], rng)
            seen.renewed.append(look)
        new = day(look)
        seen.p.append(compare(known, new, rng=rng).p)
        if naive:
            seen.naive.append(compare(fixed, new, rng=rng).p)
        days = [*days[-RETENTION:], new]
        known = joined([known, new], rng)
        yield seen


def joined(parts: Sequence[NDArray[np.floating]], rng: np.random.Generator) -> NDArray[np.floating]:
    """At most KNOWN of all, drawn without regard to where they come from."""
    rows = np.concatenate(parts)
    return rows[rng.permutation(len(rows))[:KNOWN]]


def alarms(seen: Replay, level: float) -> list[int]:
    """Looks with an alarm, after each of which the bets begin anew."""
    raised, total = [], 0.0
    for look, p in enumerate(seen.p):
        total = drift.carried(0.0 if look in seen.renewed else total, drift.evidence(p))
        if total >= level:
            raised.append(look)
            total = 0.0
    return raised


def level_of(setting: float, signals: int) -> float:
    return drift.level(false_alarms_per_month=setting, looks_per_month=MONTH, signals=signals)


# -- stationary ------------------------------------------------------------------------------------------------------


def stationary(
    name: str, pool: NDArray[np.floating], compare: Callable[..., drift.Moved], options: argparse.Namespace
) -> list[dict[str, object]]:
    """False alarms a month of one signal, by setting and by fixed alpha."""
    months = options.years * 12
    counts: dict[str, int] = dict.fromkeys([*(f"watch at {s:g}" for s in SETTINGS), *map(naive_name, ALPHAS)], 0)
    for year in range(options.years):
        rng = np.random.default_rng([options.seed, year, *name.encode()])
        day = lambda _look, rng=rng: pool[rng.integers(len(pool), size=options.questions)]  # noqa: E731
        *_, seen = replay(day, 12 * MONTH, compare, rng, naive=True)
        for setting in SETTINGS:
            counts[f"watch at {setting:g}"] += len(alarms(seen, level_of(setting, 1)))
        for alpha in ALPHAS:
            counts[naive_name(alpha)] += sum(p < alpha for p in seen.naive)
        told = {key: round(count / (12 * (year + 1)), 3) for key, count in counts.items()}
        print(f"{name}, {year + 1} of {options.years} years: {told}", file=sys.stderr)
    rows: list[dict[str, object]] = []
    for who, count in counts.items():
        low, high = poisson_interval(count)
        rows.append(
            {
                "signal": name, "who": who, "months": months, "alarms": count, "per_month": round(count / months, 4),
                "ci95": [round(low / months, 4), round(high / months, 4)],
                "allowed": float(who.rpartition(" ")[2]) if who.startswith("watch") else None,
            }
        )  # fmt: skip
    return rows


def naive_name(alpha: float) -> str:
    return f"fixed alpha {alpha:g}"


def uniform(setting: float, months: int, seed: int) -> dict[str, object]:
    """The level alone: alarms of p-values that are uniform, as they are where nothing changes."""
    rng = np.random.default_rng(seed)
    seen = Replay(rng.random(months * MONTH).tolist(), list(range(RETENTION // 2, months * MONTH, RETENTION // 2)))
    renewed = set(seen.renewed)
    level, total, count = level_of(setting, 1), 0.0, 0
    for look, p in enumerate(seen.p):
        total = drift.carried(0.0 if look in renewed else total, drift.evidence(p))
        if total >= level:
            count, total = count + 1, 0.0
    low, high = poisson_interval(count)
    return {
        "signal": "simulated, uniform p", "who": f"watch at {setting:g}", "months": months, "alarms": count,
        "per_month": round(count / months, 4), "ci95": [round(low / months, 4), round(high / months, 4)],
        "allowed": setting,
    }  # fmt: skip


def poisson_interval(count: int) -> tuple[float, float]:
    """95 % interval of a Poisson mean, by Wilson and Hilferty's approximation of chi-squared quantiles."""
    z = statistics.NormalDist().inv_cdf(0.975)

    def bound(n: int, z: float) -> float:
        return n * (1 - 1 / (9 * n) + z / (3 * math.sqrt(n))) ** 3 if n else 0.0

    return bound(count, -z), bound(count + 1, z)


# -- planted ---------------------------------------------------------------------------------------------------------


def planted(name: str, pool: Vectors, other: Vectors, share: float, options: argparse.Namespace) -> dict[str, object]:
    """Looks from the beginning of a shift to the alarm of a house that watches all its signals."""
    level = level_of(options.setting, len(TESTED))
    delays: list[int | None] = []
    early = 0
    for number in range(options.repeats):
        rng = np.random.default_rng([options.seed, number, *name.encode(), int(100 * share)])

        # The known sample begins anew twice a month: a shift begins anywhere between two such times.
        quiet = QUIET + int(rng.integers(RETENTION // 2))

        def day(look: int, rng: np.random.Generator = rng, quiet: int = quiet) -> Vectors:
            rows = pool[rng.integers(len(pool), size=options.questions)]
            if look >= quiet:
                shifted = rng.random(options.questions) < share
                rows[shifted] = other[rng.integers(len(other), size=int(shifted.sum()))]
            return rows

        delay = None
        for seen in replay(day, quiet + LONGEST, drift.vectors_moved, rng, naive=False):
            raised = alarms(seen, level)
            if raised and raised[-1] >= quiet:
                delay = raised[-1] - quiet + 1
                break
        early += sum(look < quiet for look in alarms(seen, level))
        delays.append(delay)
    known = sorted(delay for delay in delays if delay is not None)
    middle = sorted(math.inf if d is None else d for d in delays)[len(delays) // 2]
    row = {
        "shift": name, "share": share, "repeats": options.repeats, "found": len(known), "within_looks": LONGEST,
        "median_looks": None if middle == math.inf else int(middle), "most_looks": known[-1] if known else None,
        "alarms_before": early,
    }  # fmt: skip
    print(row, file=sys.stderr)
    return row


def changed_embedder(texts: Sequence[str], one: Embedder, other: Embedder) -> dict[str, object]:
    """The check of vectors by making some again, with an embedder that was changed behind its name."""
    made = one.embed_documents(texts[:RECHECKED]).vectors
    same = float((made * one.embed_documents(texts[:RECHECKED]).vectors).sum(axis=1).min())
    changed = float((made * other.embed_documents(texts[:RECHECKED]).vectors).sum(axis=1).max())
    return {
        "shift": "changed embedder", "check": "vectors made again", "lowest_cosine_unchanged": round(same, 4),
        "highest_cosine_changed": round(changed, 4), "threshold": SAME, "found_at_look": 1 if changed < SAME else None,
    }  # fmt: skip


# -- where it comes from ---------------------------------------------------------------------------------------------


def texts_of(path: Path, most: int, rng: np.random.Generator) -> list[str]:
    """Texts of a JSONL file, at most so many, drawn at random."""
    lines = path.read_text(encoding="utf-8").splitlines()
    picked = sorted(rng.permutation(len(lines))[:most].tolist())
    records = [json.loads(lines[at]) for at in picked]
    return [record["text"] for record in records]


def embedded(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    limit = embedder.info.max_tokens - embedder.overhead_tokens
    return embedder.embed_queries([text for text in texts if 0 < len(embedder.offsets(text)) <= limit]).vectors


def flood() -> list[str]:
    """One form, filled in again and again: what a script or a template sends."""
    return [f"Please confirm receipt of ticket {7_000 + number}. This is an automatic message." for number in range(60)]


# -- what is printed -------------------------------------------------------------------------------------------------


def report(
    rows: Sequence[Mapping[str, object]], delays: Sequence[Mapping[str, object]], options: argparse.Namespace
) -> str:
    lines = ["**False alarms a month where nothing changes**, 95 % intervals", ""]
    lines += ["| signal | | allowed | raised | months |", "|---|---|---|---|---|"]
    for row in rows:
        low, high = row["ci95"]  # type: ignore[misc]
        allowed = "-" if row["allowed"] is None else f"{row['allowed']:g}"
        lines.append(
            f"| {row['signal']} | {row['who']} | {allowed} | {row['per_month']:.3f} [{low:.3f}, {high:.3f}]"
            f" | {row['months']:,} |"
        )
    lines += ["", f"**Looks until a planted shift is seen**, {options.setting:g} false alarms a month allowed", ""]
    lines += ["| shift | share of traffic | seen | median | most |", "|---|---|---|---|---|"]
    for row in delays:
        if "share" in row:
            lines.append(
                f"| {row['shift']} | {100 * row['share']:.0f} % | {row['found']} of {row['repeats']}"  # type: ignore[operator]
                f" | {row['median_looks'] or '-'} | {row['most_looks'] or '-'} |"
            )
        else:
            lines.append(f"| {row['shift']} ({row['check']}) | all | at look {row['found_at_look'] or '-'} | | |")
    return "\n".join(lines)


def main() -> int:
    options = _options()
    begin = time.monotonic()
    rng = np.random.default_rng(options.seed)
    embedder = open_embedder("onnx", "all-minilm-l6-v2")
    sets = {
        name: texts_of(options.data / name / "queries.jsonl", options.pool, rng)
        for name in ("obliqa", "medquad", "xquad-de2en")
    }
    pools = {name: embedded(embedder, texts) for name, texts in sets.items()}
    rows: list[dict[str, object]] = [uniform(setting, 120_000, options.seed) for setting in SETTINGS]
    for name in ("obliqa", "medquad"):
        passages = texts_of(options.data / name / "corpus.jsonl", options.passages, rng)
        best = (pools[name] @ embedded(embedder, passages).T).max(axis=1)
        rows += stationary(f"{name}: questions", pools[name], drift.vectors_moved, options)
        rows += stationary(f"{name}: scores", best, drift.values_moved, options)
    shifts = {
        "new topic": pools["medquad"],
        "new language": pools["xquad-de2en"],
        "boilerplate flood": embedded(embedder, flood()),
    }
    delays = [
        planted(name, pools["obliqa"], other, share, options)
        for name, other in shifts.items()
        for share in (1.0, 0.3, 0.1)
    ]
    delays.append(changed_embedder(sets["obliqa"], embedder, open_embedder("onnx", "multilingual-e5-small")))
    seconds = time.monotonic() - begin
    print(report(rows, delays, options))
    print(f"\n{seconds:.0f} s", file=sys.stderr)
    if options.save:
        _save(options, rows, delays, seconds)
    return 0


def _save(options: argparse.Namespace, rows: Sequence[object], delays: Sequence[object], seconds: float) -> None:
    place = RESULTS / f"drift-{datetime.now(UTC):%Y-%m-%d}.json"
    record = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "years": options.years,
        "repeats": options.repeats,
        "questions_a_day": options.questions,
        "known": KNOWN,
        "retention_days": RETENTION,
        "setting_of_shifts": options.setting,
        "seed": options.seed,
        "seconds": round(seconds, 1),
        "stationary": rows,
        "planted": delays,
    }
    place.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written {place.name}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=os.environ.get("FREEHOLD_DATA"), help="folder of BEIR sets; also FREEHOLD_DATA")
    add("--years", type=int, default=4, help="house-years of each stationary replay")
    add("--repeats", type=int, default=10, help="of each planted shift")
    add("--questions", type=int, default=40, help="a day")
    add("--pool", type=int, default=1_500, help="questions taken of each set")
    add("--passages", type=int, default=300, help="taken of each corpus, for scores")
    add("--setting", type=float, default=0.1, help="false alarms a month that are allowed, for the shifts")
    add("--seed", type=int, default=20261127)
    add("--save", action="store_true", help="write bench/results/drift-DATE.json")
    options = parser.parse_args()
    if options.data is None:
        parser.error("--data or FREEHOLD_DATA must name the folder of the sets")
    options.data = Path(options.data)
    return options


if __name__ == "__main__":
    sys.exit(main())
