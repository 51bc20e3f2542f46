"""How many mentions of a person the finder finds, by how they are written, on papers of its own making.

    python bench/privacy/subjects.py --save

A mention counts as found where it is certain; ``ask`` counts apart. Writes ``src/freehold/privacy/recall.json``, which
certificates quote, with the exact one-sided 95 % bound over all mentions that are found or asked about.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import unicodedata
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from scipy import stats

sys.path.insert(0, str(Path(__file__).parent.parent / "erasure"))
import town as towns

from freehold.privacy.subjects import open_finder, parse_subject

SEEDS = range(100, 104)
PEOPLE = 150
SENTENCES = (
    "On Tuesday {} wrote about the roof.", "Am Dienstag schrieb {} wegen des Daches.",
    "Mardi, {} a écrit au sujet du toit.",
)  # fmt: skip


def written(person: towns.Person, rng: random.Random) -> dict[str, str]:
    """Class of mention -> how it is written."""
    given, family = person.given, person.family
    plain = "".join(c for c in unicodedata.normalize("NFD", person.name) if not unicodedata.combining(c))
    umlauts = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "œ": "oe"})
    at = rng.randrange(1, len(family) - 2)
    return {
        "number": person.policy,
        "number, other separators": person.policy.replace("-", " "),
        "account": person.iban,
        "account, no blanks": person.iban.replace(" ", ""),
        "telephone": person.phone,
        "telephone, national": "0" + person.phone.removeprefix("+49 "),
        "mail": person.email.upper(),
        "full name": person.name,
        "capitals": person.name.upper(),
        "family name first": f"{family}, {given}",
        "middle name": f"{given} Marie {family}",
        "possessive": f"{person.name}'s",
        "no accents": plain,
        "umlauts spelled out": person.name.translate(umlauts),
        "over two lines": f"{given}\n{family}",
        "hyphenated": f"{given} {family[:at + 1]}-\n{family[at + 1:]}",
        "initial": f"{given[0]}. {family}",
        "letters changed places": f"{given} {family[:at]}{family[at + 1]}{family[at]}{family[at + 2:]}",
        "letter left out": f"{given} {family[:at]}{family[at + 1:]}",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true")
    save = parser.parse_args().save
    certain: dict[str, int] = defaultdict(int)
    asked: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    false = others = 0
    for seed in SEEDS:
        rng = random.Random(seed)
        people = towns.build(PEOPLE, seed).people
        for person in people:
            subject = parse_subject(
                [
                    ("name", person.name),
                    ("email", person.email),
                    ("policy", person.policy),
                    ("iban", person.iban),
                    ("phone", person.phone),
                ]
            )
            finder = open_finder(subject)
            for kind, mention in written(person, rng).items():
                found = finder.find(rng.choice(SENTENCES).format(mention))
                total[kind] += 1
                certain[kind] += any(f.band == "certain" for f in found)
                asked[kind] += bool(found) and not any(f.band == "certain" for f in found)
            other = rng.choice([p for p in people if p.name != person.name])
            for mention in written(other, rng).values():
                others += 1
                false += any(f.band == "certain" for f in finder.find(rng.choice(SENTENCES).format(mention)))
    for kind, n in total.items():
        low, high = _wilson(certain[kind], n)
        print(f"{kind:28} certain {certain[kind] / n:.3f} [{low:.3f}, {high:.3f}]  asked {asked[kind] / n:.3f}  of {n}")
    n, found = sum(total.values()), sum(certain.values()) + sum(asked.values())
    bound = float(stats.beta.ppf(0.05, found, n - found + 1))
    print(f"found or asked about {found} of {n}: {found / n:.4f}, at least {bound:.4f}")
    print(f"certain of others: {false} of {others}")
    if save:
        path = Path(__file__).parents[2] / "src/freehold/privacy/recall.json"
        record = {
            "value": round(found / n, 4),
            "lower95": round(bound, 4),
            "sample": "town-100-103",
            "measured": f"{datetime.now(UTC):%Y-%m-%d}",
        }
        path.write_text(json.dumps(record) + "\n")


def _wilson(hits: int, n: int) -> tuple[float, float]:
    z = 1.96
    centre, spread = (hits + z * z / 2) / (n + z * z), z * ((hits * (n - hits) / n + z * z / 4) ** 0.5) / (n + z * z)
    return max(0.0, centre - spread), min(1.0, centre + spread)


if __name__ == "__main__":
    main()
