"""What is told of where data goes: the table, the report, the signed statement and its leaf."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from freehold import config
from freehold.cli.main import app
from freehold.core.attempts import REPORT, Book
from freehold.core.errors import SettingsError
from freehold.endpoints import Endpoint, endpoints
from freehold.house import House
from freehold.proof import statement as signed
from freehold.proof import verify as offline
from freehold.residency.places import BASES, check, place_of, places
from freehold.residency.report import residency
from freehold.stating import state

VALUES = {
    "house.name": "Quay", "house.regions": ("eu",), "house.operator": "Quay IT",
    "generator.kind": "openai", "generator.model": "m", "generator.endpoint": "https://api.scaleway.ai/v1",
    "generator.region": "eu", "generator.operator": "Scaleway SAS",
    "server.otlp_endpoint": "http://10.0.0.9:4318", "server.otlp_region": "eu",
}  # fmt: skip


@pytest.fixture
def house(tmp_path: Path) -> Path:
    with House.create(tmp_path / "house", VALUES):
        pass
    book = Book()
    book.keep_in(tmp_path / "house" / REPORT)
    for _ in range(5):
        book.count("lookup", "telemetry.example", 443, stopped=True)
    book.count("program", "git", 0, stopped=False)
    return tmp_path / "house"


def freehold(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_every_line_of_the_table_has_a_source_and_a_date() -> None:
    assert len(places()) >= 55
    for place in places():
        assert urlsplit(place.source).scheme == "https"
        assert date(2026, 1, 1) <= place.checked <= datetime.now(UTC).date()
        assert place.basis in BASES
        assert len(place.country) == 2
        # EEA regions are never told as a transfer, and what is one is not in "eu".
        assert not ("eu" in place.regions and place.basis == "transfer")


@pytest.mark.parametrize(
    ("host", "operator", "regions"),
    [
        ("API.openai.com.", "OpenAI", ("us",)),
        ("bedrock-runtime.eu-central-1.amazonaws.com", "Amazon Web Services", ("eu", "de", "eu-central-1")),
        ("bedrock-runtime.ap-south-1.amazonaws.com", "Amazon Web Services", ()),
        ("bedrock-runtime.eu-west-3.amazonaws.com", "Amazon Web Services", ("eu", "fr", "eu-west-3")),
        ("bedrock-runtime.eu-west-2.amazonaws.com", "Amazon Web Services", ("gb", "uk", "eu-west-2")),
        ("eu.api.openai.com", "OpenAI", ("eu",)),
        ("api.eu.mistral.ai", "Mistral AI", ("eu",)),
        ("api.mistral.ai", "Mistral AI", ()),
        ("europe-west9-aiplatform.googleapis.com", "Google Cloud", ("eu", "fr", "europe-west9")),
        ("openai.inference.de-txl.ionos.com", "IONOS", ("eu", "de", "de-txl")),
        ("api.openai-compat.model-serving.eu01.onstackit.cloud", "STACKIT", ("eu", "de", "eu01")),
        ("a1.eu-central-1-0.aws.cloud.qdrant.io", "Qdrant", ("eu", "de", "eu-central-1")),
        ("a1.us-east4-0.gcp.cloud.qdrant.io", "Qdrant", ()),
        ("index-a1.svc.aped-4627-b74a.pinecone.io", "Pinecone", ()),
        ("x.eu-west-1.aws.endpoints.huggingface.cloud", "Hugging Face", ("eu", "ie", "eu-west-1")),
        ("http-intake.logs.datadoghq.eu", "Datadog", ("eu", "de")),
        ("api.us5.datadoghq.com", "Datadog", ("us",)),
        ("o1.ingest.de.sentry.io", "Sentry", ("eu", "de")),
        ("o1.ingest.us.sentry.io", "Sentry", ("us",)),
        ("eu.i.posthog.com", "PostHog", ("eu",)),
        ("eu.api.smith.langchain.com", "LangChain", ("eu", "nl")),
        ("meridian.openai.azure.com", "Microsoft Azure", ()),
    ],
)
def test_hosts_are_found_by_name_or_pattern(host: str, operator: str, regions: tuple[str, ...]) -> None:
    place = place_of(host)
    assert place is not None
    assert (place.operator, place.regions) == (operator, regions)
    assert place_of(f"evil-{host}") != place or "*" in str(place.hosts)


def test_a_region_that_the_table_denies_keeps_the_house_closed(tmp_path: Path) -> None:
    values = {**VALUES, "generator.endpoint": "https://api.openai.com/v1", "generator.operator": "OpenAI"}
    with pytest.raises(SettingsError, match=r"declared in eu, and is in us") as caught:
        House.create(tmp_path / "house", values)
    assert "help.openai.com" in caught.value.hint
    check(Endpoint("generator.endpoint", "", "", "api.openai.com", 443, "OpenAI", "us"))
    check(Endpoint("generator.endpoint", "", "", "nobody-knows.example", 443, "X", "eu"))


def test_the_report_says_what_leaves_to_whom_why_and_what_was_stopped(house: Path) -> None:
    told = json.loads(freehold("--house", str(house), "doctor", "--residency", "--json"))
    assert [(way["host"], way["operator"], way["basis"]) for way in told["ways"]] == [
        ("api.scaleway.ai", "Scaleway SAS", "inside"),
        ("10.0.0.9", "Quay IT", "own-network"),
    ]
    assert told["ways"][0]["source"].startswith("https://www.scaleway.com/")
    (stopped,) = told["stopped"]
    assert (stopped["host"], stopped["attempts"], stopped["how"]) == ("telemetry.example", 4, "lookup")
    assert told["unseen"] == {"git": 1}
    shown = freehold("--house", str(house), "doctor", "--residency")
    assert "telemetry.example" in shown
    assert "not seen by the guard" in shown


def test_what_was_stopped_gets_a_leaf_once(house: Path) -> None:
    with House(house) as opened:
        opened.record()
        opened.record()
        leaves = [leaf for leaf in opened.ledger.leaves() if leaf.kind == "egress.stopped"]
    assert [leaf.counts["stopped"] for leaf in leaves] == [4]


def test_the_statement_is_signed_logged_and_checked_without_a_house(house: Path, tmp_path: Path) -> None:
    to = tmp_path / "residency.json"
    freehold("--house", str(house), "doctor", "--residency", "--statement", str(to))
    with House(house) as opened:
        last = list(opened.ledger.leaves())[-1]
        assert last.kind == "residency.stated"
        key, log_key = json.loads(to.read_text())["publicKey"], opened.ledger.public
    told = freehold("verify", str(to), "--key", key, "--log-key", base64.b64encode(log_key).decode())
    assert "api.scaleway.ai (Scaleway SAS, eu)" in told
    found = json.loads(freehold("verify", str(to), "--json"))["residency"]
    assert found["stopped"][0]["host"] == "telemetry.example"
    freehold("verify", str(to), "--key", base64.b64encode(bytes(32)).decode(), code=1)


@pytest.mark.parametrize("change", ["payload", "leaf", "signature", "fields"])
def test_a_statement_that_was_changed_does_not_hold(house: Path, tmp_path: Path, change: str) -> None:
    to = tmp_path / "residency.json"
    with House(house) as opened:
        state(opened, to)
    bundle = json.loads(to.read_text())
    if change == "payload":
        said = base64.b64decode(bundle["envelope"]["payload"]).replace(b"Scaleway SAS", b"Somebody Inc")
        bundle["envelope"]["payload"] = base64.b64encode(said).decode()
    elif change == "leaf":
        leaf = base64.b64decode(bundle["log"]["leaf"]).replace(b'"items":2', b'"items":1')
        bundle["log"]["leaf"] = base64.b64encode(leaf).decode()
    elif change == "signature":
        bundle["envelope"]["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    else:
        bundle["also"] = 1
    with pytest.raises(offline.Invalid):
        signed.verify(bundle)


def test_a_house_without_endpoints_says_that_nothing_leaves(tmp_path: Path) -> None:
    with House.create(tmp_path / "plain", {"house.name": "plain"}) as plain:
        report = residency(plain.settings, plain.root)
        assert report.leaves == ()
        assert endpoints(plain.settings) == ()
    assert "nothing leaves this machine" in freehold("--house", str(tmp_path / "plain"), "doctor", "--residency")
    assert config.FILE_NAME in {path.name for path in (tmp_path / "plain").iterdir()}
