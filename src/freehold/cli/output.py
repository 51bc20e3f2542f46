"""How the command line speaks: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from freehold.config import Secret
from freehold.core.errors import FreeholdError
from freehold.core.records import to_json

if TYPE_CHECKING:  # the engines behind these names take a second to load, and most calls need few of them
    from freehold.core.shelf import Quarantined
    from freehold.core.types import Answer, Hit
    from freehold.house import Health, House
    from freehold.journeys.ingest import IngestReport
    from freehold.journeys.ingest import Progress as Report
    from freehold.journeys.search import Found
    from freehold.models.pull import ModelState

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)

SNIPPET_CHARS = 300


def print_json(value: object) -> None:
    """One object on standard output, whatever its width."""
    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201


def print_error(error: FreeholdError, *, as_json: bool) -> None:
    """What went wrong and what to do next."""
    if as_json:
        print_json(error.as_dict())
    line = Text.assemble(("error: ", "bold red"), error.message)
    err.print(line, soft_wrap=True)
    if error.hint:
        err.print(Text.assemble(("hint:  ", "bold"), error.hint), soft_wrap=True)


@contextlib.contextmanager
def progress_bars() -> Iterator[Report]:
    """Bars on standard error, one per stage, that vanish when done; plain silence when it is not a terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_STAGES.get(stage, stage), total=total or None)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield report


