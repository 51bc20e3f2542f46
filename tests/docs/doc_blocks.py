"""The blocks of the documentation's pages: found, run, and compared with what the page shows.

- ``console``: lines that begin with ``$ `` are commands, ``> `` carries one on; what follows is its output.
- ``python``: run in the page's own namespace; a ``text`` block directly below is what it prints.
- ``toml``: a settings file, loaded.

In an output ``...`` stands for any text of its line, alone on a line for any number of lines. Figures with a decimal
point, signs and all, and random ids differ from machine to machine and run to run, and match any other; whole numbers
must be equal. Columns are as wide as their figures, so any number of blanks matches any other.
A comment ``<!-- not run: REASON -->`` above a block leaves it out. A command fails the page unless it ends with exit
code 0 or ``echo $?`` comes next. A page whose first lines hold ``<!-- continues: PAGE -->`` starts with PAGE's files.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

WIDTH = 88
"""Columns of the terminal that the pages show."""

_BLOCK = re.compile(
    r"(?:^<!-- not run:(?P<reason>[^\n]*)-->\n)?^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_CONTINUES = re.compile(r"\A(?:[^\n]*\n){0,3}?<!-- continues: (\S+) -->")
_SHELL = re.compile(r"[|<>;&$`*?~#\\\n]")
_QUOTED = re.compile(r"'[^']*'|\"[^\"$`\\]*\"")
_EXPORT = re.compile(r"export (\w+)=(\S+)")
_VARYING = re.compile(
    r"(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"|(?P<figure>[+-]?\d*\.\d+)"
    r"|(?P<blank> +)"
    r"|(?P<rest>\.\.\.)"
)
_MATCHES = {"id": r"[0-9a-f-]{36}", "figure": r"[+-]?\d*\.\d+", "blank": " +", "rest": r".*"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``shown`` is the ``text`` block directly below a ``python`` block; None where there is none."""

    language: str
    body: str
    line: int
    reason: str | None = None
    """Why it is not run; None where it is."""
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a console block and the output the page shows for it."""

    text: str
    shown: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page in order."""
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(page):
        reason = match["reason"]
        block = Block(
            match["language"], match["body"], page.count("\n", 0, match.start("body")), reason and reason.strip()
        )
        if (
            block.language == "text"
            and found
            and found[-1].language == "python"
            and not page[end : match.start()].strip()
        ):
            before = found.pop()
            block = Block(before.language, before.body, before.line, before.reason, block.body)
        found.append(block)
        end = match.end()
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a console block in order."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.body.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> ") and not found[-1][1]:
            found[-1][0].append(line[2:])
        elif line == ">" and not found[-1][1]:
            found[-1][0].append("")
        else:
            found[-1][1].append(line)
    return [Command("\n".join(text), "".join(f"{line}\n" for line in shown)) for text, shown in found]


def continues(page: str) -> str | None:
    """The page whose files this one starts with."""
    match = _CONTINUES.match(page)
    return match[1] if match else None


def agrees(shown: str, printed: str) -> bool:
    """Whether what was printed is what the page shows."""
    return re.fullmatch("".join(map(_line_pattern, _lines(shown))), "\n".join([*_lines(printed), ""])) is not None


def _line_pattern(line: str) -> str:
    if line == "...":
        return r"(?:.*\n)*?"
    pattern, end = "", 0
    for match in _VARYING.finditer(line):
        pattern += re.escape(line[end : match.start()]) + _MATCHES[match.lastgroup or "rest"]
        end = match.end()
    return pattern + re.escape(line[end:]) + "\n"


def _lines(text: str) -> list[str]:
    """Without trailing blanks, and without blank lines at either end."""
    return [line.rstrip() for line in text.strip("\n").rstrip().splitlines()]


@dataclass
class Session:
    """One reader following one page: a folder, variables, and the exit code of the last command."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    namespace: dict[str, object] = field(default_factory=lambda: {"__name__": "page"})
    exit_code: int = 0

    def python(self, code: str, *, name: str) -> str:
        """Run a block; what it printed."""
        printed = io.StringIO()
        with self._inside(), contextlib.redirect_stdout(printed):
            exec(compile(code, name, "exec"), self.namespace)
        return printed.getvalue()

    def command(self, text: str) -> str:
        """Run a command; what it printed on either channel. ``exit_code`` is set."""
        export = _EXPORT.fullmatch(text)
        if export:
            self.environment[export[1]] = export[2]
            return ""
        # Most commands are freehold's own: run in this process they cost no start of Python.
        if text.startswith("freehold ") and not _SHELL.search(_QUOTED.sub("", text)):
            return self._freehold(shlex.split(text))
        return self._shell(text)

    def _freehold(self, arguments: list[str]) -> str:
        from freehold.cli import main, output

        printed = io.StringIO()
        with (
            self._inside(),
            mock.patch.object(sys, "argv", arguments),
            mock.patch.object(main, "arm"),  # the guard would stay: this process runs more than the command
            _width(output.out, output.err),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            try:
                main.main()
                self.exit_code = 0
            except SystemExit as end:
                self.exit_code = end.code if isinstance(end.code, int) else int(bool(end.code))
        return printed.getvalue()

    def _shell(self, text: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", f"(exit {self.exit_code})\n{text}"],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": str(WIDTH), "PATH": path, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
            check=False,
        )
        self.exit_code = done.returncode
        return done.stdout

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        path = [str(self.folder), *sys.path]
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, self.environment),
            mock.patch.object(sys, "path", path),
        ):
            yield


@contextlib.contextmanager
def _width(*consoles: object) -> Iterator[None]:
    """Consoles as wide as the pages' terminal."""
    with contextlib.ExitStack() as stack:
        for console in consoles:
            stack.enter_context(mock.patch.object(console, "_width", WIDTH))
        yield


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where a page shows something else than what happens."""

    line: int
    what: str
    shown: str
    printed: str
    exit_code: int = 0


def differences(page: str, session: Session, *, name: str) -> Iterator[Difference]:
    """Run the blocks of a page in order; each place where it is wrong."""
    for block in blocks(page):
        if block.reason is not None:
            continue
        if block.language == "python":
            printed = session.python("\n" * block.line + block.body, name=name)
            if block.shown is not None and not agrees(block.shown, printed):
                yield Difference(block.line, block.body, block.shown, printed)
        if block.language == "console":
            yield from _console_differences(block, session)


def _console_differences(block: Block, session: Session) -> Iterator[Difference]:
    found = commands(block)
    for command, following in zip(found, [*found[1:], None], strict=True):
        printed = session.command(command.text)
        may_fail = following is not None and following.text == "echo $?"
        failed = session.exit_code != 0 and not may_fail
        if failed or not agrees(command.shown, printed):
            yield Difference(block.line, command.text, command.shown, printed, session.exit_code if failed else 0)
