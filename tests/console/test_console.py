"""The console over real HTTP: pages, forms, who may see what, and words that stay words."""

from __future__ import annotations

import html
import json
import math
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import console_house
import httpx
import pytest
from console_house import EVIL, KELLER, Console

from freehold.console.live import percentile
from freehold.console.page import POLICY
from freehold.console.sessions import IDLE_S, Sessions
from freehold.console.words import cited
from freehold.core.ids import new_id
from freehold.core.watch import Alarm, Example, Reading, Watch
from freehold.house import open_house
from freehold.serving.keys import Keys
from freehold.store import watch
from freehold.store.ledger import HouseLedger

PAGES = (
    "", "/documents", "/quarantine", "/jobs", "/quality", "/audit", "/requests", "/subject", "/records", "/live",
    "/models/rollback",
)  # fmt: skip


class Marks(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def has_script(page: str) -> bool:
    marks = Marks(page).seen
    return any(
        tag in {"script", "style", "img", "svg"} or any(name.startswith("on") or name == "style" for name in attributes)
        for tag, attributes in marks
    )


def headings(page: str) -> list[int]:
    return [int(level) for level in re.findall(r"<h([1-6])", page)]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_a_whole_page(console: Console, path: str) -> None:
    with console.browser() as browser:
        response = browser.client.get(f"/console{path}")
    page = response.text
    levels = headings(page)
    assert response.status_code == 200
    assert response.headers["content-security-policy"] == POLICY
    assert response.headers["cache-control"] == "no-store"
    assert '<html lang="en">' in page
    assert "Skip to the content" in page
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False)), levels
    assert not has_script(page)
    assert not re.search(r'(?:src|href|action)="(?!/console|#)', page)


def test_nobody_sees_anything_without_a_key(console: Console) -> None:
    with httpx.Client(base_url=console.url) as client:
        for path in PAGES:
            response = client.get(f"/console{path}")
            assert response.status_code == 303
            assert response.headers["location"].startswith("/console/login")
        response = client.post("/console/login", data={"key": "fh_00000000_wrong"})
        assert response.status_code == 401
        assert "set-cookie" not in response.headers
        assert "fh_00000000" not in response.text


def test_a_session_holds_no_key_and_ends(console: Console) -> None:
    key = console.key(name="leaver")
    with httpx.Client(base_url=console.url) as client:
        response = client.post("/console/login", data={"key": key, "back": "/console/documents"})
        cookie = response.headers["set-cookie"]
        assert response.headers["location"] == "/console/documents"
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/console" in cookie
        assert "Secure" not in cookie
        assert key not in cookie
        assert client.get("/console").status_code == 200
        Keys(console.root).revoke("leaver")
        assert client.get("/console").status_code == 303


def test_a_secure_cookie_over_https(console: Console) -> None:
    forwarded = {"X-Forwarded-Proto": "https"}
    response = httpx.post(f"{console.url}/console/login", data={"key": console.key()}, headers=forwarded)
    assert "Secure" in response.headers["set-cookie"]


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/console/../v1", "/consolevil", "/v1/x"])
def test_signing_in_leads_nowhere_else(console: Console, back: str) -> None:
    response = httpx.post(f"{console.url}/console/login", data={"key": console.key(), "back": back})
    assert response.headers["location"] == "/console"


def test_signing_out(console: Console) -> None:
    with console.browser() as browser:
        cookies = dict(browser.client.cookies)
        assert "Sign in" in browser.post("/console/logout").text
        assert httpx.get(f"{console.url}/console", cookies=cookies).status_code == 303


def test_idle_sessions_end_and_pages_by_themselves_keep_nobody_in() -> None:
    now = 0.0
    sessions = Sessions(clock=lambda: now)
    id = sessions.begin("key").id
    now = IDLE_S - 1
    assert sessions.of(id, by_itself=True)
    now = IDLE_S + 1
    assert sessions.of(id) is None
    assert sessions.of(id) is None


