"""The conformance suite of the ``Holder`` port: subclass ``HolderCase`` in a test module and run pytest.

    class TestMyHolder(HolderCase):
        def furnish(self, root: Path) -> None: ...
        def open(self, root: Path) -> AbstractContextManager[Holder]: ...
        def target(self, root: Path) -> Target: ...
        def traces(self, root: Path) -> Sequence[bytes]: ...
        def rest(self, root: Path) -> object: ...

There are no exemptions: whatever keeps bytes about people passes it whole. Needs pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import get_args

import pytest

from freehold.core.erasure import Holder, Level, Target
from freehold.core.faults import KILL_AT

KILLED = -9


class HolderCase:
    """What every holder does. ``root`` is a fresh folder."""

    steps: Sequence[str] = ()
    """Names of the steps (``freehold.core.faults``) that ``erase`` goes through: a kill is tried at each."""

    def furnish(self, root: Path) -> None:
        """Have the holder keep something about one who is to be forgotten, and something about others."""
        raise NotImplementedError

    def open(self, root: Path) -> AbstractContextManager[Holder]:
        """The holder over what was furnished, as a new process would open it."""
        raise NotImplementedError

    def target(self, root: Path) -> Target:
        """The one to forget. Called before anything is erased."""
        raise NotImplementedError

    def traces(self, root: Path) -> Sequence[bytes]:
        """Bytes that stand in the holder's files because of the one to forget, and for no other reason.

        Read from the files' form, before anything is erased: text, a vector, a sealed file's head, a wrapped key.
        """
        raise NotImplementedError

    def rest(self, root: Path) -> object:
        """What is kept of others, in a form that compares equal as long as nothing of it was touched."""
        raise NotImplementedError

    def child(self) -> str:
        """Python that sets ``case`` to an instance of this class, run in a process that is killed."""
        return f"from {type(self).__module__} import {type(self).__name__}\ncase = {type(self).__name__}()"

    # -- what must hold ----------------------------------------------------------------------------------------------

    def test_it_has_a_name_and_a_level(self, tmp_path: Path) -> None:
        """They stand in the certificate."""
        self.furnish(tmp_path)
        with self.open(tmp_path) as holder:
            assert holder.name
            assert holder.level in get_args(Level)

    def test_it_lists_what_it_keeps_and_nothing_once_it_is_erased(self, tmp_path: Path) -> None:
        """By ids, without a word of what is kept."""
        self.furnish(tmp_path)
        target = self.target(tmp_path)
        with self.open(tmp_path) as holder:
            held = holder.holdings(target)
            assert held
            assert {one.holder for one in held} == {holder.name}
            holder.erase(target)
            assert not holder.holdings(target)

    def test_it_lists_nothing_for_a_stranger(self, tmp_path: Path) -> None:
        """Somebody of whom there is nothing."""
        self.furnish(tmp_path)
        with self.open(tmp_path) as holder:
            assert not holder.holdings(Target(frozenset({"nobody"}), frozenset({"none"}), frozenset({"nowhere"})))

    def test_no_byte_stays(self, tmp_path: Path) -> None:
        """In any file that it names, or any other below its folder; each was there before, or this tests nothing."""
        self.furnish(tmp_path)
        target, traces = self.target(tmp_path), self.traces(tmp_path)
        with self.open(tmp_path) as holder:
            assert traces
            assert all(_found(trace, list(holder.files())) for trace in traces)
            holder.erase(target)
            everything = [path for path in tmp_path.rglob("*") if path.is_file()]
            assert not [trace for trace in traces if _found(trace, list(holder.files()))]
            assert not [trace for trace in traces if _found(trace, everything)]

    def test_others_stay_as_they_are(self, tmp_path: Path) -> None:
        """Whatever is kept of others."""
        self.furnish(tmp_path)
        target, before = self.target(tmp_path), self.rest(tmp_path)
        with self.open(tmp_path) as holder:
            holder.erase(target)
        assert self.rest(tmp_path) == before

    def test_once_more_changes_nothing(self, tmp_path: Path) -> None:
        """So that whoever was interrupted can begin again."""
        self.furnish(tmp_path)
        target = self.target(tmp_path)
        with self.open(tmp_path) as holder:
            holder.erase(target)
        once = self.rest(tmp_path)
        with self.open(tmp_path) as holder:
            holder.erase(target)
            assert not holder.holdings(target)
        assert self.rest(tmp_path) == once

    def test_a_kill_anywhere_is_finished_by_the_next_call(self, tmp_path: Path) -> None:
        """At each of ``steps``, the kill itself included."""
        for number, step in enumerate(self.steps):
            root = tmp_path / str(number)
            root.mkdir()
            self.furnish(root)
            target, traces, before = self.target(root), self.traces(root), self.rest(root)
            assert _killed(self.child(), root, target, step), f"{step} was not reached"
            with self.open(root) as holder:
                holder.erase(target)
                assert not holder.holdings(target)
                assert not [trace for trace in traces if _found(trace, list(holder.files()))]
            assert self.rest(root) == before


def _found(trace: bytes, files: Sequence[Path]) -> bool:
    return any(trace in path.read_bytes() for path in files)


def _killed(child: str, root: Path, target: Target, step: str) -> bool:
    """Whether erasing in another process died at the step."""
    if target.finder is not None:
        pytest.skip("a finder cannot be handed to another process")
    ids = [sorted(target.documents), sorted(target.chunks), sorted(target.sources)]
    script = f"""
{textwrap.indent(child, "")}
from pathlib import Path
from freehold.core.erasure import Target
root = Path({str(root)!r})
target = Target(*map(frozenset, {ids!r}))
with case.open(root) as holder:
    holder.erase(target)
"""
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, KILL_AT: step}, check=False)
    return done.returncode == KILLED
