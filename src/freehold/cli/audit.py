"""``freehold audit``: what an auditor asks of a house."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.core.errors import UsageError
from freehold.core.files import write_durably
from freehold.core.records import to_json
from freehold.proof import merkle
from freehold.proof.note import opened, verifier_key
from freehold.store.ledger import HouseLedger

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
        seen = _witnessed(ledger, witness) if witness else "unwitnessed: whoever runs the house could rewrite it"
        if seen.startswith("broken"):
            problems.append(seen)
        checkpoint = ledger.checkpoint()
        key = verifier_key(checkpoint.origin, ledger.public) if checkpoint else ""
    told = {
        "leaves": [{"number": since + at, **to_json(leaf)} for at, leaf in enumerate(leaves)],
        "size": checkpoint.size if checkpoint else 0,
        "root": checkpoint.root.hex() if checkpoint else "",
        "key": key,
        "witness": seen,
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
        output.out.print(f"{told['size']} leaves, root {str(told['root'])[:16]}, {seen}", soft_wrap=True)
        for problem in problems:
            output.out.print(f"[red]{problem}[/]", soft_wrap=True)
        if verify and not problems:
            output.out.print("[green]whole: every leaf, hash and signature fits[/]")
    raise typer.Exit(1 if problems else 0)


def _witnessed(ledger: HouseLedger, path: Path) -> str:
    """Whether the ledger goes on from what the witness saw last; the file is brought up to date if it does."""
    checkpoint = ledger.checkpoint()
    if checkpoint is None:
        return "nothing to witness"
    note = (ledger.root / "checkpoint").read_text(encoding="utf-8")
    told = f"witnessed up to leaf {checkpoint.size - 1}"
    if path.exists():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            before = opened(kept["checkpoint"], bytes.fromhex(kept["key"]))
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(
                f"{path} is no witness's file", hint="give one that --witness wrote, or a new name"
            ) from None
        if kept["key"] != ledger.public.hex():
            return "broken: the ledger is signed with another key than the witness saw"
        hashes = ledger.hashes()
        if before.origin != checkpoint.origin or before.size > len(hashes):
            return "broken: the witness saw more than there is, or another ledger"
        proof = merkle.consistency(hashes, before.size)
        if not merkle.verify_consistency(before.size, checkpoint.size, proof, before.root, merkle.root(hashes)):
            return f"broken: something before leaf {before.size} is not what the witness saw"
        told += f", which saw {before.size} before"
    write_durably(path, json.dumps({"key": ledger.public.hex(), "checkpoint": note}).encode())
    return told
