"""``freehold backup`` and ``restore``: their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freehold.cli import output
from freehold.cli.common import Json, open_house
from freehold.core.records import to_json

KeyFile = Annotated[Path, typer.Option("--keys", metavar="FILE", help="The key file: kept apart from the backup.")]


def backup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of the backup; one that is there is brought up to date.")],
    keys: KeyFile,
    forget: Annotated[
        bool,
        typer.Option("--forget-key-file", help="Make no backup: the key file was destroyed, take it off the list."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Back the house up, every document under a key that an erasure can destroy."""
    from freehold.backup import backup as made
    from freehold.key_files import forget_key_file

    with open_house(context) as house, output.progress_bars() as progress:
        if forget:
            forget_key_file(house, keys)
            return
        done = made(house, folder, keys, progress=progress)
    if as_json:
        output.print_json(to_json(done))
    else:
        output.out.print(f"{done.units} units, {done.written} of them new, {done.size_mb:.1f} MB", soft_wrap=True)
        output.out.print(f"keep {keys} apart from it: without one the other is of no use", soft_wrap=True)


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of the backup.")],
    keys: KeyFile,
    as_json: Json = False,
) -> None:
    """Make a house anew, at --house, from a backup: what was erased since stays out."""
    from freehold.erasing.erase import reprobe
    from freehold.restore import restore as restored

    to = Path(context.obj).resolve()
    with output.progress_bars() as progress:
        done = restored(folder, keys, to, check=lambda house: reprobe(house, progress), progress=progress)
    if as_json:
        output.print_json({"house": str(to), **to_json(done)})
    else:
        told = f"{output.many(done.documents, 'document')} restored, {done.erased} units left out, since erased"
        output.out.print(told, soft_wrap=True)