@pytest.mark.parametrize("token", ["", "guessed", "é"])
def test_a_form_from_elsewhere_is_refused(console: Console, token: str) -> None:
    with console.browser() as browser:
        for path in (
            "/ask",
            "/documents",
            "/requests",
            "/subject",
            "/quality/measure",
            "/audit",
            "/models/rollback",
            "/logout",
        ):
            response = browser.client.post(f"/console{path}", data={"csrf": token, "question": "x"})
            assert response.status_code == 403, path
            assert "did not come from a page of this session" in response.text


def test_another_sessions_token_is_refused(console: Console) -> None:
    with console.browser() as one, console.browser() as other:
        response = one.client.post("/console/ask", data={"csrf": other.token, "question": "x"})
        assert response.status_code == 403


def test_a_form_of_another_site_is_refused(console: Console) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    with console.browser() as browser:
        sent = {"csrf": browser.token, "question": "x"}
        assert browser.client.post("/console/ask", data=sent, headers=headers).status_code == 403
    assert httpx.post(f"{console.url}/console/login", data={"key": console.key()}, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("scope", "open_", "closed"),
    [
        ("ask", ["", "/documents", "/jobs"], ["/quarantine", "/quality", "/requests", "/subject", "/records", "/live"]),
        (
            "ingest",
            ["", "/documents", "/quarantine", "/jobs"],
            ["/quality", "/audit", "/requests", "/subject", "/records", "/live"],
        ),
        (
            "admin",
            ["", "/documents", "/quarantine", "/quality", "/audit", "/live"],
            ["/requests", "/subject", "/records"],
        ),
        (
            "dpo",
            ["", "/documents", "/requests", "/subject", "/records"],
            ["/quarantine", "/quality", "/audit", "/live"],
        ),
    ],
)
def test_a_key_opens_what_its_scopes_allow(console: Console, scope: str, open_: list[str], closed: list[str]) -> None:
    with console.browser(scope) as browser:
        page = browser.get("/console")
        for path in open_:
            browser.get(f"/console{path}")
        for path in closed:
            assert "takes a key with the scope" in browser.get(f"/console{path}", 403)
            assert f'href="/console{path}"' not in page
        for path, needed in (("/documents", "ingest"), ("/requests", "dpo"), ("/quality/measure", "admin")):
            if scope == "ask":
                assert needed in browser.post(f"/console{path}", status=403).text
        has_upload = 'type="file"' in browser.get("/console/documents")
        assert has_upload == (scope in {"ingest", "admin"})


def test_an_answer_leads_to_the_place_where_it_stands(console: Console) -> None:
    with console.browser("ask") as browser:
        response = browser.post("/console/ask", question="Are leased traction batteries covered?")
        page = response.text
        assert "batteries" not in str(response.url)
        assert 'href="#citation-1"' in page
        link = re.search(r'<li id="citation-1".*?href="([^"]+)"', page, re.DOTALL)
        assert link
        document = browser.get(html.unescape(link[1]).split("#")[0])
        mark = re.search(r'<mark id="cited">(.*?)</mark>', document, re.DOTALL)
        assert mark
        assert "leased rather than owned are not covered" in mark[1]
        assert 'class="level-2"' in document
        assert "Passages found" in page


def test_a_sealed_question_is_of_its_session(console: Console) -> None:
    with console.browser("ask") as one, console.browser("ask") as other:
        url = one.post("/console/ask", question="Are leased traction batteries covered?").url
        assert "belongs to another session" in other.get(f"{url.path}?{url.query.decode()}")


def test_what_is_not_there_is_said_plainly(console: Console) -> None:
    with console.browser("ask") as browser:
        assert "Not in these documents." in browser.ask("What is the boiling point of tungsten hexafluoride?")
        assert "cannot be asked" in browser.ask("???")


def test_words_never_become_markup(console: Console) -> None:
    with console.browser() as browser:
        pages = [
            browser.ask("When did the zebra escape?"),
            browser.ask(f'"><svg onload=alert(1)>{EVIL} zebra'),
            browser.get("/console/documents"),
            browser.get("/console/documents", source='"><script>'),
            browser.post("/console/requests", status=422, kind="name", value=f'"{EVIL}', ground=EVIL).text,
            browser.post("/console/subject", status=422, kind=EVIL, value=EVIL).text,
        ]
        zebra = re.search(r'href="(/console/documents/[0-9a-f-]+)"[^>]*>[^<]*img src', pages[2])
        assert zebra
        pages += [browser.get(zebra[1]), browser.get(f"{zebra[1]}/remove")]
        assert "&lt;script&gt;" in pages[-2]
        for page in pages:
            assert not has_script(page)


