"""``freehold audit``: its options, and what it prints; and the ledger as an auditor asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.cli.measured import write as written
from freehold.core.errors import UsageError
from freehold.core.records import to_json
from freehold.proof.note import verifier_key
from freehold.witness import Witnessed
from freehold.witness import witness as witnessed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from freehold.auditing.finding import Report, Severity

audit_app = typer.Typer(
    help="What is wrong with a house or a service, in one report; and what an auditor asks of the ledger.",
    invoke_without_command=True,
)

_COLOURS: Mapping[Severity, str] = {"high": "red", "medium": "yellow", "low": "blue"}


@audit_app.callback()
def audit(
    context: typer.Context,
    house: Annotated[Path | None, typer.Option("--house", help="Folder of the house, as before the verb.")] = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Write the report here: .html, .json or .sarif; repeatable."),
    ] = None,
    fail_on: Annotated[
        Literal["high", "medium", "low"] | None,
        typer.Option("--fail-on", help="Exit 1 where there is a fault of this severity or a graver one."),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Labelled questions to measure by; default: gate.dataset's.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="Ask this rule alone; repeatable. audit rules lists them.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Audit this service instead: OpenAI's chat protocol, or --mapping."),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML: how the service is asked, and where its replies say what."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Audit a house: findings with severity, figures, the clause behind each, and the command that mends it."""
    if house is not None:
        context.obj = house
    if context.invoked_subcommand is not None:
        return
    from freehold.auditing import audit as auditing
    from freehold.auditing.forms import form_for, summary

    forms = {path: form_for(path) for path in out or ()}
    with output.progress_bars() as progress:
        if endpoint is None:
            report = auditing.audit(
                context.obj, questions=questions, only=only or (), keeping=not only, progress=progress
            )
        else:
            from freehold.auditing.service.audit import audit_service

            if questions is None:
                raise UsageError("--endpoint without --questions", hint="a file of labelled questions (docs/audit.md)")
            report = audit_service(endpoint, questions, mapping=mapping, progress=progress)
    for path, form in forms.items():
        written(path, form(report).encode())
    if as_json:
        output.print_json(summary(report))
    else:
        _print(report)
    if fail_on and report.fails(fail_on):
        raise typer.Exit(1)


@audit_app.command()
def rules(as_json: Json = False) -> None:
    """List the rules: what each asks, how grave its fault is, and what it stands on."""
    from freehold.auditing.finding import told_of
    from freehold.auditing.rules import all_rules

    asked = [told_of(rule) for rule in all_rules()]
    if as_json:
        output.print_json({"rules": asked})
        return
    table = output.plain_table("rule", "theme", "severity", "what is to be so")
    for rule in asked:
        table.add_row(*(str(rule[name]) for name in ("id", "theme", "severity", "title")))
    output.out.print(table)


def _print(report: Report) -> None:
    for finding in report.of("fault"):
        colour = _COLOURS[finding.severity]
        output.out.print(
            f"[{colour}]{finding.severity}[/] [bold]{finding.rule}[/]: {escape(finding.told)}", soft_wrap=True
        )
        output.out.print(f"  {escape('; '.join(finding.basis))}", soft_wrap=True)
        output.out.print(f"  to do: {escape(finding.fix)}", soft_wrap=True)
    if report.unsigned:
        output.out.print(f"no signed statement of where data goes: {escape(report.unsigned)}", soft_wrap=True)
    unjudged: dict[tuple[str, str], list[str]] = {}
    for finding in report.of("inconclusive"):
        unjudged.setdefault((finding.told, finding.fix), []).append(finding.rule)
    for (why, needs), names in unjudged.items():
        told = f"not judged {', '.join(names)}: {escape(why)}"
        output.out.print(f"{told}; needs {escape(needs)}" if needs else told, soft_wrap=True)
    counts = ", ".join(f"{report.faults[severity]} {severity}" for severity in _COLOURS)
    sound, unclear = len(report.of("sound")), len(report.of("inconclusive"))
    output.out.print(f"{report.subject}: {counts}; {unclear} not judged, {sound} sound", soft_wrap=True, markup=False)


@audit_app.command()
def log(
    context: typer.Context,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute everything from the leaves.")] = False,
    since: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Leaves from this number on.")] = 0,
    witness: Annotated[
        Path | None,
        typer.Option(help="A file that the auditor keeps elsewhere: checks that nothing before it was changed."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the ledger; with --verify and --witness say whether it is whole: exit 1 where it is not."""
    with open_house(context) as house:
        ledger = house.ledger
        leaves = list(ledger.leaves(since))
        problems = [f"{damage.where}: {damage.what}" for damage in ledger.verify()] if verify else []
        seen = (
            witnessed(ledger, witness) if witness else Witnessed("unwitnessed: whoever runs the house could rewrite it")
        )
        if seen.broken:
            problems.append(seen.told)
        checkpoint = ledger.checkpoint()
        key = verifier_key(checkpoint.origin, ledger.public) if checkpoint else ""
    told = {
        "leaves": [{"number": since + at, **to_json(leaf)} for at, leaf in enumerate(leaves)],
        "size": checkpoint.size if checkpoint else 0,
        "root": checkpoint.root.hex() if checkpoint else "",
        "key": key,
        "witness": seen.told,
        "verified": verify and not problems,
        "problems": problems,
    }
    if as_json:
        output.print_json(told)
    else:
        table = output.plain_table("", "when", "what", "of", "with")
        for at, leaf in enumerate(leaves, since):
            of = ", ".join(f"{name} {value[:8]}" for name, value in leaf.ids.items())
            rest = [f"{name} {value}" for name, value in (*leaf.counts.items(), *leaf.codes.items())]
            rest += [f"{name} {value[:8]}" for name, value in leaf.digests.items()]
            table.add_row(str(at), leaf.at[:19].replace("T", " "), leaf.kind, of, ", ".join(rest))
        output.out.print(table)
        output.out.print(f"{told['size']} leaves, root {str(told['root'])[:16]}, {seen.told}", soft_wrap=True)
        for problem in problems:
            output.out.print(f"[red]{problem}[/]", soft_wrap=True)
        if verify and not problems:
            output.out.print("[green]whole: every leaf, hash and signature fits[/]")
    raise typer.Exit(1 if problems else 0)
