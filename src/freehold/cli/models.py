"""``freehold models``: packaged models by name, and the house's own versions of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from freehold import config
from freehold.cli import output, versions
from freehold.cli.common import Json, open_house, passed

if TYPE_CHECKING:
    from freehold.house import House

models_app = typer.Typer(
    help="Models: packaged ones as pinned blobs, and the house's own versions, promoted through its gate.",
    no_args_is_help=True,
)
Reference = Annotated[str, typer.Argument(metavar="ID", help="Id of a version, the beginning of one, or latest.")]


@models_app.command("list")
def models_list(context: typer.Context, as_json: Json = False) -> None:
    """The packaged models and which of them are here; the versions of the house, where there is one."""
    from freehold.models.pull import available

    house: House | None = None
    if (context.obj / config.FILE_NAME).exists() or context.obj.name == config.FILE_NAME:
        house = open_house(context)
    output.print_models(available(), as_json=as_json, house=house)
    if house is not None:
        if not as_json:
            versions.print_versions(house)
        house.close()


@models_app.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="A name of the manifest, or hf:NAME@REVISION.")],
    to: Annotated[Path | None, typer.Option(help="Make a bundle for a machine without network here.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch a model from where the manifest says, check its weights, and prepare it for use."""
    folder = pull_model(name, to=to)
    if as_json:
        output.print_json({"model": name, "folder": str(folder)})
    else:
        output.out.print(f"{name} is in {escape(str(folder))}", soft_wrap=True)


@models_app.command("verify")
def models_verify(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name of the manifest, or the id of a version of the house.")],
    as_json: Json = False,
) -> None:
    """Compare a model's files with what the manifest, or a version's record, says of them."""
    from freehold.models.manifest import HUB_PREFIX, cards
    from freehold.models.pull import verify

    if name in cards() or name.startswith(HUB_PREFIX) or Path(name).exists():
        verify(name)
    else:
        with open_house(context) as house:
            house.registry.folder(house.registry.get(name).id)
    if as_json:
        output.print_json({"model": name, "sound": True})
    else:
        output.out.print(f"{name}: every file is as recorded")


@models_app.command("show")
def models_show(context: typer.Context, version: Reference = "latest", as_json: Json = False) -> None:
    """A version as it was recorded: base, training, figures, digests, and the documents that it learned from."""
    with open_house(context) as house:
        found = house.registry.get(version)
        versions.print_version(found, house, as_json=as_json)


@models_app.command("diff")
def models_diff(
    context: typer.Context,
    one: Reference,
    other: Annotated[str, typer.Argument(metavar="ID", help="Another one.")],
    as_json: Json = False,
) -> None:
    """What two versions have different: settings, training data, figures, files."""
    with open_house(context) as house:
        versions.print_difference(house, house.registry.get(one), house.registry.get(other), as_json=as_json)


@models_app.command("promote")
def models_promote(
    context: typer.Context,
    version: Reference,
    data: Annotated[Path | None, typer.Option(help="Labelled set to judge on; default: as the settings say.")] = None,
    split: Annotated[str, typer.Option(help="Its split; default: test, else dev, else the only one.")] = "",
    as_json: Json = False,
) -> None:
    """Put a version into service if the gate lets it: exit 0 if it did, 1 if not. What serves goes on meanwhile."""
    from freehold.tuning.promote import promote
    from freehold.tuning.tracking import tell_states

    with open_house(context) as house, output.progress_bars() as progress:
        before = house.registry.lineup()
        done = promote(house, version, data=data, split=split or None, call=passed(context), progress=progress)
        versions.print_promotion(done, as_json=as_json)
        tell_states(house, since=before)  # last: it serves, whatever becomes of this
    if not done.promoted:
        raise typer.Exit(1)


@models_app.command("rollback")
def models_rollback(context: typer.Context, as_json: Json = False) -> None:
    """Return to what served before the last promotion."""
    from freehold.tuning.promote import rollback
    from freehold.tuning.tracking import tell_states

    with open_house(context) as house, output.progress_bars() as progress:
        before = house.registry.lineup()
        lineup = rollback(house, progress=progress)
        versions.print_lineup(house, lineup, as_json=as_json)
        tell_states(house, since=before)


@models_app.command("remove")
def models_remove(context: typer.Context, version: Reference, as_json: Json = False) -> None:
    """Overwrite and remove a version that does not serve."""
    with open_house(context) as house:
        found = house.registry.get(version)
        house.registry.remove(found.id)
    if as_json:
        output.print_json({"removed": found.id})
    else:
        output.out.print(f"model version {found.id[:8]} is removed")


def pull_model(name: str, *, to: Path | None) -> Path:
    """Pull with a bar."""
    from freehold.models.pull import pull

    with output.download_bar() as progress:
        return pull(name, to=to, progress=progress)
