"""``freehold serve`` and ``freehold keys``: the house as a service, and who may use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.markup import escape

from freehold.cli import output
from freehold.cli.common import Json
from freehold.core.errors import SettingsError, UsageError
from freehold.core.records import to_json
from freehold.endpoints import is_loopback

if TYPE_CHECKING:
    from freehold.serving.keys import Keys, Scope

keys_app = typer.Typer(help="Who may use the service: keys, shown once.", no_args_is_help=True)
Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME", help="Sees documents of this group; default: all.")
]


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on; default: settings.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="TCP port; default: settings.")] = None,
    mcp: Annotated[
        Literal["stdio"] | None, typer.Option(help="Be the server of one MCP client, on standard input and output.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(metavar="SCOPE", help="With --mcp: what its tools may do; default: ask.")
    ] = None,
) -> None:
    """Serve the house over HTTP: search, ask, documents, what OpenAI's clients speak, and MCP at /mcp."""
    if mcp:
        _serve_stdio(Path(context.obj), scope or ["ask"])
        return
    if scope:
        raise UsageError("--scope is of --mcp stdio", hint="over HTTP each key has its own: freehold keys add")
    try:
        from freehold.console.app import add as add_console
        from freehold.http.server import run
    except ImportError as e:
        raise SettingsError(f"{e.name} is not installed", hint="pip install 'freehold[server]'") from None
    from freehold.serving.service import Service

    service = Service(Path(context.obj))
    part = service.settings.server
    host, port = host or part.host, part.port if port is None else port
    if not any(not key.revoked for key in service.keys.all()) and not part.oidc_issuer:
        hint = "freehold keys add NAME --scope ask --scope ingest"
        if not is_loopback(host):
            raise SettingsError("nobody has a key, and the service would listen beyond this machine", hint=hint)
        output.err.print(f"[yellow]nobody has a key yet:[/] {escape(hint)}", soft_wrap=True)
    output.err.print(f"starting on http://{host}:{port}", soft_wrap=True)
    run(service, add_console, host=host, port=port)


def _serve_stdio(root: Path, scopes: list[str]) -> None:
    from freehold.serving.service import Service

    checked = _scopes(scopes)
    try:
        from freehold.http.mcp import stdio
    except ImportError as e:
        raise SettingsError(f"{e.name} is not installed", hint="pip install 'freehold[server]'") from None
    stdio.run(Service(root, engines=1), checked)


@keys_app.command("add")
def add_key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the program or role that uses it.")],
    scope: Annotated[
        list[str] | None, typer.Option(metavar="SCOPE", help="ask, ingest, admin or dpo; repeatable.")
    ] = None,
    group: Groups = None,
    days: Annotated[int, typer.Option(min=0, help="How long it is valid; 0: without end.")] = 0,
    as_json: Json = False,
) -> None:
    """Make a key. It is printed once, and kept nowhere."""
    key, secret = _keys(context).add(name, _scopes(scope or ["ask"]), groups=group, days=days)
    _print_made(secret, to_json(key), as_json=as_json)


def _scopes(names: list[str]) -> list[Scope]:
    from freehold.serving.keys import SCOPES

    unknown = sorted(set(names) - set(SCOPES))
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no scope", hint=f"one of: {', '.join(SCOPES)}")
    return cast("list[Scope]", names)


@keys_app.command("list")
def list_keys(context: typer.Context, as_json: Json = False) -> None:
    """List keys, with what they open."""
    keys = _keys(context).all()
    if as_json:
        output.print_json([{k: v for k, v in to_json(key).items() if k != "digest"} for key in keys])
        return
    table = output.plain_table("id", "name", "scopes", "groups", "created", "expires", "state")
    for key in keys:
        groups = "all" if key.groups is None else ", ".join(key.groups) or "none"
        state = f"revoked {key.revoked}" if key.revoked else "valid"
        scopes = ", ".join(key.scopes)
        table.add_row(key.id[:8], escape(key.name), scopes, escape(groups), key.created, key.expires or "never", state)
    output.out.print(table)


@keys_app.command("revoke")
def revoke_key(
    context: typer.Context, key: Annotated[str, typer.Argument(help="Its name, id, or the beginning of that.")]
) -> None:
    """From now on the key opens nothing, in a running service too."""
    revoked = _keys(context).revoke(key)
    output.out.print(f"{escape(revoked.name)} ({revoked.id[:8]}) is revoked")


@keys_app.command("rotate")
def rotate_key(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="Its name, id, or the beginning of that.")],
    overlap: Annotated[int, typer.Option(min=0, metavar="DAYS", help="How long the one before stays valid.")] = 0,
    as_json: Json = False,
) -> None:
    """Make another secret with the same rights."""
    made, secret = _keys(context).rotate(key, overlap_days=overlap)
    _print_made(secret, to_json(made), as_json=as_json)


def _print_made(secret: str, key: dict[str, object], *, as_json: bool) -> None:
    key = {name: value for name, value in key.items() if name != "digest"}
    if as_json:
        output.print_json({**key, "key": secret})
        return
    output.out.print(secret, soft_wrap=True, markup=False)
    output.err.print("It is shown this once: keep it where secrets are kept.")


def _keys(context: typer.Context) -> Keys:
    from freehold import config
    from freehold.serving.keys import Keys

    root = Path(context.obj)
    config.load(root / config.FILE_NAME)  # is it a house?
    return Keys(root)