@contextlib.contextmanager
def download_bar() -> Iterator[Callable[[str, int], None]]:
    """Bytes of a download as they arrive, on standard error."""
    columns = (SpinnerColumn(), TextColumn("downloading {task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def report(name: str, received_bytes: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=None)
            bars.update(tasks[name], completed=received_bytes)

        yield report


_STAGES = {
    "files": "finding files",
    "documents": "reading and embedding documents",
    "index": "building the index",
    "queries": "searching",
    "acronyms": "reading acronyms",
    "timing": "timing searches",
    "load": "searching under load",
    "answers": "asking",
    "trials": "trying settings",
    "people": "telling people apart",
    "erased": "erasing",
    "verify": "searching every file for what is left",
}


def ingest_json(report: IngestReport) -> dict[str, object]:
    """The JSON shape of an ingest."""
    values = dataclasses.asdict(report)
    values["quarantined"] = [_quarantined_json(q) for q in report.quarantined]
    values["refused"] = [_quarantined_json(q) for q in report.refused]
    values["seconds"] = round(report.seconds, 3)
    return values


def _quarantined_json(q: Quarantined) -> dict[str, str]:
    return {"path": q.source, "code": q.code, "reason": q.reason}


def print_ingest(report: IngestReport) -> None:
    """What an ingest did, its quarantine and its near-duplicates."""
    read = f"[bold]{many(report.documents, 'document')}[/] ({many(report.chunks, 'chunk')})"
    parts = [f"{read} in {report.seconds:.1f} s"]
    parts += [f"{n} {word}" for n, word in _counts(report) if n]
    out.print(", ".join(parts))
    if report.quarantined:
        out.print(f"\n[yellow]{many(len(report.quarantined), 'file')} could not be read and stay out:[/]")
        _print_quarantine(report.quarantined)
    if report.refused:
        out.print(f"\n[yellow]{many(len(report.refused), 'document')} refused:[/]")
        _print_quarantine(report.refused)
        out.print("if they may come in all the same, say why: --allow-erased namesake", soft_wrap=True)
    for one in report.stay:
        out.print(f"{one.document}  stays: {one.why}  {one.source}", soft_wrap=True, markup=False)
    if report.near_duplicates:
        out.print("\nnearly the same:")
        table = plain_table("document", "repeats", "similarity")
        for r in report.near_duplicates:
            table.add_row(Text(Path(r.source).name), Text(Path(r.of).name), f"{r.similarity:.2f}")
        out.print(table)


def _print_quarantine(quarantined: Sequence[Quarantined]) -> None:
    if quarantined:
        table = plain_table("file", "reason")
        for q in quarantined:
            table.add_row(Text(Path(q.source).name), Text(q.reason))
        out.print(table)


def many(count: int, what: str, plural: str = "") -> str:
    """A number and its noun, in the plural where it is not one."""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def _counts(report: IngestReport) -> list[tuple[int, str]]:
    return [
        (report.replaced, "of them replaced"),
        (report.skipped, "unchanged"),
        (report.removed, "removed"),
        (report.regrouped, "to other groups"),
        (report.chunks - report.embedded, "chunks reused"),
    ]


def hit_json(hit: Hit, *, explain: bool) -> dict[str, object]:
    """The JSON shape of a hit; with ``explain``, its rank and score in each leg."""
    values: dict[str, object] = {
        "rank": hit.rank,
        "chunk_id": hit.chunk_id,
        "document_id": hit.document_id,
        "source": hit.source,
        "title": hit.title,
        "page": hit.page,
        "start": hit.start,
        "end": hit.end,
        "score": hit.score,
        "unit": hit.unit,
        "language": hit.language,
        "heading_path": list(hit.heading_path),
        "text": hit.text,
    }
    if explain:
        values["legs"] = {leg: {"rank": s.rank, "score": s.score} for leg, s in hit.legs.items()}
    return values


def found_json(found: Found, *, explain: bool) -> dict[str, object]:
    """The JSON shape of a search."""
    hits = [hit_json(hit, explain=explain) for hit in found.hits]
    return {
        "hits": hits,
        "rerank_depth": found.rerank_depth,
        "rerank_left": found.rerank_left,
        "timings_ms": dict(found.timings_ms),
    }


def print_found(found: Found, *, explain: bool) -> None:
    """Hits for people: where, how good, and the beginning of the text."""
    if not found.hits:
        out.print("nothing found")
    for hit in found.hits:
        page = f", page {hit.page}" if hit.page else ""
        out.print(
            Text.assemble((f"{hit.rank:>2} ", "bold"), (hit.title or Path(hit.source).name, "bold cyan"), page)
            + Text(f"  {hit.score:.3f} {hit.unit}", style="dim")
        )
        if hit.heading_path[1:]:
            out.print(Text("   " + " > ".join(hit.heading_path[1:]), style="dim italic"))
        out.print(Text(_snippet(hit.text)), soft_wrap=False)
        if explain:
            legs = "   ".join(f"{leg}: rank {s.rank}, score {s.score:.4f}" for leg, s in sorted(hit.legs.items()))
            out.print(Text("   " + legs, style="dim"))
        out.print(Text(f"   {hit.source} [{hit.start}:{hit.end}]\n", style="dim"), soft_wrap=True)
    if explain and found.rerank_left:
        wanted = found.rerank_depth + found.rerank_left
        out.print(Text(f"reranked {found.rerank_depth} of {wanted}: reranker.budget_ms was used up", style="yellow"))
    out.print(Text(_timings(found.timings_ms), style="dim"))


def answer_json(answer: Answer) -> dict[str, object]:
    """The JSON shape of an answer."""
    return {
        "text": answer.text,
        "citations": [dataclasses.asdict(c) for c in answer.citations],
        "abstained": answer.abstained,
        "supported": answer.supported,
        "timings_ms": dict(answer.trace.timings_ms),
        "tokens": dict(answer.trace.tokens),
        "models": dict(answer.trace.models),
        "dropped": list(answer.trace.dropped),
        "rerank_depth": answer.trace.rerank_depth,
        "rerank_left": answer.trace.rerank_left,
        "cut": answer.trace.cut,
    }


def print_answer(answer: Answer, *, timings: bool = True) -> None:
    """An answer for people, each citation with its place and words."""
    out.print(Text(answer.text, style="dim" if answer.abstained else "bold"))
    if not answer.supported:
        out.print("[yellow]not every sentence is supported by the documents[/]")
    if answer.trace.cut:
        out.print("[yellow]the model was stopped before it was done[/]")
    for c in answer.citations:
        page = f", page {c.page}" if c.page else ""
        place = Text.assemble(
            (f"\n[{c.marker}] ", "bold"), (Path(c.source).name, "cyan"), page, f" [{c.start}:{c.end}]"
        )
        out.print(place, soft_wrap=True)
        out.print(Text("    " + _snippet(c.quote).strip(), style="italic"))
    if timings:
        out.print(Text("\n" + _timings(answer.trace.timings_ms), style="dim"))


def _snippet(text: str) -> str:
    flat = " ".join(text.split())
    return "   " + (flat if len(flat) <= SNIPPET_CHARS else flat[:SNIPPET_CHARS].rsplit(" ", 1)[0] + " …")


def _timings(timings_ms: Mapping[str, float]) -> str:
    return "  ".join(f"{stage} {ms:.1f} ms" for stage, ms in timings_ms.items())


def plain_table(*columns: str) -> Table:
    """A table without lines, its first column dim."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, style="dim" if column == columns[0] else None, overflow="fold")
    return table


@contextlib.contextmanager
def draft(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """The words of an answer as they come, on a terminal; they make room for the checked answer."""
    words = Text(style="dim")

    def append(piece: str) -> None:
        words.append(piece)

    with contextlib.ExitStack() as stack:
        if out.is_terminal and not quiet:
            stack.enter_context(Live(words, console=out, transient=True, refresh_per_second=12))
        yield append


def print_doctor(health: Health, *, as_json: bool) -> None:
    """The state of a house and of every setting."""
    settings, stats, generation = health.settings, health.stats, health.generation
    if as_json:
        print_json(
            {
                "stats": dataclasses.asdict(stats),
                "quarantined": [_quarantined_json(q) for q in health.quarantined],
                "generation": dataclasses.asdict(generation) if generation else None,
                "index_behind": health.index_behind,
                "embedder": {
                    "model": settings.embedder_model,
                    "made_by": health.made_by,
                    "state": health.model_state,
                },
                "settings": {
                    key: {"value": _plain_value(value), "origin": origin} for key, value, origin in settings.items()
                },
            }
        )
        return
    languages = ", ".join(f"{name} {n}" for name, n in sorted(stats.languages.items()))
    out.print(
        f"[bold]{many(stats.documents, 'document')}[/] ({languages or 'none yet'}), {many(stats.chunks, 'chunk')}"
    )
    out.print(f"{stats.quarantined} in quarantine, {many(stats.near_duplicates, 'near-duplicate')}")
    _print_quarantine(health.quarantined)
    state = "behind the catalog" if health.index_behind else "current"
    out.print(f"index: {f'{generation.name}, {state}' if generation else 'none yet'}", soft_wrap=True)
    out.print(escape(f"embedder: {settings.embedder_model}, {health.model_state}\n"), soft_wrap=True)
    table = plain_table("setting", "value", "from")
    for key, value, origin in settings.items():
        table.add_row(key, Text(str(_plain_value(value))), Text(origin, style="dim"))
    out.print(table)


def print_models(models: Sequence[ModelState], *, as_json: bool, house: House | None = None) -> None:
    """The manifest's models and which are here; as JSON the versions of the house as well."""
    rows = [
        {
            "name": model.card.name,
            "kind": model.card.kind,
            "licence": model.card.licence,
            "upstream": model.card.upstream,
            "size_bytes": sum(file.size_bytes for file in model.card.files),
            "languages": list(model.card.languages),
            "state": model.state,
            "folder": str(model.folder),
        }
        for model in models
    ]
    if as_json:
        versions = [{**to_json(v), "state": house.registry.state(v.id)} for v in house.registry.all()] if house else []
        print_json({"models": rows, "versions": versions})
        return
    table = plain_table("model", "kind", "size", "licence", "state")
    for row, model in zip(rows, models, strict=True):
        size = sum(file.size_bytes for file in model.card.files)
        table.add_row(model.card.name, model.card.kind, f"{size / 1e6:.0f} MB", model.card.licence, str(row["state"]))
    out.print(table)


def _plain_value(value: object) -> object:
    if isinstance(value, Secret):
        return f"a secret in {value.env or value.file}"
    return list(value) if isinstance(value, tuple) else value
