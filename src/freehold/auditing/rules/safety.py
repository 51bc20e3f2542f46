"""Rules on the settings themselves: that they hold, that they hold no secret, and what stands open by them."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import Seen, fault, sound
from freehold.auditing.rules import house_rules
from freehold.config import FILE_NAME, Secret
from freehold.records.facts import many

_SECRETS = re.compile(
    r"""(?ix)
    \b(?: sk-[\w-]{16,} | gh[pousr]_\w{20,} | glpat-[\w-]{16,} | xox[abprs]-[\w-]{10,} | AKIA[0-9A-Z]{16} | hf_\w{20,}
        | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}  # a JSON web token
    ) | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----
      | \b(?:api_?key|token|secret|password|passwd|pwd)\b \s*[=:]\s* ["']? (?!\s*\{) [^\s"'{},]{8,}
      | https?://[^\s/"':@]+:[^\s/"'@]+@
    """
)
"""Keys of well-known makers, private keys, passwords in addresses, and values of keys that say what they are."""
_REVEALED = 'set another one where it counts, and write { env = "NAME" } or { file = "PATH" } in its place'


@house_rules.rule(
    "settings-refused",
    theme="safety",
    severity="high",
    basis=("practice: a house whose settings are wrong does not open",),
)
def refused(_facts: HouseFacts) -> Iterator[Seen]:
    """The settings hold."""
    yield sound("the settings are as they must be: the house opened")


@house_rules.rule(
    "endpoint-undeclared",
    theme="people",
    severity="high",
    basis=("GDPR Art. 28, 30(1)(d), 44: who gets data, and where, is settled before it leaves",),
)
def undeclared(facts: HouseFacts) -> Iterator[Seen]:
    """Every endpoint is declared."""
    remote = facts.records.remote
    yield sound(f"{len(remote)} endpoints off this machine, all declared", {end.setting: end.host for end in remote})


@house_rules.rule(
    "secret-in-settings",
    theme="safety",
    severity="high",
    basis=("CWE-798: hard-coded credentials", "GDPR Art. 32(1)(b): confidentiality"),
)
def secrets(facts: HouseFacts) -> Iterator[Seen]:
    """No secret stands in the settings."""
    yield secrets_of(facts.settings_text)


def secrets_of(text: str) -> Seen:
    """What the text of a settings file gives away, comments included; lines are named, never what is in them."""
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _SECRETS.search(line)]
    if lines:
        told = f"{many(len(lines), 'line')} of {FILE_NAME} may hold a secret"
        return fault(told, {"lines": lines}, fix=_REVEALED, refs=[f"{FILE_NAME}:{number}" for number in lines])
    return sound(f"no line of {FILE_NAME} looks like it holds one", {"lines read": len(text.splitlines())})


@house_rules.rule(
    "secret-readable",
    theme="safety",
    severity="high",
    basis=("CWE-732: permissions on a critical resource", "GDPR Art. 32(1)(b): confidentiality"),
)
def readable(facts: HouseFacts) -> Iterator[Seen]:
    """Secrets are their owner's alone."""
    named = {key: value.file for key, value, _ in facts.settings.items() if isinstance(value, Secret) and value.file}
    paths = {key: Path(file).expanduser() for key, file in named.items() if file}
    open_to_all = [key for key, path in paths.items() if path.exists() and _is_open(path)]
    figures = {"files of secrets": len(paths), "readable by others": len(open_to_all)}
    if open_to_all:
        told = f"others on this machine can read {many(len(open_to_all), 'file')} of secrets"
        yield fault(told, figures, fix="`chmod 600 FILE` on each that the setting names", refs=open_to_all)
    else:
        yield sound(f"{len(paths)} files of secrets, none readable by others", figures)


@house_rules.rule(
    "service-open",
    theme="safety",
    severity="low",
    basis=("OWASP API Security 2023, API4: unrestricted consumption of resources",),
)
def unlimited(facts: HouseFacts) -> Iterator[Seen]:
    """Who listens to the network limits who asks."""
    part = facts.settings.server
    figures = {"server.host": part.host, "server.rate_per_s": part.rate_per_s}
    if part.host in {"0.0.0.0", "::"} and not part.rate_per_s:  # noqa: S104 - it is what is looked for
        told = "the service listens on all addresses, and a key may ask without limit"
        yield fault(told, figures, fix="server.rate_per_s in freehold.toml", refs=("server.rate_per_s",))
    else:
        yield sound(f"it listens on {part.host}", figures)


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