def test_what_is_cited_is_escaped() -> None:
    told = str(cited("<b>a</b> [1] & [2] [9]", {1, 2}))
    assert "&lt;b&gt;a&lt;/b&gt;" in told
    assert told.count("<a ") == 2
    assert told.endswith("[9]")


def test_documents_are_found_by_their_source(console: Console) -> None:
    with console.browser("ask") as browser:
        page = browser.get("/console/documents", source="KELLER")
        assert "letter-keller.txt" in page
        assert "motor.md" not in page
        assert "No source contains" in browser.get("/console/documents", source="100%")
        assert "No source contains" in browser.get("/console/documents", source="letter_keller")


def test_a_key_of_a_group_learns_no_counts(console: Console) -> None:
    key = Keys(console.root).add("depot", ["ask"], groups=["depot"])[1]
    with console.browser(key=key) as browser:
        assert "that your key may see" in browser.get("/console/documents")
        assert "that you may see" in browser.get("/console")


def test_what_is_not_there_is_a_page(console: Console) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    with console.browser() as browser:
        for path in (
            "nowhere",
            f"documents/{nobody}",
            f"jobs/{nobody}",
            f"quality/{nobody}",
            f"quality/{nobody}/report",
            f"models/{nobody}/promote",
            f"requests/{nobody}",
            f"requests/{nobody}/certificate",
        ):
            page = browser.get(f"/console/{path}", 404)
            assert "<h1>Not found</h1>" in page, path
        assert "<h1>" in browser.get("/console/documents", 422, after="'")


def test_a_document_comes_and_goes(own: Console) -> None:
    with own.browser("ingest") as browser:
        assert "no file was chosen" in browser.post("/console/documents", status=422).text
        name = "<b>ferry</b>.txt"
        bad = [("files", ("<b>x/y.txt", b"x", "text/plain"))]
        assert "without slashes" in browser.post("/console/documents", status=422, files=bad).text
        files = [
            ("files", ("ferry.txt", b"The ferry to Inishmore sails at seven.\n", "text/plain")),
            ("files", (name.replace("/", "-"), b"Another ferry sails at nine.\n", "text/plain")),
            ("files", ("torn.pdf", b"%PDF-1.7 torn", "application/pdf")),
        ]
        page = browser.until_over(browser.post("/console/documents", files=files))
        assert "Done" in page
        assert "Could not be read" in page
        listed = browser.get("/console/documents", source="ferry")
        assert "<b>ferry" not in listed
        quarantine = browser.get("/console/quarantine")
        assert "torn.pdf" in quarantine
        assert "broken.pdf" in quarantine
        end = time.monotonic() + 60
        while "sails at seven" not in browser.ask("When does the ferry to Inishmore sail?"):
            assert time.monotonic() < end
            time.sleep(0.3)
        link = re.search(r'href="(/console/documents/[0-9a-f-]+/remove)" aria-label="Remove ferry', listed)
        assert link
        assert "no erasure of a person" in browser.get(link[1])
        assert "Done" in browser.until_over(browser.post(link[1]))
        assert "Inishmore" not in browser.get("/console/documents", source="upload:ferry")
        assert "Read documents" in browser.get("/console/jobs")


