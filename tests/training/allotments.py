"""Allotment gardens: a lease for each plot, four sections long, and questions about them with their right places."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from freehold.house import House

PLOTS = (
    "Alder", "Ash", "Aspen", "Beech", "Birch", "Cedar", "Cherry", "Elder", "Elm", "Fir", "Hazel", "Holly", "Juniper",
    "Larch", "Laurel", "Lime", "Maple", "Medlar", "Oak", "Olive", "Pear", "Pine", "Plum", "Poplar", "Quince", "Rowan",
    "Spruce", "Sycamore", "Walnut", "Willow",
)  # fmt: skip
TOPICS: Mapping[str, tuple[str, str, str]] = {
    "rent": (
        "Rent",
        "The holder of plot {plot} pays {n} pounds a year to the treasurer, in March, by cheque or in cash. Who is "
        "late with plot {plot} owes a further five pounds for every month begun.",
        "How much money is due each spring for plot {plot}?",
    ),
    "water": (
        "Water",
        "Plot {plot} shares the tap number {n} with its neighbours. Hoses may run on plot {plot} before nine in the "
        "morning and after six in the evening; in a drought the committee turns the tap off.",
        "At what hours may one use a hose on plot {plot}?",
    ),
    "shed": (
        "Sheds",
        "“Shed” means a building of wood on plot {plot} that is no larger than {n} square feet. It stands two paces "
        "from the path of plot {plot}, has no cellar, and is painted green or brown.",
        "How big a hut can be built on plot {plot}?",
    ),
    "notice": (
        "Giving notice",
        "Either side ends the lease of plot {plot} by a letter that arrives {n} days before Michaelmas. The holder of "
        "plot {plot} then digs it over and takes every fruit bush away, or leaves it as a gift.",
        "How does one give up plot {plot}?",
    ),
}
SPLITS = {"train": PLOTS[:20], "dev": PLOTS[20:25], "test": PLOTS[25:]}


def number(plot: str, topic: str) -> int:
    return 20 + 7 * PLOTS.index(plot) + list(TOPICS).index(topic)


def section(plot: str, topic: str) -> str:
    return TOPICS[topic][1].format(plot=plot, n=number(plot, topic))


def asked(plot: str, topic: str) -> str:
    return TOPICS[topic][2].format(plot=plot)


def lease(plot: str) -> str:
    parts = (f"## {heading}\n\n{section(plot, topic)}" for topic, (heading, _, _) in TOPICS.items())
    return f"# Lease of plot {plot}\n\n" + "\n\n".join(parts) + "\n"


def build(root: Path) -> Path:
    """A house in ``root/house`` that holds the leases, which lie in ``root/leases``; several chunks for each."""
    leases = root / "leases"
    leases.mkdir(parents=True)
    for plot in PLOTS:
        (leases / f"{plot.lower()}.md").write_text(lease(plot), encoding="utf-8")
    with House.create(root / "house", {"house.name": "allotments", "chunking.max_tokens": 96}) as house:
        house.ingest([leases])
    return root / "house"


def beir(folder: Path, splits: Mapping[str, Iterable[tuple[str, str, Mapping[str, int]]]]) -> Path:
    """A set in the BEIR layout: split -> (query id, text, document -> grade)."""
    (folder / "qrels").mkdir(parents=True)
    queries = {}
    for split, rows in splits.items():
        lines = ["query-id\tcorpus-id\tscore"]
        for query, text, grades in rows:
            queries[query] = text
            lines += [f"{query}\t{document}\t{grade}" for document, grade in grades.items()]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join([*lines, ""]))
    write_lines(folder / "queries.jsonl", [{"_id": query, "text": text} for query, text in queries.items()])
    return folder


def questions(plots: Iterable[str]) -> list[tuple[str, str, dict[str, int]]]:
    """Every question about these plots, with its lease."""
    return [(f"{p}-{t}".lower(), asked(p, t), {p.lower(): 1}) for p in plots for t in TOPICS]


def whole(folder: Path) -> Path:
    """All questions, in train, dev and test by plot."""
    return beir(folder, {split: questions(plots) for split, plots in SPLITS.items()})


def write_lines(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
