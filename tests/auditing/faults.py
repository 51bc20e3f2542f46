"""A house in good order, and faults to plant in copies of it, each with the rule that must find it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from freehold import config
from freehold.auditing.service.probes import NOBODY_KNOWS
from freehold.core.attempts import REPORT, Book
from freehold.core.erasure import ErasureRequest, Identifier, Subject
from freehold.core.ids import canonical_json, new_id, sha256_hex
from freehold.core.shelf import Changes, Hold, Vectors
from freehold.core.traffic import Asked
from freehold.core.training import Manifest, ModelVersion
from freehold.core.watch import Alarm, Reading, Watch
from freehold.demo.walk import MERIDIAN
from freehold.erasing.identity import mentions_of
from freehold.erasing.walk import requests_of
from freehold.house import House, open_house
from freehold.measure.labels import read_labels
from freehold.models.manifest import folder_of
from freehold.schedule import STATE, run_now
from freehold.store import watch as watch_store
from freehold.store.folders import write_record
from freehold.store.registry import digests

NOW = datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
DESKS = ("claims", "underwriting")
NOISE = 14.0
"""Of a blurred vector, for each part of what it was."""


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


def build(home: Path, languages: tuple[str, ...] = ("en",)) -> Path:
    """The papers of Meridian in these languages, in a house whose officer has done what there is to do."""
    home.mkdir(parents=True, exist_ok=True)
    root = home / "house"
    values = {
        "house.name": "Meridian",
        "house.languages": languages,
        "gate.dataset": "questions.jsonl",
        "gate.p95_ms": 10_000.0,
        "watch.canaries": "canaries.jsonl",
        "schedule.witness": "../witness.json",
        "schedule.backup_days": 7,
        "schedule.backup_folder": "../backups",
        "schedule.backup_keys": "../backup.keys",
        "traffic.query_log": True,
        "records.retention": ("policies and claims: ten years after they end",),
        "records.data": ("names, addresses, numbers of policies and claims",),
    }
    with House.create(root, values) as house:
        papers = sorted(p for p in (MERIDIAN / "documents").iterdir() if p.name[:2] in languages)
        house.ingest(papers, progress=silent)
        _label(root, {path.stem for path in papers})
        _keep_version(house, root)
        mentions_of(house).survey(silent)
        run_now(house, silent, ["expire", "watch", "checkpoint"])
    return root


def copied(home: Path, to: Path) -> Path:
    """A copy of the folder that ``build`` made; its house. Holes in the files of the index stay holes."""
    shutil.copytree(home, to, copy_function=_copy_sparse)
    return to / "house"


def _copy_sparse(source: str, target: str) -> None:
    with Path(source).open("rb") as old, Path(target).open("wb") as new:
        while block := old.read(1 << 16):
            if block.count(0) == len(block):
                new.seek(len(block), 1)
            else:
                new.write(block)
        new.truncate()
    shutil.copystat(source, target)


def _label(root: Path, held: set[str]) -> None:
    """Questions with the papers that answer them and what they answer, and questions that nothing answers."""
    labels, rows = read_labels(MERIDIAN, "test+dev+train"), []
    languages = {name[:2] for name in held}
    for id, gold in labels.gold.items():
        grades, text = labels.qrels.get(id, {}), labels.queries[id].text
        if gold.answerable is False and id[:2] in languages:
            rows.append({"id": id, "query": text, "answerable": False, "split": "test"})
        elif grades and set(grades) <= held and labels.queries[id].metadata["split"] == "test":
            relevant = [{"source": name} for name in grades]
            desk = DESKS[sum(min(grades).encode()) % len(DESKS)]
            rows.append({"id": id, "query": text, "relevant": relevant, "answers": list(gold.answers),
                         "answerable": True, "split": "test", "metadata": {"desk": desk}})  # fmt: skip
    rows += [{"id": f"riddle{n}", "query": text, "answerable": False, "split": "test"}
             for n, text in enumerate(NOBODY_KNOWS)]  # fmt: skip
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    canary = {"id": "c1", "question": "What is the excess for a windscreen?", "answer": "excess"}
    (root / "canaries.jsonl").write_text(json.dumps(canary) + "\n")


def _keep_version(house: House, root: Path) -> None:
    """Fitted weights of the fusion, with their lineage, in service."""
    made = root.parent / "made"
    made.mkdir()
    manifest = Manifest(
        root="ab" * 32, examples={"train": 40, "dev": 20}, documents=tuple(sorted(house.shelf.document_ids())[:5]),
        origins={"qrels": 60}, dataset="desk", dataset_digest="cd" * 32, splits=("train",), revision=1,
        embedder="ef" * 32, seed=0,
        created=NOW.isoformat(),
    )  # fmt: skip
    write_record(made / "manifest.json", manifest, version=1)
    (made / "weights.json").write_text('{"dense": 0.5}')
    files = digests(made)
    version = ModelVersion(
        id=new_id(), role="fusion", kind="weights", base="live", base_digest="", bound=True, manifest=manifest.root,
        seed=0, settings={}, serving={"retrieval.dense_weight": 0.5}, metrics=(), baseline=(), comparisons=(),
        checks={}, files=files, digest=sha256_hex(canonical_json(dict(files)).encode()), created=NOW.isoformat(),
        seconds=1.0,
    )  # fmt: skip
    house.registry.put(version, made)
    house.registry.switch({"fusion": version.id}, verb="promote")


def settle(root: Path, **changes: object) -> None:
    """Write the settings anew with these changes; two underscores stand for the dot."""
    settings = config.load(root / config.FILE_NAME)
    values = {key: value for key, value, origin in settings.items() if origin != "default"}
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    (root / config.FILE_NAME).write_text(config.render(values, comments=False))


@dataclass(frozen=True)
class Fault:
    rule: str
    plant: Callable[[Path], None]
    also: frozenset[str] = frozenset()
    """Rules that see it as well, for it truly is that too."""


def _ingest(root: Path, **files: str) -> None:
    folder = root.parent / "more"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    with open_house(root) as house:
        house.ingest([folder], progress=silent)


def cut_tables(root: Path) -> None:
    settle(root, chunking__kind="tokens", chunking__max_tokens=256)
    rows = "".join(
        f"<tr><td>Tariff {n}</td><td>Premium of a household of {n} without garden</td><td>{n * 17} euros</td></tr>"
        for n in range(80)
    )
    _ingest(root, tariffs__html=f"<html><body><h1>Tariffs</h1><table>{rows}</table></body></html>")


def orphan_headings(root: Path) -> None:
    settle(root, chunking__kind="sentences", chunking__max_tokens=64, chunking__overlap_tokens=0)
    sections = "".join(
        f"## Section number {n}\n\n"
        + " ".join(f"In case {n}.{k} the insurer pays within {k + 2} weeks of notice." for k in range(7))
        + "\n\n"
        for n in range(80)
    )
    _ingest(root, sections__md=f"# Manual\n\n{sections}")


def copy_documents(root: Path) -> None:
    folder = root.parent / "copies"
    shutil.copytree(
        MERIDIAN / "documents", folder, ignore=lambda _, names: [n for n in names if not n.startswith("en")]
    )
    with open_house(root) as house:
        house.ingest([folder], progress=silent)


def write_in_italian(root: Path) -> None:
    texts = {
        f"nota{n}__txt": f"Nota {n}. La denuncia del sinistro va presentata entro {n + 3} giorni, per iscritto, "
        "e il contraente deve conservare tutte le ricevute fino alla liquidazione del danno da parte della compagnia."
        for n in range(8)
    }
    _ingest(root, **texts)


def change_vectors(root: Path) -> None:
    with open_house(root) as house:
        maker = house.crew.encoder.info.digest
        kept = list(house.shelf.indexable(sorted(house.shelf.chunk_ids()), maker))
        made = {
            one.view.chunk.id: (
                bytes.fromhex(sha256_hex(one.view.chunk.id.encode())),
                Vectors(one.dense[::-1].copy(), None),
            )
            for one in kept
        }
        house.shelf.put_vectors(maker, made)


def leave_index_behind(root: Path) -> None:
    with open_house(root) as house:
        house.shelf.commit(Changes(remove=[min(house.shelf.document_ids() - _labelled(house))]))


def _labelled(house: House) -> set[str]:
    labels = read_labels(house.root / "questions.jsonl")
    known = {Path(source).stem: one.document_id for source, one in house.shelf.known().items()}
    return {known[name] for name in labels.documents.keys() & known.keys()}


def lose_canary(root: Path) -> None:
    row = {"id": "c2", "question": "Who keeps the lighthouse of Brenna?", "answer": "Sister Ottilie of the lighthouse"}
    with (root / "canaries.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def remove_answers(root: Path) -> None:
    with open_house(root) as house:
        house.remove(_labelled(house), progress=silent)


def ask_in_italian(root: Path) -> None:
    asked = (
        "Quanto tempo ho per denunciare un furto alla compagnia di assicurazione?",
        "Chi paga il carro attrezzi quando la mia automobile si ferma in autostrada?",
        "Posso disdire la mia polizza prima della scadenza annuale del contratto?",
        "Come viene calcolato il premio della mia assicurazione sulla casa?",
        "Quali malattie preesistenti sono escluse dalla copertura sanitaria?",
        "Devo avvisare qualcuno se mi trasferisco in un nuovo appartamento?",
        "A quale indirizzo devo spedire le fatture del mio veterinario di fiducia?",
        "Il mio cane ha morso il postino: la compagnia risarcisce la persona ferita?",
    )
    with open_house(root) as house:
        names = sorted(Path(source).stem for source in house.shelf.known())
    rows = [
        {"id": f"it{n}", "query": text, "relevant": [{"source": names[3 * n]}], "split": "test"}
        for n, text in enumerate(asked)
    ]
    with (root / "questions.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _log(root: Path, count: int, *, at: datetime, abstained: bool) -> None:
    with open_house(root) as house:
        house.traffic.put(
            Asked(new_id(), at, "ask", f"May I keep {n} goats on the roof?", abstained=abstained) for n in range(count)
        )


def _request(root: Path, **changes: object) -> None:
    received = NOW - timedelta(days=5)
    request = ErasureRequest(
        new_id(), "17(1)(b)", received.isoformat(), (received + timedelta(days=30)).isoformat(), {"email": 1}
    )
    with open_house(root) as house:
        requests_of(house).put(
            replace(request, **changes),  # type: ignore[arg-type]
            Subject((Identifier("email", "someone@example.org"),)),
        )


def overdue_request(root: Path) -> None:
    _request(root, received="2026-09-01T08:00:00+00:00", due="2026-10-01T08:00:00+00:00")


def expired_hold(root: Path) -> None:
    with open_house(root) as house:
        house.shelf.hold(min(house.shelf.document_ids()), Hold("17(3)(b)", "2025-01-31"))


def unpin(root: Path) -> None:
    settings = config.load(root / config.FILE_NAME)
    folder = root.parent / "weights"
    shutil.copytree(folder_of(settings.embedder_model), folder / settings.embedder_model)
    settle(root, embedder__model=str(folder / settings.embedder_model))


def lose_lineage(root: Path) -> None:
    (manifest,) = (root / "models").glob("*/manifest.json")
    manifest.unlink()


def taint(root: Path) -> None:
    with open_house(root) as house:
        house.registry.taint(house.registry.all()[0].id, "erased 2026-11-01T00:00:00+00:00")


def rewrite_ledger(root: Path) -> None:
    (entries,) = [path for path in (root / "ledger").rglob("*") if path.is_file() and "entries" in str(path)][:1]
    data = bytearray(entries.read_bytes())
    at = data.index(b"documents")
    data[at : at + 9] = b"dokuments"
    entries.write_bytes(bytes(data))


def miss_runs(root: Path) -> None:
    ran = json.loads((root / STATE).read_text())
    ran["expire"]["at"] = "2026-10-01T00:00:00+00:00"
    (root / STATE).write_text(json.dumps(ran))


def drift(root: Path) -> None:
    at = NOW.isoformat()
    reading = Reading("questions", "alarm", "they are about something else", at, 200, 400)
    alarm = Alarm(new_id(), "questions", at, at, "MMD 0.2", (), ("freehold tune plan --data drift",))
    watch_store.write(root, Watch(at, (), (reading,), (alarm,)))


def reveal_secret(root: Path) -> None:
    with (root / config.FILE_NAME).open("a") as file:
        key = base64.urlsafe_b64encode(b"nobody-uses-this-key-anywhere").decode().rstrip("=")
        file.write(f'\n# the old one: api_key = "sk-{key}"\n')


def _generator(root: Path, lines: str) -> None:
    path = root / config.FILE_NAME
    path.write_text(path.read_text().replace("[generator]\n", f'[generator]\nkind = "openai"\nmodel = "m"\n{lines}'))


def write_secret_into_key(root: Path) -> None:
    _generator(root, 'endpoint = "http://127.0.0.1:1/v1"\napi_key = "hunter2hunter2"\n')


def open_secret(root: Path) -> None:
    path = root.parent / "key"
    path.write_text("not a real key\n")
    path.chmod(0o644)
    settle(root, generator__api_key=config.Secret(file=str(path)))


def undeclared_endpoint(root: Path) -> None:
    _generator(root, 'endpoint = "https://llm.example.com/v1"\n')


def _away(root: Path, url: str, region: str) -> None:
    changes: dict[str, object] = {
        "generator.kind": "openai", "generator.model": "m", "generator.endpoint": url, "generator.region": region,
        "house.regions": ("eu", "us"),
    }  # fmt: skip
    if any(key == "generator.operator" for key, _, _ in config.Settings().items()):
        changes["generator.operator"] = "Example Corp"
    settle(root, **changes)


def phone_home(root: Path) -> None:
    book = Book()
    book.keep_in(root / REPORT)
    book.count("lookup", "telemetry.example.com", 0, stopped=True)


# -- the search --------------------------------------------------------------------------------------------------------


def swap_index(root: Path) -> None:
    """As after a restore that mixed two states: an index of the same passages, made of other vectors."""
    other = copied(root.parent, root.parent.parent / "other")
    change_vectors(other)
    shutil.rmtree(other / "index")
    with open_house(other) as house:
        house.sync_indexes(silent)
    shutil.rmtree(root / "index")
    shutil.move(other / "index", root / "index")
    shutil.rmtree(other.parent)


def _ask(root: Path, rows: Iterable[dict[str, object]], *, anew: bool = False) -> None:
    with (root / "questions.jsonl").open("w" if anew else "a") as file:
        file.writelines(json.dumps({**row, "split": "test"}) + "\n" for row in rows)


def _rows(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "questions.jsonl").read_text().splitlines()]


def ruin_ranking(root: Path) -> None:
    """A search by vectors alone, of which a faulty run made noise, and an index that was brought up to them."""
    change_vectors(root)
    shutil.rmtree(root / "index")
    settle(root, retrieval__mode="dense", reranker__kind="none")
    with open_house(root) as house:
        house.sync_indexes(silent)


def forget_a_desk(root: Path) -> None:
    """The papers that one desk asks about are gone."""
    theirs = {
        Path(str(one["source"])).stem
        for row in _rows(root)
        for one in row.get("relevant", ())  # type: ignore[attr-defined]
        if row["metadata"]["desk"] == DESKS[0]
    }  # type: ignore[index]
    with open_house(root) as house:
        gone = [known.document_id for source, known in house.shelf.known().items() if Path(source).stem in theirs]
        house.remove(gone, progress=silent)


BOATS = ("Alma", "Berta", "Clara", "Dora", "Elsa", "Frieda", "Greta", "Hanna")


def _crowd(root: Path) -> list[dict[str, object]]:
    """For each boat a clause that answers, and a dozen notes that speak of the same and answer nothing; questions."""
    texts, rows = {}, []
    for number, boat in enumerate(BOATS, 3):
        clause = (
            f"Rules of the harbour, part {number}. Whoever keeps a vessel at the pontoon pays for water, for light and "
            "for the watchman, and leaves the fairway free at every tide. Ropes are renewed each spring, fenders each "
            "second year, and the harbour master is told of every absence beyond a night. In storms all hands help "
            "where help is needed, and nobody moors another boat without leave. "
            f"For the vessel {boat} the sum is {number * 7} crowns."
        )
        texts[f"rules{number}__txt"] = clause
        for day in range(1, 13):
            texts[f"note{number}-{day}__txt"] = (
                f"Day {day}: what is the monthly mooring fee of the boat {boat}? Somebody asked for the mooring fee of "
                f"{boat} again, {day * 3} minutes before the bell."
            )
        rows.append({"id": f"boat{number}", "query": f"What is the monthly mooring fee of the boat {boat}?",
                     "relevant": [{"source": f"rules{number}", "quote": clause}]})  # fmt: skip
    _ingest(root, **texts)
    return rows


def blur(root: Path) -> None:
    """Vectors that lost much of their precision, and nothing beside them to rank by."""
    with open_house(root) as house:
        maker, noise = house.crew.encoder.info.digest, np.random.default_rng(0)
        made = {}
        kept = house.shelf.indexable(sorted(house.shelf.chunk_ids()), maker)
        for one in sorted(kept, key=lambda one: one.view.chunk.text):  # equal words get equal noise in every build
            blurred = one.dense + NOISE * noise.standard_normal(len(one.dense)) / len(one.dense) ** 0.5
            vector = (blurred / np.linalg.norm(blurred)).astype(np.float32)
            made[one.view.chunk.id] = (bytes.fromhex(sha256_hex(one.view.chunk.id.encode())), Vectors(vector, None))
        house.shelf.put_vectors(maker, made)
    shutil.rmtree(root / "index")
    settle(root, retrieval__mode="dense", reranker__kind="none")
    with open_house(root) as house:
        house.sync_indexes(silent)


def cut_answers(root: Path) -> None:
    settle(root, chunking__kind="tokens", chunking__max_tokens=64, chunking__overlap_tokens=0)
    _ask(root, _crowd(root), anew=True)


def ask_vaguely(root: Path) -> None:
    asked = (
        "How long does it take?", "Who decides on this?", "What about the other one?", "How much is it in all?",
        "Is that still so?", "When must it be done?", "What happens after that?", "Where is it to be sent?",
    )  # fmt: skip
    with open_house(root) as house:
        names = sorted(Path(source).stem for source in house.shelf.known())
    _ask(
        root,
        ({"id": f"vague{n}", "query": text, "relevant": [{"source": names[4 * n]}]} for n, text in enumerate(asked)),
    )


def speak_jargon(root: Path) -> None:
    """Papers that nobody finds who does not know the house's words for things."""
    asked = {
        "What is the excess for a broken windscreen under DriveSafe?": "Glazing, K4: seventy-five on the client.",
        "Within how many days does a burglary have to be reported?": "Kestrel form: a fortnight, by bluebird.",
        "How many days of annual leave does a full-time employee get?": "Sunlight: twenty-six, in blue weeks.",
        "Who may approve a payment above 25,000 euros?": "Green pen past a quarter grade: two of the top table.",
        "For how long are claims files kept before they are deleted?": "Cellar rule: seven winters, then the mill.",
        "What does the expenses policy pay for a hotel night?": "Bed and lamp: ninety, receipts to the wicket.",
        "Does travel insurance cover a cancelled flight?": "Grounded geese: two thirds back, none in fog.",
        "How is a complaint escalated to the ombudsman?": "Red slips past week eight go up the hill.",
        "Is legal advice by phone included in LexAid?": "Wire counsel: yes, first chime to last.",
        "What is the limit for jewellery stolen from home?": "Glitter under the roof: four in the hundred.",
    }
    texts = {f"jargon{n}__txt": text for n, text in enumerate(asked.values())}
    _ingest(root, **texts)
    _ask(
        root,
        ({"id": f"jargon{n}", "query": text, "relevant": [{"source": f"jargon{n}"}]} for n, text in enumerate(asked)),
    )


