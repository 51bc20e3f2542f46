"""The tables that pages take from the code: settings, commands, errors, models, decisions.

A page holds ``<!-- table: NAME -->``, the table, and ``<!-- end -->``; ``python tests/docs/rewrite.py`` writes them.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import typer
import typer.models

from freehold import config
from freehold.auditing.rules import all_rules
from freehold.cli.main import app
from freehold.core import errors
from freehold.endpoints import Declared
from freehold.models.manifest import cards

REPOSITORY = Path(__file__).parents[2]
_TABLE = re.compile(r"(?<=<!-- table: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """The page with every table as the code has it now."""
    return _TABLE.sub(lambda match: f"{match[1]}{match[2]}\n{TABLES[match[1]]()}\n", page)


def named(page: str) -> set[str]:
    """The tables that a page holds."""
    return {match[1] for match in _TABLE.finditer(page)}


def settings() -> str:
    """A section for each section of the file, a row for each key."""
    return "\n".join(_section(name, kind) for name, kind in config.SECTIONS.items())


def _section(name: str, kind: type[Any]) -> str:
    about = (kind.__doc__ or "").partition(": ")[2].replace("\n", " ")
    hints = typing.get_type_hints(kind)
    rows = [
        (f"`{f.name}`", _type(hints[f.name]), _default(f.default), _bounds(f.metadata), _upper(f.metadata["help"]))
        for f in dataclasses.fields(kind)
    ]
    return f"### [{name}]\n\n{_upper(about)}\n\n" + _table(("key", "type", "default", "bounds", "meaning"), rows)


def _type(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(hint))
    if isinstance(hint, types.UnionType):
        return "reference to a secret"
    if hint == tuple[Declared, ...]:
        return "list of tables"
    if hint == tuple[str, ...]:
        return "list of strings"
    return {str: "string", int: "whole number", float: "number", bool: "true or false"}[hint]


def _default(value: object) -> str:
    if value is None:
        return "none"
    return f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _bounds(metadata: Mapping[str, Any]) -> str:
    low, high = metadata["low"], metadata["high"]
    if low is None:
        return "" if high is None else f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def commands() -> str:
    """A section for each command: what it does, how it is called, what it takes."""
    return "\n".join(_command(path, function) for path, function in _walk(app, "freehold"))


def _walk(group: typer.Typer, path: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    if group.registered_callback and group.registered_callback.callback:
        yield path, group.registered_callback.callback
    for command in group.registered_commands:
        if command.callback:
            yield f"{path} {command.name or command.callback.__name__}", command.callback
    for inner in group.registered_groups:
        if inner.typer_instance:
            yield from _walk(inner.typer_instance, f"{path} {inner.name}")


def _command(path: str, function: Callable[..., Any]) -> str:
    hints = typing.get_type_hints(function, include_extras=True)
    defaults = {p.name: p.default for p in inspect.signature(function).parameters.values()}
    parameters = [
        _Parameter(name, hint.__origin__, info, defaults[name])
        for name, hint in hints.items()
        for info in getattr(hint, "__metadata__", ())
    ]
    usage = " ".join([path, *(p.usage for p in parameters if p.is_argument), "[OPTIONS]"])
    if path == "freehold":
        usage = "freehold [OPTIONS] COMMAND"
    rows = [(f"`{p.spelling}`", _upper(p.info.help or ""), p.shown_default) for p in parameters]
    about = function.__doc__ or app.info.help or ""
    return f"### {path}\n\n{about}\n\n```text\n{usage}\n```\n\n" + _table(("", "meaning", "default"), rows)


@dataclasses.dataclass(frozen=True, slots=True)
class _Parameter:
    """An argument or option as the command line declares it."""

    name: str
    hint: Any
    info: typer.models.ParameterInfo
    default: Any

    @property
    def is_argument(self) -> bool:
        return isinstance(self.info, typer.models.ArgumentInfo)

    @property
    def is_required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def kinds(self) -> list[Any]:
        """The types it takes, None left out."""
        union = typing.get_origin(self.hint) in {types.UnionType, typing.Union}
        return [kind for kind in typing.get_args(self.hint) if kind is not types.NoneType] if union else [self.hint]

    @property
    def usage(self) -> str:
        metavar = self.name.upper() + ("..." if any(typing.get_origin(kind) is list for kind in self.kinds) else "")
        return metavar if self.is_required else f"[{metavar}]"

    @property
    def spelling(self) -> str:
        if self.is_argument:
            return self.usage.strip("[]")
        option = f"--{self.name.replace('_', '-')}"
        if self.hint is bool and self.default is True:
            return f"{option}, {option.replace('--', '--no-')}"
        # Inside Annotated the first spelling arrives as the default.
        declared = [str(name) for name in (self.info.default, *(self.info.param_decls or ())) if str(name)[:1] == "-"]
        names = ", ".join(declared or [option]).replace("/", ", ")
        return names if bool in self.kinds else f"{names} {self._placeholder}"

    @property
    def _placeholder(self) -> str:
        if self.info.metavar:
            return self.info.metavar
        kind = self.kinds[0]
        if typing.get_origin(kind) is Literal:
            return "|".join(typing.get_args(kind))
        return {Path: "PATH", str: "TEXT", int: "NUMBER", float: "NUMBER"}[kind]

    @property
    def shown_default(self) -> str:
        if self.is_required:
            return "required"
        default = "on" if self.default is True else f"`{self.default}`"
        if self.default is None or self.default is False or self.default in ("", ("", "")):
            default = ""
        return f"`${self.info.envvar}`, else {default}" if self.info.envvar else default


def error_tree() -> str:
    """A row for each error, children below their parent, with the meanings of the module's own drawing."""
    meanings = dict(re.findall(r"(\w+) +(?:exit \d+ +)?(\S.*)", errors.__doc__ or ""))
    rows = [
        (
            f"{'&emsp;' * depth}`{kind.__name__}`",
            f"`{kind.code}`",
            str(kind.exit_code),
            meanings.get(kind.__name__, "the root: every error raised on purpose"),
        )
        for depth, kind in _subclasses(errors.FreeholdError, 0)
    ]
    return _table(("error", "code", "exit", "raised for"), rows)


def _subclasses(kind: type[errors.FreeholdError], depth: int) -> Iterator[tuple[int, type[errors.FreeholdError]]]:
    yield depth, kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _subclasses(child, depth + 1)


def models() -> str:
    """A row for each model of the manifest."""
    rows = [
        (
            f"`{card.name}`",
            card.kind,
            ", ".join(card.languages),
            f"{card.size_bytes / 1e6:.0f} MB",
            card.licence,
            card.attribution,
        )
        for card in cards().values()
    ]
    return _table(("name", "kind", "languages", "size", "licence", "by"), rows)


def decisions() -> str:
    """A line for each record in ``docs/decisions``."""
    lines = []
    for path in sorted((REPOSITORY / "docs" / "decisions").glob("[0-9]*.md")):
        title = re.sub(r"^#\s*\d+\s*[.:]\s*", "", path.read_text(encoding="utf-8").splitlines()[0])
        lines.append(f"- {int(path.name[:4])}: [{title}](decisions/{path.name})\n")
    return "".join(lines)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


def rules() -> str:
    """What the audit of a house asks."""
    rows = [(f"`{one.id}`", one.theme, one.severity, one.title, "; ".join(one.basis)) for one in all_rules()]
    return _table(("rule", "theme", "severity", "what is to be so", "stands on"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "errors": error_tree,
    "models": models,
    "decisions": decisions,
    "rules": rules,
}
