"""The command ``freehold``: verbs, their options, and what they print. No logic of its own."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from freehold import __version__
from freehold.cli import (
    access,
    audit,
    backup,
    cost,
    erase,
    loadtest,
    measure,
    measured,
    models,
    output,
    purge,
    records,
    schedule,
    serve,
    traffic,
    tune,
    watch,
    where,
)
from freehold.cli.access import AsGroupOption, GroupOption
from freehold.cli.common import Json, open_house
from freehold.cli.demo import print_demo
from freehold.core.egress import arm
from freehold.core.errors import FreeholdError, HouseFault, UsageError
from freehold.core.fence import Override
from freehold.detectors import RAMPART

app = typer.Typer(
    name="freehold",
    help="Search and answer from your own documents, on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # tracebacks with local variables would print people's words
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models.models_app, name="models")
app.add_typer(tune.tune_app, name="tune")
app.add_typer(measure.experiments_app, name="experiments")
app.add_typer(audit.audit_app, name="audit")
app.add_typer(access.access_app, name="access")
app.add_typer(erase.requests_app, name="requests")
app.add_typer(erase.subject_app, name="subject")
app.add_typer(erase.hold_app, name="hold")
app.add_typer(records.records_app, name="records")
app.add_typer(schedule.schedule_app, name="schedule")
app.add_typer(serve.keys_app, name="keys")
app.add_typer(traffic.traffic_app, name="traffic")

ModeOption = Annotated[
    Literal["hybrid", "dense", "lexical"] | None, typer.Option("--mode", help="Which legs to ask; default: settings.")
]
FilterOption = Annotated[
    list[str] | None, typer.Option("--filter", metavar="KEY=VALUE", help="Only documents with this field; repeatable.")
]
FieldOption = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="KEY=VALUE", help="Give the documents a field to filter by; repeatable."),
]


@app.callback(invoke_without_command=True)
def _global(
    context: typer.Context,
    house: Annotated[Path, typer.Option("--house", envvar="FREEHOLD_HOUSE", help="Folder of the house.")] = Path(),
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        output.out.print(f"freehold {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise UsageError("no verb given", hint="freehold --help lists them")
    context.obj = house


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it may exist and be empty.")],
    name: Annotated[str, typer.Option(help="Name shown in reports; default: the folder's.")] = "",
    languages: Annotated[str, typer.Option(help="Languages of the documents, comma-separated ISO 639-1 codes.")] = "en",
    pull: Annotated[
        bool, typer.Option(help="Pull the embedding model, and what finds people in training text, where missing.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Make a house: a folder with its settings and stores."""
    from freehold.house import House

    values = {
        "house.name": name or folder.resolve().name,
        "house.languages": tuple(code.strip() for code in languages.split(",")),
    }
    with House.create(folder, values) as house:
        model = house.settings.embedder_model
    if pull:
        for needed in (model, RAMPART):
            models.pull_model(needed, to=None)
    if as_json:
        output.print_json({"house": str(folder.resolve()), "model": model})
    else:
        place = escape(str(folder))
        output.out.print(f"a house stands in [bold]{place}[/], its embedder is {model}", soft_wrap=True)
        output.out.print(f"next: freehold --house {place} ingest PATH...", soft_wrap=True)


