"""People whom a question does not name are covered in all that a service gives out, where the settings say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import live
import pytest
from live import Server

from freehold.core.types import Answer, Citation, Hit
from freehold.journeys.search import Found
from freehold.models.manifest import locate
from freehold.privacy.detect import open_detector
from freehold.serving.mask import Mask

WINDOW = "What was paid for the broken window?"
OF_KELLER = "What was paid to Anna Keller for the broken window?"


@pytest.fixture(scope="module")
def mask() -> Mask:
    return Mask(open_detector(locate("rampart")))


def hit(text: str, source: str = "notes.txt") -> Hit:
    return Hit(1, "c", "d", source, "Letter to Anna Keller", None, 0, len(text), text, 1.0, "rrf")


def test_bars_are_as_long_as_what_they_cover(mask: Mask) -> None:
    text = "Anna Keller, anna.keller@example.com, asked for her window to be paid."
    (masked,) = mask.found(Found((hit(text, "letter-anna-keller.pdf"),), {}), WINDOW).hits
    assert masked.text == "████ ██████, ███████████████████████, asked for her window to be paid."
    assert masked.title == "Letter to ████ ██████"
    assert masked.source == "letter-████-██████.pdf"


def test_who_is_asked_for_is_shown_and_nobody_else(mask: Mask) -> None:
    text = "Ms Keller's window is paid. Mr Desmond Halpin reported a fire."
    (masked,) = mask.found(Found((hit(text),), {}), OF_KELLER).hits
    assert "Keller" in masked.text
    assert "Halpin" not in masked.text
    assert "Desmond" not in masked.text


def test_an_answer_its_quotes_and_their_sources(mask: Mask) -> None:
    quote = "Mr Desmond Halpin reported that the car park in Naas burned down."
    citation = Citation("d", "desmond_halpin.txt", None, 0, len(quote), quote, 1)
    answer = Answer(f"desmond_halpin: {quote} [1]", (citation,), abstained=False, supported=True)
    masked = mask.answer(answer, Found((hit(quote),), {}), "What burned down?")
    told = masked.text + masked.citations[0].quote + masked.citations[0].source
    assert "halpin" not in told.casefold()
    assert "desmond" not in told.casefold()
    assert masked.text.endswith("burned down. [1]")
    assert masked.citations[0].source == "███████_██████.txt"
    assert len(masked.citations[0].quote) == len(quote)


@pytest.mark.parametrize(
    ("question", "named"), [(OF_KELLER, True), ("Was anna.keller@example.com paid?", True), (WINDOW, False)]
)
def test_questions_that_name_somebody(mask: Mask, question: str, named: bool) -> None:
    assert mask.names_somebody(question) == named


@pytest.fixture(scope="module")
def server(papers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    house = live.copied(papers, tmp_path_factory.mktemp("masked"))
    live.settings(house, "[server]\nmask_people = true\ncache_people = false")
    with Server.over(house) as running:
        yield running


def everything(server: Server, question: str, key: str) -> str:
    chat = {"model": "freehold", "messages": [{"role": "user", "content": question}]}
    sent = (
        ("/v1/search", {"query": question, "k": 10}),
        ("/v1/ask", {"question": question}),
        ("/v1/ask", {"question": question, "stream": True}),
        ("/v1/chat/completions", chat),
        ("/v1/chat/completions", {**chat, "stream": True}),
    )
    replies = [server.post(path, body, key=key) for path, body in sent]
    assert [reply.status_code for reply in replies] == [200] * len(sent)
    return "\n".join(reply.text for reply in replies)


def test_no_way_of_asking_gives_out_another(server: Server) -> None:
    key = server.key_for("ask")
    told = everything(server, WINDOW, key)
    assert "480 euros" in told
    for name in ("Keller", "keller", "Halpin", "HH-4471-09823"):
        assert name not in told
    told = everything(server, OF_KELLER, key)
    assert "Keller" in told
    assert "Halpin" not in told


def test_whole_documents_are_for_those_who_keep_them(server: Server) -> None:
    key = server.key_for("ask")
    assert server.get("/v1/documents", key=key).json()["code"] == "masked"
    (document, *_) = server.get("/v1/documents").json()["documents"]
    path = f"/v1/documents/{document['id']}/text"
    assert server.get(path, key=key).status_code == 403
    assert server.get(path).status_code == 200


def test_questions_that_name_somebody_are_not_kept(server: Server) -> None:
    def hits() -> float:
        lines = server.get("/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("freehold_cache_hits_total "))

    for question, kept in (("Who pays for frost in garden pipes?", 1), (f"{OF_KELLER} Again?", 0)):
        before = hits()
        for _ in range(2):
            assert server.post("/v1/search", {"query": question, "k": 3}).status_code == 200
        server.until(lambda before=before, kept=kept: hits() == before + kept)
