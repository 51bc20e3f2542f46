"""What every ``Detector`` must do. Subclass, give a ``detector`` fixture, and inherit the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest

from freehold.core.ports import Detector
from freehold.core.types import Mention, MentionKind

PLAIN = "The notice period is three months to the end of a quarter."
TEXTS = (
    "",
    " \n",
    PLAIN,
    "Dr. Anna Keller, Lindenstraße 12, 10969 Berlin, anna.keller@example.com, +49 30 23125 417.",
    "Ist 🙂 Herr Mehmet Yılmaz e\u0301gal? IBAN DE89 3704 0044 0532 0130 00",
    "¿Puede María del Carmen Iturralde (DNI 12345678Z) recurrir? [SEP] [UNK] \x00 \u200b",
    "@@@ 0000 ----- 12.3.4 (a)(ii) § 626 Abs. 2",
)


class DetectorCase:
    """The contract of ``freehold.core.ports.Detector``, on real parts."""

    example = ("Please write to {} before Friday.", "anna.keller@example.com")
    """A sentence with a gap, and something to fill it that the detector finds; another may put its own here."""

    @pytest.fixture
    def detector(self) -> Detector:
        raise NotImplementedError("return the detector under test")

    def test_has_a_name(self, detector: Detector) -> None:
        assert detector.name
        assert detector.name == detector.name.strip()

    def test_nothing_in_nothing(self, detector: Detector) -> None:
        assert list(detector.detect([])) == []
        assert list(detector.detect(["", " "])) == [(), ()]

    def test_finds_the_example(self, detector: Detector) -> None:
        sentence, wanted = self.example
        text = sentence.format(wanted)
        assert wanted in _found(text, detector.detect([text])[0])

    def test_finds_nothing_in_a_plain_sentence(self, detector: Detector) -> None:
        assert detector.detect([PLAIN]) == [()]

    def test_offsets_are_code_points(self, detector: Detector) -> None:
        sentence, wanted = self.example
        text = "🙂🙂 ﬁ ß " + sentence.format(wanted)
        assert wanted in _found(text, detector.detect([text])[0])

    def test_mentions_are_in_order_without_overlap_and_inside(self, detector: Detector) -> None:
        for text, mentions in zip(TEXTS, detector.detect(TEXTS), strict=True):
            ends = 0
            for mention in mentions:
                assert ends <= mention.start < mention.end <= len(text)
                assert 0 < mention.score <= 1
                assert mention.kind in get_args(MentionKind)
                assert mention.detector
                ends = mention.end

    def test_a_text_does_not_depend_on_its_company(self, detector: Detector) -> None:
        together = detector.detect(TEXTS)
        alone = [detector.detect([text])[0] for text in TEXTS]
        turned = detector.detect(TEXTS[::-1])[::-1]
        assert _plain(together) == _plain(alone) == _plain(turned)

    def test_says_the_same_when_asked_again(self, detector: Detector) -> None:
        assert detector.detect(TEXTS) == detector.detect(TEXTS)

    @pytest.mark.parametrize("language", ["en", "de", "fr", "es", "xx"])
    def test_takes_any_language_for_a_hint(self, detector: Detector, language: str) -> None:
        sentence, wanted = self.example
        text = sentence.format(wanted)
        assert wanted in _found(text, detector.detect([text], language=language)[0])

    def test_reads_long_texts_to_their_end(self, detector: Detector) -> None:
        sentence, wanted = self.example
        text = " ".join([PLAIN] * 400 + [sentence.format(wanted)])
        assert wanted in _found(text, detector.detect([text])[0])


def _found(text: str, mentions: Sequence[Mention]) -> list[str]:
    return [text[mention.start : mention.end] for mention in mentions]


def _plain(found: Sequence[Sequence[Mention]]) -> list[list[tuple[int, int, str]]]:
    """Without scores: sums in another order may differ in the last digits."""
    return [[(m.start, m.end, m.kind) for m in mentions] for mentions in found]
