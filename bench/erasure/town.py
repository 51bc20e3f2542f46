"""A town that does not exist: people with namesakes and families, papers about them, and who stands where in each.

The same seed gives the same town. What is true of it, who is in which paper and which sentences are about others, is
written down while it is made, and comes from nowhere else.
"""

# ruff: noqa: E501 - tables of words read best a line each
from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

GIVEN = {
    "en": [
        "Alicia",
        "Bernard",
        "Clementine",
        "Dorian",
        "Eleanor",
        "Francis",
        "Gwendolyn",
        "Harold",
        "Imogen",
        "Jasper",
        "Leonora",
        "Mortimer",
    ],
    "de": [
        "Annegret",
        "Burkhard",
        "Cäcilie",
        "Dietmar",
        "Elfriede",
        "Friedhelm",
        "Gerlinde",
        "Hartmut",
        "Irmtraud",
        "Jürgen",
        "Lieselotte",
        "Ottokar",
    ],
    "fr": [
        "Adélaïde",
        "Baptiste",
        "Clémence",
        "Damien",
        "Éloïse",
        "Florent",
        "Geneviève",
        "Hervé",
        "Josiane",
        "Lucien",
        "Mathilde",
        "Thibault",
    ],
}
FAMILY = {
    "en": [
        "Ashdown",
        "Brackenbury",
        "Copperfield",
        "Dunmore",
        "Eastwick",
        "Fairclough",
        "Greystoke",
        "Holloway",
        "Inglethorpe",
        "Kettering",
    ],
    "de": [
        "Achterberg",
        "Bußmann",
        "Cramer-Voß",
        "Dünnebier",
        "Eichstädt",
        "Füllgraf",
        "Göbelhoff",
        "Hünefeld",
        "Kösters",
        "Möllenbrink",
    ],
    "fr": [
        "Aubriot",
        "Bellanger",
        "Chastaing",
        "Delacroisy",
        "Fontenelle",
        "Garrigue",
        "Hautecœur",
        "Lévêque",
        "Montaubert",
        "Rivoire",
    ],
}
LETTERS = {
    "en": ("Dear {title} {family},", "your claim {claim} under policy {policy} is settled: we pay {n} euros to {iban}.",
           "We have written to you at {address} and called you on {phone} in vain.", "Yours sincerely, claims department"),
    "de": ("Sehr geehrte(r) {title} {family},", "Ihr Schaden {claim} zur Police {policy} ist reguliert: {n} Euro gehen an {iban}.",
           "Wir haben Ihnen an {address} geschrieben und Sie unter {phone} nicht erreicht.", "Mit freundlichen Grüßen, Schadenabteilung"),
    "fr": ("Cher/Chère {title} {family},", "votre sinistre {claim} au contrat {policy} est réglé : {n} euros vont au compte {iban}.",
           "Nous vous avons écrit à {address} et appelé en vain au {phone}.", "Cordialement, service sinistres"),
}  # fmt: skip
TITLES = {"en": "Mx", "de": "Frau/Herr", "fr": "Mme/M."}
FIGURE = {
    "en": "{name} reports that the roof of the {thing} was repaired for {n} euros.",
    "de": "{name} berichtet, dass das Dach der {thing} für {n} Euro repariert wurde.",
    "fr": "{name} signale que le toit de la {thing} a été réparé pour {n} euros.",
}
THINGS = {
    "en": ["bakery", "stable", "chapel", "mill"],
    "de": ["Bäckerei", "Kapelle", "Mühle", "Scheune"],
    "fr": ["boulangerie", "chapelle", "grange", "mairie"],
}
NEUTRAL = {
    "en": "If the windscreen has to be replaced the excess of tariff {n} is {m} euros, and there is no upper limit.",
    "de": "Muss die Scheibe ersetzt werden, beträgt die Selbstbeteiligung im Tarif {n} {m} Euro ohne Obergrenze.",
    "fr": "Si le pare-brise doit être remplacé, la franchise du tarif {n} est de {m} euros, sans plafond.",
}  # fmt: skip
SHARE_NAMESAKES = 0.15
SHARE_MINUTES = 0.3


@dataclass(frozen=True)
class Person:
    number: int
    language: str
    given: str
    family: str
    email: str
    phone: str
    iban: str
    policy: str
    claim: str
    address: str

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"

    def identifiers(self) -> tuple[str, ...]:
        """What is theirs alone, as it is written in papers."""
        return (self.email, self.phone, self.iban, self.policy, self.claim)