def test_a_person_is_shown_and_erased(own: Console) -> None:
    with own.browser("dpo", "ask") as browser:
        shown = browser.post("/console/subject", **KELLER).text
        assert "HH-4471-09823" in shown
        assert "Desmond" not in shown
        letter = browser.client.post("/console/subject", data={"csrf": browser.token, "as": "page", **KELLER})
        assert letter.headers["content-disposition"].startswith("attachment")
        assert "What is held about you" in letter.text
        assert "fill in at least one row" in browser.post("/console/requests", status=422, ground="17(1)(b)").text
        weak = browser.post("/console/requests", status=422, kind="birth_date", value="1980-01-01", ground="17(1)(b)")
        assert "1980-01-01" in weak.text

        begun = browser.post("/console/requests", ground="17(1)(a)", **KELLER)
        page = browser.until_over(begun)
        path = begun.url.path
        assert "days left" in page
        assert "Interim" in page
        assert "A certain Keller was seen near the gasworks" in page
        assert "Waiting for a decision" in browser.get("/console/requests")
        assert "Nothing was decided" in browser.post(f"{path}/decisions", status=422).text
        name = re.search(r'name="(decision-[0-9a-f-]+)"', page)
        assert name
        page = browser.until_over(browser.post(f"{path}/decisions", **{name[1]: "keep"}))
        assert "Complete" in page
        assert "Close it" in page

        certificate = browser.get(f"{path}/certificate")
        said = re.sub(r"<[^>]+>", " ", certificate)
        order = ["Complete", "What was not reached", "What is still to be done", "Probes", "Stores"]
        assert [said.index(part) for part in order] == sorted(said.index(part) for part in order)
        assert "base models learned" in certificate
        file = browser.client.get(f"{path}/certificate.json")
        assert file.headers["content-disposition"].startswith("attachment")
        assert set(file.json()) == {"envelope", "publicKey", "log"}
        after = browser.post("/console/subject", **KELLER).text
        assert "1 document found" in after
        assert "may be somebody else" in after
        assert "HH-4471" not in after
        for told in (page, certificate, browser.get("/console/requests"), browser.get("/console/jobs")):
            assert "Keller" not in told

        (own.root / "requests" / path.rsplit("/", 1)[1] / "certificate.json").write_bytes(
            file.content.replace(b'"index":', b'"index":1')
        )
        assert "does not hold" in browser.get(f"{path}/certificate")

        closed = browser.post(f"{path}/close").text
        assert "Closed" in closed
        assert "Close it" not in closed
        assert (
            browser.client.post(f"/console/requests/{'0' * 8}/close", data={"csrf": browser.token}).status_code == 404
        )


def test_what_is_not_certified_is_not_closed(own: Console) -> None:
    with own.browser("dpo") as browser:
        page = browser.until_over(browser.post("/console/requests", ground="17(1)(a)", **KELLER))
        path = re.search(r'action="(/console/requests/[0-9a-f-]+)/decisions"', page)
        assert path
        assert "Close it" not in page
        assert "no final certificate" in browser.post(f"{path[1]}/close", status=409).text


def test_a_person_is_hidden_and_found_again(own: Console) -> None:
    question = "What is paid for the broken window?"
    with own.browser("dpo", "ask") as browser:
        assert "480 euros" in browser.ask(question)
        assert "fill in" not in browser.post("/console/subject/restrict", **KELLER).text
        page = browser.get("/console/subject")
        assert "2 documents hidden" in page
        assert "480 euros" not in browser.ask(question)
        name = re.search(r'name="restriction" value="([^"]+)"', page)
        assert name
        assert "found again" in browser.post("/console/subject/lift", restriction=name[1]).text
        assert "no such restriction" in browser.post("/console/subject/lift", status=422, restriction=name[1]).text
        assert "480 euros" in browser.ask(question)
        nobody = {"kind": "name", "value": "Zoltan Quist"}
        assert "No document surely" in browser.post("/console/subject/restrict", status=422, **nobody).text


def test_a_statement_is_put_right(own: Console) -> None:
    with own.browser("dpo", "ask") as browser:
        shown = browser.post("/console/subject", **KELLER).text
        letter = next(part for part in shown.split("</article>") if "HH-4471-09823" in part)
        document = re.search(r'name="document" value="([^"]+)"', letter)
        assert document
        wrong = {"document": document[1], "wrong": "no such words", "right": "any"}
        assert "does not say that" in browser.post("/console/subject/rectify", status=422, **wrong).text
        right = {"document": document[1], "wrong": "Anna Keller", "right": "Anna Kellermann"}
        assert "Put right" in browser.post("/console/subject/rectify", **right).text
        assert "Anna Kellermann" in browser.post("/console/subject", kind="name", value="Anna Kellermann").text


