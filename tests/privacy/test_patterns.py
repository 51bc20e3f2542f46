"""What has a shape is found, and what only looks like it is not."""

from __future__ import annotations

import pytest

from freehold.privacy.patterns import PatternDetector

DETECTOR = PatternDetector()


def found(text: str, language: str = "") -> list[tuple[str, str]]:
    (mentions,) = DETECTOR.detect([text], language=language)
    return [(mention.kind, text[mention.start : mention.end]) for mention in mentions]


@pytest.mark.parametrize(
    ("text", "kind", "wanted"),
    [
        ("Write to anna.keller+claims@mail.example.co.uk.", "email", "anna.keller+claims@mail.example.co.uk"),
        ("Antwort an müller@example.de, bitte", "email", "müller@example.de"),
        ("Pay to DE89 3704 0044 0532 0130 00 today", "iban", "DE89 3704 0044 0532 0130 00"),
        ("Pay to DE89370400440532013000 today", "iban", "DE89370400440532013000"),
        ("IBAN: de89 3704 0044 0532 0130 00 und mehr", "iban", "de89 3704 0044 0532 0130 00"),
        ("IBAN DE89 3704 0044 0532 0130 01 (mistyped)", "iban", "DE89 3704 0044 0532 0130 01"),
        ("compte FR14 2004 1010 0505 0001 3M02 606 bloqué", "iban", "FR14 2004 1010 0505 0001 3M02 606"),
        ("Unsere USt-IdNr. DE136695976 gilt", "vat", "DE136695976"),
        ("card 4111 1111 1111 1111 was charged", "card", "4111 1111 1111 1111"),
        ("card 378282246310005 was charged", "card", "378282246310005"),
        ("Mi DNI es 12345678Z.", "national_id", "12345678Z"),
        ("NIE X-1234567-L caducado", "national_id", "X-1234567-L"),
        ("codice RSSMRA85T10A562S", "national_id", "RSSMRA85T10A562S"),
        ("mon numéro 2 82 10 13 952 890 94 est faux", "national_id", "2 82 10 13 952 890 94"),
        ("PESEL 85062695722", "national_id", "85062695722"),
        ("BSN 116819431 staat er", "national_id", "116819431"),
        ("rijksregister 57.02.07-950.51", "national_id", "57.02.07-950.51"),
        ("personnummer 690917-7914", "national_id", "690917-7914"),
        ("HETU 131052-308T", "national_id", "131052-308T"),
        ("AHV 756.0967.8507.19", "national_id", "756.0967.8507.19"),
        ("SVNR 5474 090573", "national_id", "5474 090573"),
        ("PPS 4536500FA is mine", "national_id", "4536500FA"),
        ("Steuer-ID 45803371295", "national_id", "45803371295"),
        ("Meine Steueridentifikationsnummer lautet 45 803 371 295.", "national_id", "45 803 371 295"),
        ("Rentenversicherungsnummer 12 150385 K 123", "national_id", "12 150385 K 123"),
        ("her NI number AB 12 34 56 C", "national_id", "AB 12 34 56 C"),
        ("SSN 219-09-9941", "national_id", "219-09-9941"),
        ("Call +44 20 7946 0182 now", "phone", "+44 20 7946 0182"),
        ("Tel. (020) 7946 0182", "phone", "(020) 7946 0182"),
        ("Rückruf unter 030 23125417", "phone", "030 23125417"),
        ("erreichbar: 0171/3920041", "phone", "0171/3920041"),
        ("Appelez le 06 39 98 41 07", "phone", "06 39 98 41 07"),
        ("Llame al 612 34 78 90", "phone", "612 34 78 90"),
        ("(555) 123-4567 x890 is hers", "phone", "(555) 123-4567 x890"),
        ("Login from 203.0.113.77 at night", "ip", "203.0.113.77"),
        ("IP 10.0.0.7 war es", "ip", "10.0.0.7"),
        ("from 2001:db8:41:7::2f3", "ip", "2001:db8:41:7::2f3"),
        ("see https://social.example.net/users/tessa.b?x=1.", "url", "https://social.example.net/users/tessa.b?x=1"),
        ("see https://anna:pw@example.net/", "url", "https://anna:pw@example.net/"),
        ("She was born on 14 March 1957.", "birth_date", "14 March 1957"),
        ("DOB: 02/11/1968", "birth_date", "02/11/1968"),
        ("geb. 3.5.1961 in Ulm", "birth_date", "3.5.1961"),
        ("Geburtsdatum 1961-05-03", "birth_date", "1961-05-03"),
        ("née le 12 août 1949 à Lyon", "birth_date", "12 août 1949"),
        ("nacido el 7 de febrero de 1972", "birth_date", "7 de febrero de 1972"),
        ("policy HH-4471-09823 lapsed", "reference", "HH-4471-09823"),
        ("claim number: CLM-2023-118402", "reference", "CLM-2023-118402"),
        ("Kundennummer 4410-88213", "reference", "4410-88213"),
        ("Aktenzeichen 12 O 3456/21", "reference", "12 O 3456/21"),
        ("Numéro de sinistre SIN20230988", "reference", "SIN20230988"),
        ("n.º de póliza 88-440127", "reference", "88-440127"),
        ("Expediente EXP 4471/2022-B archivado", "reference", "EXP 4471/2022-B"),
        ("passport 533084917 expired", "document", "533084917"),
        ("Ausweisnummer L01X00T471", "document", "L01X00T471"),
        ("Führerschein Nr. B072RRE2I55", "document", "B072RRE2I55"),
        ("account number 12345678", "account", "12345678"),
    ],
)  # fmt: skip
def test_found(text, kind, wanted):
    assert (kind, wanted) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "What does clause 14.3.2 say, and section 10.1.1.2?",
        "Regulation (EU) No 575/2013 and Directive 2016/680, Article 6(1)(f)",
        "§ 626 Abs. 2 BGB, BGH VI ZR 135/13, C-311/18, ECLI:EU:C:2020:559",
        "The sum insured is 1,250,000 euros; the premium 2.500,00 € in 2019/2020.",
        "between 1998 and 2004, from 2019-2021, on 14 March 2024 at 10:30:15",
        "ISO 27001:2022, IFRS 9, DIN EN 60601-1, version 10.2.3.4",
        "a policy of 30000 pounds; a claim of 125000 euros; a file of 4096 bytes",
        "case C-311/18 and Case T-612/17",
        "the contract of 2019 and contract no. 7",
        "Ley Orgánica 3/2018, sentencia 241/2013, artículo 24.1",
        "loi n° 78-17 du 6 janvier 1978, article L. 113-2, 1 500 euros",
        "https://eur-lex.europa.eu/eli/reg/2016/679/oj and www.example.com/about",
        "the born digital archive opened on the first of May",
        "1234567890123 units at 3.14159265 each, 100 000 000 shares",
        "call option on 1000000 shares; number of employees: 2500",
        "Wo steht Kapitel 12 345 678 901?",
        "card 4111 1111 1111 1112 is one digit off",
        "@todo and a@b are no addresses",
        "time 12:34 and ratio 1:2:3",
    ],
)
@pytest.mark.parametrize("language", ["", "en", "de", "fr", "es"])
def test_look_alikes_are_left_alone(text, language):
    assert found(text, language) == []


def test_the_language_tells_whose_plan_a_bare_number_is_of():
    assert found("El 612 347 890 no contesta", "es") == [("phone", "612 347 890")]
    assert found("The sum is 612 347 890 in all", "en") == []