@dataclass
class Paper:
    name: str
    text: str
    people: tuple[int, ...]
    """Numbers of those it speaks of."""
    sentences: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Number -> sentences about that person and nobody else."""
    neutral: tuple[str, ...] = ()


@dataclass
class Town:
    people: list[Person]
    papers: list[Paper]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for paper in self.papers:
            (folder / paper.name).write_text(paper.text, encoding="utf-8")

    def of(self, number: int) -> list[Paper]:
        return [paper for paper in self.papers if number in paper.people]


def build(people: int, seed: int) -> Town:
    rng = random.Random(seed)
    town = Town([], [])
    for number in range(people):
        town.people.append(_person(number, town.people, rng))
    for person in town.people:
        town.papers += _letters(person, rng)
    for number in range(round(len(town.papers) * SHARE_MINUTES / (1 - SHARE_MINUTES))):
        town.papers.append(_minutes(number, town.people, rng))
    for number in range(max(5, people // 5)):
        language = rng.choice(list(NEUTRAL))
        sentence = NEUTRAL[language].format(n=number, m=rng.randint(50, 900))
        town.papers.append(Paper(f"wording-{number}.txt", f"{sentence}\n", (), {}, (sentence,)))
    return town


def _person(number: int, before: list[Person], rng: random.Random) -> Person:
    language = rng.choice(list(GIVEN))
    given, family = rng.choice(GIVEN[language]), f"{rng.choice(FAMILY[language])}{_suffix(number)}"
    address = f"Lindenweg {number + 1}, {10_000 + number} Musterstadt"
    if before and rng.random() < SHARE_NAMESAKES:
        other = rng.choice(before)
        if rng.random() < 0.5:  # a namesake; else family: the same name and house, another given name
            language, given, family = other.language, other.given, other.family
        else:
            language, family, address = other.language, other.family, other.address
            given = rng.choice([g for g in GIVEN[language] if g != other.given])
    plain = "".join(
        c
        for c in unicodedata.normalize("NFD", f"{given}.{family}".lower())
        if c.isascii() and (c.isalpha() or c == ".")
    )
    return Person(
        number, language, given, family,
        f"{plain}.{number}@town{number % 7}.example",
        f"+49 30 {2_310_000 + number * 7}",
        _iban(number),
        f"HH-{4000 + number}-{number * 10 + 1:06d}",
        f"CLM-2025-{50_000 + number * 3}",
        address,
    )  # fmt: skip


def _suffix(number: int) -> str:
    """Family names that few share: Holloway becomes Hollowaydale."""
    return ("", "dale", "by", "ley", "ton", "er", "mann", "ford")[number // 10 % 8]


def _iban(number: int) -> str:
    account = f"370400440{number:09d}"
    check = 98 - int(f"{account}131400") % 97
    text = f"DE{check:02d}{account}"
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def _letters(person: Person, rng: random.Random) -> list[Paper]:
    values = {"title": TITLES[person.language], "n": rng.randint(100, 9000), **person.__dict__}
    greeting, settled, address, closing = (line.format(**values) for line in LETTERS[person.language])
    body = f"{greeting}\n\n{settled} {address}\n\n{closing}\n\n{person.name}\n{person.email}\n"
    named = rng.random() < 0.5
    stem = f"letter-{person.given}-{person.family}-{person.number}" if named else f"letter-{person.number:05d}"
    papers = [Paper(f"{stem}.txt", body, (person.number,))]
    if rng.random() < 0.3:  # sent once more
        papers.append(Paper(f"{stem}-again.txt", f"Copy of the letter of 3 May.\n\n{body}", (person.number,)))
    return papers


def _minutes(number: int, people: list[Person], rng: random.Random) -> Paper:
    some = rng.sample(people, min(len(people), rng.randint(2, 3)))
    language = some[0].language
    sentences = {p.number: _figure(p, language, rng) for p in some}
    neutral = NEUTRAL[language].format(n=number, m=rng.randint(50, 900))
    lines = [*(sentences[p.number] for p in some), neutral]
    rng.shuffle(lines)
    text = f"Minutes {number}\n\n" + "\n\n".join(lines) + "\n"
    return Paper(f"minutes-{number}.txt", text, tuple(sentences), {n: (s,) for n, s in sentences.items()}, (neutral,))


def _figure(person: Person, language: str, rng: random.Random) -> str:
    name = rng.choice([person.name, person.name, f"{person.family}, {person.given}"])
    return FIGURE[language].format(
        name=f"{name} ({person.policy})", thing=rng.choice(THINGS[language]), n=rng.randint(100, 9000)
    )
