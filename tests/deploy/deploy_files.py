"""The files under deploy/, the commands that they run, and the tools that they are looked at with, where those are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from freehold.cli.main import app

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
CHART = DEPLOY / "helm" / "freehold"
_TOOLS = REPOSITORY / ".deploy" / "bin"
"""Of `make deploy-check`."""

# `sudo -u freehold freehold --house /srv/house ask`: the user before it is none.
_COMMAND = re.compile(r"\bfreehold (?!freehold\b)(?:--house \S+ )?(?P<rest>[a-z][a-z-]+\b[^\n|&;`#}]*)")


def tool(name: str) -> str:
    """The path of a tool; the test is skipped where there is none."""
    found = shutil.which(name, path=f"{_TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"no {name} here: make deploy-check")
    return found


def run(*command: str | Path, cwd: Path = DEPLOY, env: dict[str, str] | None = None) -> str:
    """What a command prints; an AssertionError with all of it where it fails."""
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def files() -> list[Path]:
    """Every file here."""
    return sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def documents(path: Path) -> list[Any]:
    """The documents of a YAML file."""
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one is not None]


def written_commands(text: str) -> Iterator[list[str]]:
    """The words after ``freehold`` of each command in a text."""
    for match in _COMMAND.finditer(text):
        yield [word.strip("\"'.,:;()") for word in match["rest"].split()]


def problem_with(words: Sequence[str]) -> str:
    """What is wrong with a command line of Freehold; empty where its verbs and options are there."""
    command: Any = typer.main.get_command(app)
    left = list(words)
    while getattr(command, "commands", None) and left and not left[0].startswith("-"):
        found = command.commands.get(left[0])
        if found is None:
            # A word after a whole command is prose: "freehold requests shows".
            return f"no command {left[0]}" if len(left) == len(words) or not command.invoke_without_command else ""
        command, left = found, left[1:]
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    unknown = [word for word in left if word.startswith("--") and word not in known]
    return f"{command.name} has no {', '.join(unknown)}" if unknown else ""