def test_thumbs_are_kept_where_the_settings_say_so(papers: Path, tmp_path: Path) -> None:
    root = console_house.copied(papers, tmp_path)
    settings = root / "freehold.toml"
    settings.write_text(settings.read_text().replace("# query_log = false", "query_log = true"))
    with console_house.served(root) as running, running.browser("ask") as browser:
        page = browser.ask("Are leased batteries covered?")
        fields = {name: re.search(rf'name="{name}" value="([^"]+)"', page)[1] for name in ("id", "question")}  # type: ignore[index]
        thanks = browser.post("/console/feedback", signal="down", **fields).text
        assert "it did not help" in thanks
        assert "It helped" not in thanks
        assert browser.client.post("/console/feedback", data={"csrf": browser.token, "id": "x"}).status_code == 422
    with open_house(root) as house:
        assert [one.id for one in house.traffic.all()] == [fields["id"]]
        assert [(vote.question_id, vote.signal) for vote in house.traffic.votes()] == [(fields["id"], "down")]


def test_no_thumbs_where_nothing_is_kept(console: Console) -> None:
    with console.browser("ask") as browser:
        assert "It helped" not in browser.ask("Are leased batteries covered?")


def test_what_was_measured_is_shown(filled: tuple[Console, str]) -> None:
    console, _ = filled
    with console.browser("admin") as browser:
        page = browser.get("/console/quality")
        assert "nDCG@10" in page
        link = re.search(r'href="(/console/quality/[0-9a-f-]+)"', page)
        assert link
        short = browser.get(link[1])
        assert "6 queries" in short
        assert "p95 of a search" in short
        assert "1.000" in short
        report = browser.client.get(f"{link[1]}/report")
        assert "unsafe-inline" not in report.headers["content-security-policy"]
        assert "sha256-" in report.headers["content-security-policy"]
        assert "<h1" in report.text


def test_an_audit_is_begun_and_shown(own: Console) -> None:
    with own.browser("admin") as browser:
        assert "was not audited yet" in browser.get("/console/audit")
        browser.get("/console/audit/report", status=404)
        job = browser.until_over(browser.post("/console/audit"))
        assert "Done" in job
        assert 'href="/console/audit"' in job
        page = browser.get("/console/audit")
        assert "Nothing says how long documents of which category stay" in page
        assert "retention-undeclared" in page
        assert '<code class="command">freehold backup FOLDER --keys FILE</code>' in page
        report = browser.client.get("/console/audit/report")
        assert "unsafe-inline" not in report.headers["content-security-policy"]
        assert "Nothing leaves this machine" in report.text
    leaves = [leaf.kind for leaf in HouseLedger(own.root / "ledger").leaves()]
    assert leaves.count("residency.stated") == 1


def test_what_was_measured_forgets_with_the_house(filled: tuple[Console, str]) -> None:
    console, path = filled
    with console.browser("dpo") as browser:
        page = browser.get(path)
    assert "Failed" not in page
    assert not any(b"letter-keller" in run.read_bytes() for run in console.root.glob("experiments/*/runs/*"))


def test_versions_are_promoted_on_purpose(filled: tuple[Console, str]) -> None:
    console, _ = filled
    good, tainted = (f"0000000{n}-0000-4000-8000-000000000000" for n in (1, 2))
    with console.browser("admin") as browser:
        page = browser.get("/console/quality")
        assert f"/models/{good}/promote" in page
        assert f"/models/{tainted}/promote" not in page
        assert "Tainted" in page
        assert "may not serve" in browser.get(f"/console/models/{tainted}/promote")
        assert "Put it to the gate" in browser.get(f"/console/models/{good}/promote")
        job = browser.post(f"/console/models/{good}/promote")
        assert job.url.path.startswith("/console/jobs/")
        assert "Failed" in browser.until_over(job)  # a record alone is no model
        assert "nothing to return to" in browser.get("/console/models/rollback")
        assert "Failed" in browser.until_over(browser.post("/console/models/rollback"))


def test_live_counts(console: Console) -> None:
    with console.browser() as browser:
        browser.ask("Is frost covered?")
        browser.get("/console/documents")
        bearer = {"Authorization": f"Bearer {console.key()}"}
        for _ in range(2):
            found = httpx.post(f"{console.url}/v1/search", json={"query": "frost"}, headers=bearer, timeout=60)
            assert found.status_code == 200
        time.sleep(1)  # gauges are set twice a second
        page = browser.get("/console/live")
        assert 'content="5; url=/console/live?auto=1"' in page
        assert "<code>/console/documents</code>" in page
        assert "<code>ask, generate</code>" in page
        assert "<code>/v1/search</code>" in page
        assert "50 %" in page
        assert "of 2 searches answered from it" in page
        assert "Nobody has looked yet" in page
        assert "http-equiv" not in browser.get("/console/live", paused=1)


