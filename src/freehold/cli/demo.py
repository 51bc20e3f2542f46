"""What the demo prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from freehold.cli.measured import experiment_json, print_experiment, side_by_side
from freehold.cli.output import answer_json, ingest_json, out, print_answer, print_ingest, print_json
from freehold.cli.versions import tuned_json

if TYPE_CHECKING:
    from freehold.demo.walk import DemoReport


def print_demo(report: DemoReport, *, as_json: bool) -> None:
    """What the demo did, how well the search does, three answers, and what to try next."""
    if as_json:
        print_json(
            {
                "ingest": ingest_json(report.ingest),
                "quality": experiment_json(report.experiment),
                "tuning": tuned_json(report.tuned) | {"gain": experiment_json(report.gain)},
                "answers": [{"question": question, **answer_json(answer)} for question, answer in report.answers],
            }
        )
        return
    out.rule("[bold]1. Ingest: the papers of Meridian, an insurer that does not exist[/]", align="left")
    print_ingest(report.ingest)
    out.print()
    out.rule("[bold]2. Measure: test questions in three languages[/]", align="left")
    print_experiment(report.experiment, as_json=False)
    out.print()
    out.rule("[bold]3. Tune: questions of the claims desk, in its own shorthand[/]", align="left")
    version, examples = report.tuned.version, report.tuned.training.manifest.examples
    counted = f"{examples['train']} examples to learn from, {examples['dev']} to choose on"
    out.print(f"A query adapter: {counted}; {version.seconds:.0f} s")
    out.print(side_by_side(report.gain, before="B", after="A"))
    for note in report.tuned.notes:
        out.print(f"note: {note}", soft_wrap=True)
    out.print()
    out.rule("[bold]4. Ask[/]", align="left")
    for question, answer in report.answers:
        out.print(Text(f"\n> {question}", style="green"))
        print_answer(answer, timings=False)
    out.print()
    out.rule("[bold]Next[/]", align="left")
    if report.kept:
        out.print(Text(f'freehold --house {report.house} ask "your question"'), soft_wrap=True)
    else:
        out.print("freehold demo --keep meridian       keep this house and ask it more")
    out.print("freehold init my-house              make your own (--languages en,de,fr)")
    out.print("freehold --house my-house ingest PATH...")
    out.print('freehold --house my-house ask "your question"')
