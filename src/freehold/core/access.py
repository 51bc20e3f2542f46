"""Who may see which documents: a document belongs to groups, and a caller is somebody who is in groups.

A document of no group is for everybody who may search the house. A group is named after work, not after a person: its
name is no text, and is not looked through when somebody is to be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from freehold.core.errors import UsageError

Groups = tuple[str, ...]
"""Names in ascending order, none twice. Empty: everybody's."""

FIELD = "\0access"
"""The filter field that holds the label of a document's groups. What a document says of itself is laid below it, and a
query's own filter may not name it."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks. Where None stands in place of a caller, nothing is held back: the command line, an owner."""

    groups: frozenset[str] = frozenset()

    def sees(self, groups: Collection[str]) -> bool:
        """Whether a document of these groups is theirs to see."""
        return not groups or not self.groups.isdisjoint(groups)


def is_name(word: str) -> bool:
    """Whether a group may be called so."""
    return _NAME.fullmatch(word) is not None


def checked(names: Iterable[str]) -> Groups:
    """Names of groups as a document keeps them. Raises UsageError for what is no name of a group."""
    groups = tuple(sorted(set(names)))
    if not all(map(is_name, groups)):
        hint = "begin with a small letter or a digit; then small letters, digits, '.', '_' and '-', 64 signs at most"
        raise UsageError("that is no name of a group", hint=hint)
    return groups


def label(groups: Iterable[str]) -> str:
    """A set of groups in one word, by which it is filtered: no two sets have the same. Raises UsageError."""
    return ",".join(checked(groups))


def of_label(word: str) -> Groups:
    """The set of groups that has this label."""
    return tuple(word.split(",")) if word else ()


def may_see(caller: Caller | None, word: str) -> bool:
    """Whether what has this label is the caller's to see."""
    return caller is None or caller.sees(of_label(word))