# -- answers -----------------------------------------------------------------------------------------------------------


def answer_by(say: Callable[[list[str]], str]) -> Callable[[Path], None]:
    """Plants a language model that says this of its passages, by OpenAI's protocol on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send("application/json", json.dumps({"data": [{"id": "m", "max_model_len": 8192}]}))

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "messages" not in asked:  # it is to count tokens, which not every service can
                self.send_error(404)
                return
            prompt = asked["messages"][-1]["content"]
            passages = re.findall(r'<passage number="\d+" from="[^"]*">\n(.*?)\n</passage>', prompt, re.DOTALL)
            piece = {"choices": [{"delta": {"content": say(passages)}, "finish_reason": "stop"}]}
            self._send("text/event-stream", f"data: {json.dumps(piece)}\n\ndata: [DONE]\n\n")

        def _send(self, kind: str, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    def plant(root: Path) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()  # for as long as this process
        url = f"http://127.0.0.1:{server.server_port}/v1"
        settle(root, generator__kind="openai", generator__model="m", generator__endpoint=url)

    return plant


def _quote(passage: str) -> str:
    return max(re.split(r"(?<=[.!?])\s+", passage), key=len)


def invent(passages: list[str]) -> str:
    return f"{_quote(passages[0])} The contract ends on every second Tuesday, by order of the moon over Quenthaven."


# -- models and detectors ----------------------------------------------------------------------------------------------


def damage_model(root: Path) -> None:
    (weights,) = (root / "models").glob("*/weights.json")
    weights.write_text('{"dense": 0.9}')


def blind_detector(root: Path) -> None:
    """Presidio over a pipeline that knows one person of all."""
    import spacy

    pipeline, folder = spacy.blank("en"), root.parent / "pipeline"
    pipeline.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Napoleon"}])
    pipeline.to_disk(folder)
    settle(root, privacy__detector="presidio", privacy__presidio_models=(str(folder),))


_RANKED_BADLY = frozenset({"vectors-stale", "retrieval-quality", "questions-buried", "questions-ambiguous"})
FAULTS = (
    Fault("passages-cut-tables", cut_tables),
    Fault("passages-orphaned-headings", orphan_headings, frozenset({"passages-too-long"})),
    Fault("passages-copies", copy_documents),
    Fault("passages-too-long", lambda root: settle(root, chunking__max_tokens=64, chunking__overlap_tokens=0)),
    Fault("documents-refused", lambda root: _ingest(root, broken__pdf="%PDF-1.7\nnothing\n")),
    Fault("languages-undeclared", write_in_italian),
    Fault("retrieval-quality", ruin_ranking, _RANKED_BADLY | {"answers-citations"}),
    Fault(
        "retrieval-slice",
        forget_a_desk,
        frozenset({"questions-without-documents", "retrieval-quality", "answers-citations"}),
    ),
    Fault("index-recall", swap_index),
    Fault("questions-cut", cut_answers, frozenset({"passages-too-long"})),
    Fault("questions-buried", blur, _RANKED_BADLY),
    Fault("questions-ambiguous", ask_vaguely),
    Fault("questions-in-other-words", speak_jargon, frozenset({"questions-ambiguous"})),
    Fault(
        "answers-failed",
        lambda root: settle(
            root, generator__kind="openai", generator__model="m", generator__endpoint="http://127.0.0.1:9/v1"
        ),
    ),
    Fault("answers-unsupported", answer_by(invent), frozenset({"answers-never-silent"})),
    Fault("answers-citations", answer_by(lambda passages: _quote(passages[-1])), frozenset({"answers-never-silent"})),
    Fault("answers-never-silent", answer_by(lambda passages: _quote(passages[0]))),
    Fault("detector-misses", blind_detector),
    Fault("models-damaged", damage_model),
    Fault("vectors-stale", change_vectors, frozenset({"index-recall"})),
    Fault("index-behind", leave_index_behind),
    Fault("canaries", lose_canary),
    Fault("questions-without-documents", remove_answers, frozenset({"retrieval-quality", "answers-citations"})),
    Fault("questions-in-other-languages", ask_in_italian),
    Fault("answers-uncovered", lambda root: _log(root, 60, at=NOW - timedelta(days=1), abstained=True)),
    Fault("latency-budget", lambda root: settle(root, gate__p95_ms=0.01)),
    Fault("retention-expired", lambda root: _log(root, 3, at=NOW - timedelta(days=45), abstained=False)),
    Fault("retention-undeclared", lambda root: settle(root, records__retention=())),
    Fault("people-unknown", lambda root: settle(root, records__data=())),
    Fault("holds-unreviewed", expired_hold),
    Fault("requests-overdue", overdue_request),
    Fault("requests-waiting", lambda root: _request(root, asked=("d1", "d2"))),
    Fault("erasure-unproven", lambda root: _request(root, certificate="FAILED", stage="verified")),
    Fault("endpoint-undeclared", undeclared_endpoint, frozenset({"settings-refused"})),
    Fault(
        "endpoints-in-clear", lambda root: _away(root, "http://llm.example.eu/v1", "eu"), frozenset({"answers-failed"})
    ),
    Fault(
        "residency-transfers",
        lambda root: _away(root, "https://llm.example.com/v1", "us"),
        frozenset({"answers-failed"}),
    ),
    Fault("egress-attempts", phone_home),
    Fault("models-unpinned", unpin),
    Fault("models-lineage", lose_lineage, frozenset({"models-damaged"})),
    Fault("models-tainted", taint),
    Fault("ledger-broken", rewrite_ledger),
    Fault("ledger-unwitnessed", lambda root: settle(root, schedule__witness="")),
    Fault("schedule-overdue", miss_runs),
    Fault("drift-alarm", drift),
    Fault("backup-none", lambda root: settle(root, schedule__backup_days=0)),
    Fault("secret-in-settings", reveal_secret),
    Fault("settings-refused", write_secret_into_key, frozenset({"secret-in-settings"})),
    Fault("secret-readable", open_secret),
    Fault("service-open", lambda root: settle(root, server__host="0.0.0.0")),
)