@app.command()
def ingest(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders.")] = None,
    beir: Annotated[Path | None, typer.Option(help="A folder in the BEIR layout; record ids become sources.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Forget documents whose file under PATH is gone.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --prune: also when nothing is left under PATH.")] = False,
    field: FieldOption = None,
    group: GroupOption = None,
    allow_erased: Annotated[
        Override | None, typer.Option(help="Let in what names somebody who was erased, for this reason.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read documents into the house: unchanged ones are skipped, changed ones replaced, bad ones quarantined."""
    if bool(paths) == bool(beir):
        raise UsageError(
            "nothing to ingest" if not paths else "paths and --beir at once", hint="give PATH... or --beir"
        )
    fields = _pairs(field, "--field")
    with open_house(context) as house, output.progress_bars() as progress:
        if beir:
            report = house.ingest_beir(
                beir, fields=fields, groups=group or None, fenced=allow_erased is None, progress=progress
            )
        else:
            report = house.ingest(
                paths or [],
                prune=prune,
                emptied=yes,
                fields=fields,
                groups=group or None,
                fenced=allow_erased is None,
                progress=progress,
            )
        if allow_erased is not None:
            house.ledger.append(
                "fence.overridden", counts={"documents": report.documents}, codes={"reason": allow_erased}
            )
    if as_json:
        output.print_json(output.ingest_json(report))
    else:
        output.print_ingest(report)


@app.command()
def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", "--top", min=1, max=1000, help="How many hits.")] = 10,
    mode: ModeOption = None,
    filter: FilterOption = None,
    as_group: AsGroupOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show rank and score in each leg.")] = False,
    as_json: Json = False,
) -> None:
    """Find the passages that answer best."""
    with open_house(context) as house:
        asked = _pairs(filter, "--filter")
        found = house.search(query, k=k, plan=house.plan(mode), filter=asked, caller=access.caller(as_group))
    if as_json:
        output.print_json(output.found_json(found, explain=explain))
    else:
        output.print_found(found, explain=explain)


@app.command()
def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="The question, in words.")],
    mode: ModeOption = None,
    filter: FilterOption = None,
    as_group: AsGroupOption = None,
    as_json: Json = False,
) -> None:
    """Answer from the documents, with citations; or say that they do not hold the answer."""
    with open_house(context) as house, output.draft(quiet=as_json) as on_text:
        asked, caller = _pairs(filter, "--filter"), access.caller(as_group)
        answer = house.ask(question, plan=house.plan(mode), filter=asked, caller=caller, on_text=on_text)
    if as_json:
        output.print_json(output.answer_json(answer))
    else:
        output.print_answer(answer)


app.command("eval")(measure.evaluate)
app.command()(measure.gate)
app.command()(erase.erase)
app.command()(erase.retrain)
app.command()(erase.survey)
app.command()(purge.purge)
app.command()(erase.verify)
app.command()(backup.backup)
app.command()(backup.restore)
app.command()(serve.serve)
app.command()(loadtest.loadtest)
app.command()(cost.cost)
app.command()(watch.watch)


@app.command()
def doctor(
    context: typer.Context,
    residency: Annotated[
        bool,
        typer.Option("--residency", help="Show instead what leaves the house, to whom and why, and what was stopped."),
    ] = False,
    statement: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --residency: write it there, signed, and into the ledger.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what the house holds, every setting and where it came from, and whether its models are sound."""
    if statement is not None and not residency:
        raise UsageError("--statement is of --residency", hint="freehold doctor --residency --statement FILE")
    with open_house(context) as house:
        if residency:
            from freehold.residency.report import residency as reported
            from freehold.stating import state

            report = state(house, statement) if statement else reported(house.settings, house.root)
            where.print_residency(report, as_json=as_json)
            return
        health = house.health()
    output.print_doctor(health, as_json=as_json)


@app.command()
def demo(
    keep: Annotated[Path | None, typer.Option(help="Make the demo house here and keep it.")] = None,
    report: measure.Report = None,
    as_json: Json = False,
) -> None:
    """Ingest the papers of a fictional insurer, measure the search on them, and ask a question in each language."""
    from freehold.demo.walk import walk

    with output.progress_bars() as progress, output.download_bar() as download:
        shown = walk(keep, progress=progress, download=download)
    if report:
        measured.write(report, shown.page.encode())
    print_demo(shown, as_json=as_json)


def _pairs(items: Sequence[str] | None, option: str) -> Mapping[str, str]:
    pairs = [item.partition("=") for item in items or ()]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise UsageError(f"{option} takes KEY=VALUE", hint=f"for example {option} language=en")
    return {key: value for key, _, value in pairs}


def main() -> None:
    """Run the command and end the process with the documented exit code."""
    as_json = "--json" in sys.argv
    arm()  # before anything that could speak to somebody: what may be reached is learnt when a house is opened
    try:
        app()
    except FreeholdError as error:
        output.print_error(error, as_json=as_json)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output, head for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:  # the last boundary: our fault, told without people's words
        if os.environ.get("FREEHOLD_DEBUG"):
            traceback.print_exc()
        hint = "run it again with FREEHOLD_DEBUG=1 and report what it prints"
        output.print_error(HouseFault(f"internal fault ({type(error).__name__})", hint=hint), as_json=as_json)
        sys.exit(HouseFault.exit_code)
