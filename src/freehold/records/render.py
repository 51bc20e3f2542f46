"""A record as Markdown, and as one self-contained HTML page: no script, no request, readable in print and the dark."""

from __future__ import annotations

import html
import re
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from freehold.records.lines import Line, Record

_CELL = re.compile(r"[\\`*_{}\[\]#|~]")
_BREAK = re.compile(r"\s+")
# What HTML does not allow, and what reorders the text around it: as in the report of an experiment.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")


def markdown(record: Record) -> str:
    """A heading, and a table for each section. What somebody wrote in the settings is no markup here."""
    out = [
        f"# {_plain(record.title)}: {_plain(record.house) or 'a house'}",
        "",
        f"{_plain(record.law)}. Made on {record.made} by Freehold. {_plain(record.about)}",
        "",
    ]
    if record.to_fill:
        out += ["To be filled in, in freehold.toml:", ""]
        out += [f"- `{key}`" for key in record.to_fill] + [""]
    for section in record.sections:
        out += [
            f"## {_plain(section.title)}",
            "",
            "| point | | what is known | evidence |",
            "| --- | --- | --- | --- |",
        ]
        out += [f"| {' | '.join(_row(line))} |" for line in section.lines] + [""]
    return _clean("\n".join(out))


def _row(line: Line) -> tuple[str, ...]:
    told = [*map(_plain, line.told), *(f"**to be filled in: `{key}`**" for key in line.to_fill)]
    evidence = "<br>".join(_plain(str(one)) for one in line.evidence)
    return _plain(line.point), _plain(line.topic), "<br>".join(told), evidence


def _plain(text: str) -> str:
    """Words that a reader of Markdown shows as they are, on one line."""
    return _CELL.sub(r"\\\g<0>", html.escape(_BREAK.sub(" ", text), quote=False))


def page(record: Record) -> str:
    """The record as an HTML document that can be written as UTF-8."""
    style = resources.files("freehold.measure.report").joinpath("page.css").read_text(encoding="utf-8")
    return _clean(_environment().get_template("record.html.j2").render(record=record, style=style).lstrip())


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", _REORDERING.sub("", text))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("freehold.records", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
