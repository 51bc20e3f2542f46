"""The rules of the audit of a house, a file for each theme. A new rule is a function in one of them."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import Rule, Rules

house_rules: Rules[HouseFacts] = Rules()
"""What the files beside this one declare their rules with."""


def all_rules() -> tuple[Rule[HouseFacts], ...]:
    """Every rule that a file beside this one declares, file by file."""
    for module in sorted(iter_modules(__path__), key=lambda module: module.name):
        import_module(f"{__name__}.{module.name}")
    return tuple(sorted(house_rules.all.values(), key=lambda rule: rule.look.__module__))  # whoever came first
