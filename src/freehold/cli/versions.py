"""How model versions are printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from freehold.cli import measured, output
from freehold.core.errors import FreeholdError
from freehold.core.records import to_json
from freehold.core.training import Lineup, ModelVersion

if TYPE_CHECKING:
    from freehold.house import House
    from freehold.tuning.candidate import Tuned
    from freehold.tuning.plan import TuningPlan
    from freehold.tuning.promote import Promotion
    from freehold.tuning.sets import TrainingSet

_SHOWN_DIGEST = 12


def version_json(version: ModelVersion, house: House) -> dict[str, object]:
    """A version, and its state."""
    return {**to_json(version), "state": house.registry.state(version.id)}


def print_versions(house: House) -> None:
    """The versions of a house, the newest first."""
    found = house.registry.all()
    if not found:
        return
    table = output.plain_table("version", "role", "made", "base", "nDCG@10 on dev", "state", "created")
    for version in reversed(found):
        table.add_row(
            version.id[:8],
            version.role,
            version.kind,
            escape(version.base),
            _headline(version),
            house.registry.state(version.id),
            version.created[:16].replace("T", " "),
        )
    output.out.print(table)


def _headline(version: ModelVersion) -> str:
    """The first measure before and after."""
    if not version.metrics or version.metrics[0].value is None or version.baseline[0].value is None:
        return "n/a"
    return f"{version.baseline[0].value:.3f} → {version.metrics[0].value:.3f}"


def print_version(version: ModelVersion, house: House, *, as_json: bool) -> None:
    """Everything that is recorded of one."""
    if as_json:
        output.print_json(version_json(version, house))
        return
    out = output.out
    out.print(f"[bold]model version {version.id}[/]", soft_wrap=True)
    rows: dict[str, str] = {
        "state": house.registry.state(version.id) + (f" ({version.tainted})" if version.tainted else ""),
        "role": f"{version.role}, {version.kind}",
        "base": f"{version.base} ({version.base_digest[:_SHOWN_DIGEST]})",
        "digest": version.digest,
        "manifest": version.manifest,
        "made": f"{version.created[:16].replace('T', ' ')}, {version.seconds:.0f} s, seed {version.seed}",
        "experiment": version.experiment,
        "settings": _pairs(version.settings),
        "serves with": _pairs(version.serving) or "the settings as they are",
        "checks": _pairs(version.checks),
        "versions": _pairs(version.versions),
    }
    table = output.plain_table("", "")
    for key, value in rows.items():
        if value:
            table.add_row(key, escape(value))
    out.print(table)
    _print_figures(version)
    files = output.plain_table("file", "sha256")
    for path, digest in version.files.items():
        files.add_row(escape(path), digest[:_SHOWN_DIGEST])
    out.print(files)


def _print_figures(version: ModelVersion) -> None:
    table = output.plain_table("on the dev part", "live", "candidate", "difference", "p (Holm)")
    differences = {row.measure: row for row in version.comparisons if not row.slice}
    for before, after in zip(version.baseline, version.metrics, strict=True):
        row = differences.get(after.measure)
        table.add_row(
            after.measure,
            measured.estimate_text(before),
            measured.estimate_text(after),
            measured.difference_text(row) if row else "",
            f"{row.p_holm:.2g}" if row and row.p_holm is not None else "",
        )
    output.out.print(table)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items()
    )


def tuned_json(tuned: Tuned) -> dict[str, object]:
    """What a training gave, for programs."""
    version = tuned.version
    return {
        "model": version.id,
        "role": version.role,
        "kind": version.kind,
        "digest": version.digest,
        "metrics": {
            "part": "dev",
            "candidate": to_json(version.metrics),
            "live": to_json(version.baseline),
            "comparisons": to_json(version.comparisons),
        },
        "checks": to_json(version.checks),
        "serving": to_json(version.serving),
        "settings": to_json(version.settings),
        "manifest": version.manifest,
        "training": tuned.training.name,
        "experiment": version.experiment,
        "notes": list(tuned.notes),
        "seconds": version.seconds,
    }


def print_tuned(tuned: Tuned, *, as_json: bool) -> None:
    """What a training gave."""
    version = tuned.version
    if as_json:
        output.print_json(tuned_json(tuned))
        return
    out = output.out
    examples = tuned.training.manifest.examples
    counts = " and ".join(f"{count:,} {part}" for part, count in examples.items())
    out.print(
        f"[bold]{version.role} {version.id[:8]}[/], {version.kind}, of {counts} examples in {version.seconds:.0f} s"
    )
    _print_figures(version)
    if version.serving:
        out.print(f"serves with {escape(_pairs(version.serving))}", soft_wrap=True)
    for note in tuned.notes:
        out.print(f"note: {escape(note)}", soft_wrap=True)
    out.print("chosen on these questions: what it is worth elsewhere says the gate", style="dim")
    out.print(f"next: freehold models promote {version.id[:8]}")


def print_promotion(done: Promotion, *, as_json: bool) -> None:
    """The gate's verdict, and what serves."""
    if as_json:
        output.print_json(
            {
                "model": done.version.id,
                "promoted": done.promoted,
                "lineup": to_json(done.lineup),
                "left": list(done.left) if done.promoted else [],
                "experiment": measured.experiment_json(done.kept.experiment),
            }
        )
        return
    measured.print_experiment(done.kept.experiment, as_json=False)
    if done.promoted:
        output.out.print(f"[bold]{done.version.role} {done.version.id[:8]} serves[/]; back: freehold models rollback")
        for version_id in done.left:
            output.out.print(f"{version_id[:8]} left with the embedder that it was trained for")
    else:
        output.out.print(f"nothing changed: {done.version.role} {done.version.id[:8]} stays a candidate")


