"""What a run has found, as JSON and as a Markdown page."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

MB = 1_000_000


@dataclass
class Measured:
    """One system's figures; None is what was not measured."""

    label: str
    batch: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""
    slices_per_s: list[float] = field(default_factory=list)
    full_s: float | None = None
    full_per_s: float | None = None
    ingest_peak_bytes: int | None = None
    serve_peak_bytes: int | None = None
    disk_bytes: int | None = None
    open_s: float | None = None
    query_ms: list[list[float]] = field(default_factory=list)
    rankings: dict[str, list[str]] = field(default_factory=dict)
    ndcg_10: float | None = None


Findings = dict[str, Measured]


@dataclass(frozen=True)
class Column:
    """A figure of the table: its key in the JSON, its heading, its decimals, and whether more is better."""

    key: str
    heading: str
    decimals: int
    more_is_better: bool


COLUMNS = (
    Column("ingest_per_s", "ingest, sample (passages/s)", 1, True),
    Column("full_ingest_per_s", "ingest, whole corpus (passages/s)", 1, True),
    Column("query_p50_ms", "query p50 (ms)", 1, False),
    Column("query_p95_ms", "query p95 (ms)", 1, False),
    Column("ingest_peak_mb", "peak memory, ingest (MB)", 0, False),
    Column("serve_peak_mb", "peak memory, serving (MB)", 0, False),
    Column("ndcg_10", "nDCG@10", 3, True),
    Column("disk_mb", "index on disk (MB)", 1, False),
)


def build(found: Findings, settings: Mapping[str, object]) -> dict[str, Any]:
    """The result of a run as one JSON object."""
    systems = {name: _figures(measured) for name, measured in found.items()}
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        **settings,
        "machine": machine(),
        "systems": systems,
        "ratios": _ratios(systems),
    }


def _figures(m: Measured) -> dict[str, Any]:
    times = [ms for part in m.query_ms for ms in part]
    return {
        "label": m.label,
        "failure": m.failure or None,
        "versions": m.versions,
        "batch": m.batch,
        "ingest_per_s": median(m.slices_per_s) if m.slices_per_s else None,
        "ingest_per_s_rounds": m.slices_per_s,
        "full_ingest_per_s": m.full_per_s,
        "full_ingest_s": m.full_s,
        "open_s": m.open_s,
        "query_p50_ms": median(times) if times else None,
        "query_p95_ms": _percentile(times, 0.95) if times else None,
        "query_p50_ms_rounds": [median(part) for part in m.query_ms if part],
        "queries_timed": len(times),
        "ingest_peak_mb": _mb(m.ingest_peak_bytes),
        "serve_peak_mb": _mb(m.serve_peak_bytes),
        "ndcg_10": m.ndcg_10,
        "disk_mb": _mb(m.disk_bytes),
    }


def _percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of the values do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _mb(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / MB


def _ratios(systems: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Freehold against the bare engines, and in every column against the peer that is best there."""
    house, floor = systems.get("freehold", {}), systems.get("floor", {})
    peers = [figures for name, figures in systems.items() if not name.startswith("freehold") and name != "floor"]
    best = {}
    for column in COLUMNS:
        choose: Callable[..., float] = max if column.more_is_better else min
        values = [value for figures in peers if (value := figures[column.key]) is not None]
        best[column.key] = _ratio(house.get(column.key), choose(values, default=None))
    return {
        "ingest_to_bare": _ratio(house.get("ingest_per_s"), floor.get("ingest_per_s")),
        "query_p50_to_bare": _ratio(house.get("query_p50_ms"), floor.get("query_p50_ms")),
        "to_best_peer": best,
    }


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def machine() -> dict[str, object]:
    """The machine without its name."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


def markdown(result: Mapping[str, Any]) -> str:
    """The page: what was run, the table, the ratios, the versions, the failures."""
    box, systems = result["machine"], result["systems"]
    parts = [
        f"# Peers on {result['dataset']}, {result['date']}",
        f"{result['passages']:,} passages, {result['queries']:,} queries of {result['split']}; "
        f"{box['cpu']}, {box['cores']} cores, {box['memory_gib']} GiB, Python {box['python']}; "
        f"{result['threads']} threads; seed {result['seed']}; load average at the start "
        f"{result['load_average_at_start']}; {result['minutes']} minutes.",
        f"Ingest of the sample: median of {result['sample_rounds']} turns of {result['sample_passages']:,} passages. "
        f"Queries: hybrid, one client, in-process, warm, each asked once in {result['query_rounds']} rounds by turns. "
        "Memory: largest resident set of the process tree. Models are loaded before the clock starts.",
        _table(systems),
        _ratio_lines(result["ratios"]),
        "\n".join([*_version_lines(systems), f"- judged with ir-measures {result['ir_measures']}"]),
        "\n".join(f"- {s['label']} failed: {s['failure']}" for s in systems.values() if s["failure"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(systems: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        ["", *(column.heading for column in COLUMNS)],
        ["---", *("---:" for _ in COLUMNS)],
        *([s["label"], *(_cell(s[column.key], column.decimals) for column in COLUMNS)] for s in systems.values()),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: float | None, decimals: int) -> str:
    return "n/a" if value is None else f"{value:,.{decimals}f}"


def _ratio_lines(ratios: Mapping[str, Any]) -> str:
    lines = [
        f"- Freehold's ingest over the bare engine's: {_cell(ratios['ingest_to_bare'], 2)}",
        f"- Freehold's query p50 over the bare engines': {_cell(ratios['query_p50_to_bare'], 2)}",
    ]
    for column in COLUMNS:
        better = "more" if column.more_is_better else "less"
        ratio = _cell(ratios["to_best_peer"][column.key], 2)
        lines.append(f"- Freehold over the best peer, {column.heading}: {ratio} ({better} is better)")
    return "\n".join(lines)


def _version_lines(systems: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"- {figures['label']}: {', '.join(f'{name} {v}' for name, v in figures['versions'].items())}"
        + (f"; batches of {figures['batch']}" if figures["batch"] else "")
        for figures in systems.values()
        if figures["versions"]
    ]
