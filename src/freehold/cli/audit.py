"""``freehold audit``: what an auditor asks of a house."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.core.records import to_json
from freehold.proof.note import verifier_key
from freehold.witness import Witnessed
from freehold.witness import witness as witnessed

audit_app = typer.Typer(help="What an auditor asks: the ledger, and whether it is whole.", no_args_is_help=True)


@audit_app.callback()
def _audit() -> None:
    pass


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