def print_lineup(house: House, lineup: Lineup, *, as_json: bool) -> None:
    """Which versions serve."""
    if as_json:
        output.print_json(to_json(lineup))
        return
    if not lineup.versions:
        output.out.print("the models of the settings serve")
    for role, version_id in lineup.versions.items():
        output.out.print(f"{role}: {version_id[:8]}, {house.registry.get(version_id).kind}")


def print_difference(house: House, one: ModelVersion, other: ModelVersion, *, as_json: bool) -> None:
    """What differs, side by side."""
    sides = [_flat(version, house) for version in (one, other)]
    keys = [key for key in dict.fromkeys([*sides[0], *sides[1]]) if sides[0].get(key) != sides[1].get(key)]
    if as_json:
        output.print_json(
            {
                "versions": [one.id, other.id],
                "differences": {key: [side.get(key) for side in sides] for key in keys},
                "documents": _documents(house, one, other),
            }
        )
        return
    table = output.plain_table("", one.id[:8], other.id[:8])
    for key in keys:
        table.add_row(key, *(_text(side.get(key)) for side in sides))
    output.out.print(table)
    documents = _documents(house, one, other)
    if documents:
        output.out.print(
            f"documents learned from: {documents['both']:,} both, {documents['only_first']:,} only {one.id[:8]}, "
            f"{documents['only_second']:,} only {other.id[:8]}"
        )


def _flat(version: ModelVersion, house: House) -> dict[str, object]:
    flat: dict[str, object] = {"state": house.registry.state(version.id)}
    for name in ("role", "kind", "base", "base_digest", "manifest", "seed", "digest", "created", "seconds"):
        flat[name] = getattr(version, name)
    for group in ("settings", "serving", "checks", "files", "versions"):
        flat |= {f"{group} {key}": value for key, value in getattr(version, group).items()}
    for estimate in version.metrics:
        flat[f"{estimate.measure} on dev"] = estimate.value
    return flat


def _documents(house: House, one: ModelVersion, other: ModelVersion) -> dict[str, int]:
    from freehold.store.training import read_manifest

    try:
        first, second = (set(read_manifest(house.registry.folder(v.id)).documents) for v in (one, other))
    except FreeholdError:  # a damaged version can still be compared by its record
        return {}
    return {"both": len(first & second), "only_first": len(first - second), "only_second": len(second - first)}


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return escape(text if len(text) <= 40 else text[:_SHOWN_DIGEST] + "…")


def print_training(training: TrainingSet, *, as_json: bool) -> None:
    """A training set: its parts, what was left out, and the seal."""
    manifest = training.manifest
    if as_json:
        output.print_json({"training": training.name, "folder": str(training.folder), "manifest": to_json(manifest)})
        return
    out = output.out
    parts = " and ".join(f"{count:,} {part}" for part, count in manifest.examples.items())
    origins = ", ".join(f"{count:,} of {origin}" for origin, count in manifest.origins.items())
    out.print(f"[bold]training set {escape(training.name)}[/]: {parts} examples ({origins})", soft_wrap=True)
    out.print(f"learned from {len(manifest.documents):,} documents, sealed by {manifest.root}", soft_wrap=True)
    for reason, count in manifest.left_out.items():
        out.print(f"left out: {count:,} {escape(reason)}", soft_wrap=True)
    if manifest.false_negatives:
        out.print(f"{manifest.false_negatives:,} passages too near to an answer were not taken for negatives")
    check = manifest.pseudonyms
    if check is None:
        out.print("people in the queries stand as they are: no pseudonymiser was at work", style="yellow")
    else:
        replaced = sum(check.replaced.values())
        ends = check.miss_rate_ci95
        rate = f" [{ends[0]:.1%}, {ends[1]:.1%}]" if ends else ""
        out.print(
            f"{replaced:,} mentions of people replaced; {check.detector} misses {check.missed} of {check.labelled}"
            f"{rate} in {escape(check.sample)}",
            soft_wrap=True,
        )
    out.print(f"next: freehold tune plan --data {escape(training.name)}", soft_wrap=True)


def print_plan(plan: TuningPlan, *, as_json: bool) -> None:
    """What is worth training, and why."""
    if as_json:
        output.print_json(to_json(plan))
        return
    out, failures = output.out, plan.failures
    examples = " and ".join(f"{count:,} {part}" for part, count in plan.examples.items())
    out.print(f"{examples} examples; nDCG@10 {plan.ndcg:.3f} on the dev part as it serves")
    out.print(
        f"{failures.queries} questions: {failures.found} answered among the first ten, {failures.buried} below, "
        f"{failures.missed} not among the candidates; of those that fail {failures.ambiguous} are ambiguous",
        soft_wrap=True,
    )
    table = output.plain_table("worth it", "what", "minutes", "why")
    for advice in plan.advice:
        minutes = f"{advice.minutes:.0f}" if advice.minutes >= 1 else "under 1"
        table.add_row("yes" if advice.worth else "no", advice.what, minutes, escape(advice.why))
    out.print(table)
    if plan.verdict_queries:
        out.print(
            f"a verdict at margin {plan.margin:g} takes some {plan.verdict_queries:,} questions for a change that "
            "moves as many results as reranking does, and fewer for one that gains",
            soft_wrap=True,
        )
    best = next((advice for advice in plan.advice if advice.worth), None)
    if best:
        out.print(f"next: {escape(best.command)}", soft_wrap=True)