def test_the_last_look_for_drift_is_shown(own: Console) -> None:
    at = "2026-11-27T03:17:00.000+00:00"
    readings = (
        Reading("questions", "alarm", "moved", at, 40, 400, 0.08, "energy distance", 1e-4, 2310.5, 1800.0),
        Reading("scores", "not enough", "17 more questions are needed for the next look", at, 3, 400),
    )
    document = new_id()
    examples = (Example("question", new_id()), Example("document", document))
    alarm = Alarm(new_id(), "questions", at, at, "questions are not as they were", examples, ("freehold tune data",))
    watch.write(own.root, Watch(at, readings=readings, alarms=(alarm,)))
    with own.browser() as browser:
        page = browser.get("/console/live")
    assert "questions are not as they were" in page
    assert f'href="/console/documents/{document}"' in page
    assert "<code>freehold tune data</code>" in page
    assert "2,310.50" in page
    assert "17 more questions are needed" in page
    assert "Nobody has looked" not in page


def test_the_schedule_says_what_was_missed_and_what_failed(own: Console) -> None:
    runs = {
        "expire": {"at": "2026-11-01T03:17:00+00:00", "outcome": "done", "items": 0, "problem": ""},
        "checkpoint": {"at": "2026-11-01T03:17:00+00:00", "outcome": "failed", "items": 0, "problem": "not <whole>"},
    }
    (own.root / "schedule.json").write_text(json.dumps(runs))
    with own.browser() as browser:
        page = browser.get("/console/live")
    missed = re.search(r"Missed: ([^<]*)\.", page)
    assert missed is not None
    assert "expire" in missed[1]
    assert "Failed: checkpoint." in page
    assert "not &lt;whole&gt;" in page
    assert "by freehold schedule run" in page
    assert "What ran last" not in page
    ran = {"task": "expire", "run": {**runs["expire"], "seconds": 2.34, "outcome": "failed", "problem": "disk <full>"}}
    (own.root / "schedule.jsonl").write_text(json.dumps(ran) + "\n")
    with own.browser() as browser:
        page = browser.get("/console/live")
    last = page[page.index("What ran last") :]
    assert "2.3" in last
    assert "failed: disk &lt;full&gt;" in last


def test_the_officer_reads_records(filled: tuple[Console, str]) -> None:
    console, _ = filled
    with console.browser("dpo") as browser:
        listed = browser.get("/console/records")
        assert "controller" in listed
        for kind in ("processing", "assessment", "models", "data", "technical"):
            assert f'href="/console/records/{kind}"' in listed
            response = browser.client.get(f"/console/records/{kind}")
            assert response.status_code == 200
            assert "style-src 'sha256-" in response.headers["content-security-policy"]
            assert not has_script(response.text.replace("<style>", "<!--").replace("</style>", "-->"))
            assert "keller" not in response.text.lower()
        bom = browser.client.get("/console/records/bom")
        assert bom.headers["content-disposition"] == 'attachment; filename="bom.cdx.json"'
        assert bom.json()["bomFormat"] == "CycloneDX"
        browser.get("/console/records/nothing", 404)


def test_percentiles_are_read_from_buckets() -> None:
    buckets = [(0.1, 50.0), (0.2, 100.0), (math.inf, 100.0)]
    assert percentile(buckets, 0.5) == pytest.approx(100)
    assert percentile(buckets, 0.95) == pytest.approx(190)
    assert percentile([(0.1, 0.0), (math.inf, 5.0)], 0.5) == math.inf
    assert percentile([(0.1, 19.0), (math.inf, 19.0)], 0.95) is None
    assert percentile([], 0.5) is None


def test_the_api_does_not_know_of_the_console(console: Console) -> None:
    assert "/console" not in httpx.get(f"{console.url}/openapi.json").text
