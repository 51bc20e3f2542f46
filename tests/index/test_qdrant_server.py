"""The index on a Qdrant server: local mode, the wire format against a stand-in, and a server at FREEHOLD_QDRANT_URL."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from freehold.core.errors import EndpointFault, EngineFault, FreeholdError, SettingsError, StorageFault
from freehold.core.ids import new_id
from freehold.core.ports import VectorIndex
from freehold.core.types import Point, SparseVector
from freehold.index import qdrant_server
from freehold.index.qdrant import QdrantIndex, batch_points
from freehold.index.qdrant_edge import QdrantEdgeIndex
from freehold.index.qdrant_server import Server
from freehold.testing.vector_index import DIM, VectorIndexCase, make_point, terms, unit

qdrant_client = pytest.importorskip("qdrant_client")
from qdrant_stand_in import StandIn, served  # noqa: E402 - it needs the client


class ServedCase(VectorIndexCase):
    """The suite over a ``server`` that a subclass gives."""

    level = "logical"

    @pytest.fixture(autouse=True)
    def give_server(self, server: Server) -> Iterator[None]:
        self.server = server
        self.names: dict[Path, str] = {}
        yield
        for name in self.names.values():
            server.ask(lambda client, name=name: client.delete_collection(name))

    def make_index(self, path: Path, *, dim: int) -> VectorIndex:
        self.names[path] = f"freehold-test-{new_id()}"
        return QdrantIndex.create(self.server, self.names[path], dim=dim)

    def reopen(self, path: Path) -> VectorIndex:
        return QdrantIndex.open(self.server, self.names[path])


@pytest.mark.filterwarnings("ignore:.*[Ll]ocal mode")
class TestLocalMode(ServedCase):
    @pytest.fixture
    def server(self) -> Server:
        return Server(qdrant_client.QdrantClient(":memory:"), host="local mode")


class TestOverHttp(ServedCase):
    @pytest.fixture
    def server(self, url: str) -> Server:
        return Server.connect(url, api_key=None, timeout_s=30)


class TestRealServer(ServedCase):
    @pytest.fixture
    def server(self) -> Server:
        url = os.environ.get("FREEHOLD_QDRANT_URL")
        if not url:
            pytest.skip("no Qdrant server here: set FREEHOLD_QDRANT_URL, and FREEHOLD_QDRANT_KEY where it wants a key")
        return Server.connect(url, api_key=os.environ.get("FREEHOLD_QDRANT_KEY"), timeout_s=30)


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def url(stand_in: StandIn) -> Iterator[str]:
    with served(stand_in) as address:
        yield address


@pytest.fixture
def index(url: str, monkeypatch: pytest.MonkeyPatch) -> QdrantIndex:
    monkeypatch.setattr(qdrant_server, "FIRST_PAUSE_S", 0.01)
    index = QdrantIndex.create(Server.connect(url, api_key=None, timeout_s=5), "freehold-one", dim=DIM)
    index.upsert([make_point(seed) for seed in range(20)])
    return index


def test_it_answers_as_the_embedded_engine_does(index: QdrantIndex, tmp_path: Path) -> None:
    edge = QdrantEdgeIndex.create(tmp_path / "index", dim=DIM)
    points = [make_point(seed) for seed in range(300)]
    edge.upsert(points)
    index.upsert(points)
    for seed in range(20):
        for condition in (None, {"language": "de"}):
            asked = {"dense": unit(seed + 900), "sparse": terms(seed + 900), "limit": 10, "filter": condition}
            ours, theirs = index.search(**asked), edge.search(**asked)  # type: ignore[arg-type]
            for leg in ("dense", "lexical"):
                scores = [hit.score for hit in theirs[leg]]  # type: ignore[index]
                assert [hit.score for hit in ours[leg]] == pytest.approx(scores, abs=1e-4)  # type: ignore[index]
                settled = {h.chunk_id for h in theirs[leg] if h.score > scores[-1] + 1e-4}  # type: ignore[index]
                assert settled <= {hit.chunk_id for hit in ours[leg]}  # type: ignore[index]
    edge.close()


CALLS = {
    "upsert": lambda index: index.upsert([make_point(1)]),
    "delete": lambda index: index.delete([make_point(1).chunk_id]),
    "optimize": lambda index: index.optimize(),
    "search": lambda index: index.search(dense=unit(1), sparse=terms(1), limit=3),
    "ids": lambda index: list(index.ids()),
    "present": lambda index: index.present([make_point(1).chunk_id]),
    "count": lambda index: index.count(),
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@calls
@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"status": 500}, "answered 500"),
        ({"status": 503}, "answered 503"),
        ({"status": 429}, "answered 429"),
        ({"status": 429, "retry_after": 0}, "answered 429"),
        ({"status": 401}, "answered 401"),
        ({"status": 403}, "answered 403"),
        ({"status": 404}, "answered 404"),
        ({"status": 400}, "answered 400"),
        ({"status": 302}, "answered 302"),
        ({"cut": "broken off"}, "broke off"),
        ({"cut": "short"}, "did not answer as a Qdrant server"),
    ],
    ids=str,
)
def test_a_failing_server_is_an_endpoint_fault_that_quotes_nothing(
    index: QdrantIndex, stand_in: StandIn, call, faults: dict[str, object], message: str
) -> None:
    stand_in.faults = dict(faults)
    with pytest.raises(EndpointFault, match=message) as caught:
        call(index)
    assert caught.value.hint
    assert "Keller" not in str(caught.value)
    assert caught.value.__suppress_context__


@calls
def test_what_passes_is_tried_again(index: QdrantIndex, stand_in: StandIn, call) -> None:
    for status in (429, 500, 502, 503, 504):
        stand_in.faults = {"status": status, "times": 3}
        call(index)
    assert index.count() in {19, 20}


@calls
def test_no_server_is_an_endpoint_fault(call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant_server, "FIRST_PAUSE_S", 0.01)
    with served(StandIn()) as url:
        pass
    index = QdrantIndex(Server.connect(url, api_key=None, timeout_s=2), "freehold-one", dim=DIM)
    with pytest.raises(EndpointFault, match="cannot be reached") as caught:
        call(index)
    assert "index.endpoint" in caught.value.hint


@calls
def test_a_collection_that_is_gone_is_a_storage_fault(index: QdrantIndex, stand_in: StandIn, call) -> None:
    stand_in.client.delete_collection("freehold-one")
    with pytest.raises(StorageFault, match="not on") as caught:
        call(index)
    assert caught.value.hint


@pytest.mark.parametrize("foreign", [7, "x", "B8CB475D-1A14-4017-BECE-7D98FD17E8C0"])
def test_ids_that_no_house_gives_are_refused(index: QdrantIndex, stand_in: StandIn, foreign: object) -> None:
    stand_in.faults = {"foreign": foreign}
    for call in (CALLS["search"], CALLS["ids"], lambda index: list(index.pages())):
        with pytest.raises(EngineFault, match="not the house's") as caught:
            call(index)
        assert caught.value.hint


def test_a_collection_of_another_make_is_refused(stand_in: StandIn, url: str) -> None:
    models = qdrant_client.models
    server = Server.connect(url, api_key=None, timeout_s=5)
    stand_in.client.create_collection("other", models.VectorParams(size=3, distance=models.Distance.DOT))
    with pytest.raises(StorageFault, match="not as this Freehold"):
        QdrantIndex.open(server, "other")
    with pytest.raises(StorageFault, match="not on"):
        QdrantIndex.open(server, "nothing")


def test_the_key_is_sent_and_looked_at(monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder) -> None:
    with served(StandIn(api_key="right")) as url:
        QdrantIndex.create(Server.connect(url, api_key="right", timeout_s=5), "freehold-one", dim=DIM)
        with pytest.raises(EndpointFault, match="401") as caught:
            QdrantIndex.open(Server.connect(url, api_key="wrong", timeout_s=5), "freehold-one")
        assert "index.api_key" in caught.value.hint
        assert "wrong" not in str(caught.value)
    assert not [warning for warning in recwarn if "insecure" in str(warning.message)]


def test_proxies_are_not_asked(index: QdrantIndex, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert QdrantIndex.open(Server.connect(url, api_key=None, timeout_s=5), "freehold-one").count() == 20


def test_requests_stay_small_whatever_the_dimension() -> None:
    assert (batch_points(384), batch_points(4096), batch_points(10**7)) == (500, 122, 1)


def test_what_a_collection_is_made_with_is_what_the_server_is_asked_for(stand_in: StandIn, url: str) -> None:
    seen = []
    create = stand_in._create
    stand_in._create = lambda name, it: (seen.append(it), create(name, it))[1]  # type: ignore[method-assign]
    server = Server.connect(url, api_key=None, timeout_s=5)
    QdrantIndex.create(server, "freehold-one", dim=384, shards=3, replicas=2)
    (it,) = seen
    assert (it.shard_number, it.replication_factor) == (3, 2)
    assert (it.optimizers_config.deleted_threshold, it.wal_config.wal_capacity_mb) == (0.0, 1)
    assert it.vectors["dense"].quantization_config.scalar.type == "int8"
    assert it.sparse_vectors["bm25"].modifier == "idf"


def test_zero_vectors_and_empty_terms_do_no_harm(index: QdrantIndex) -> None:
    zero, empty = np.zeros(DIM, np.float32), SparseVector([], [])
    index.upsert([Point(new_id(), "d", zero, empty)])
    found = index.search(dense=zero, sparse=empty, limit=3)
    assert list(found["lexical"]) == []
    assert index.count() == 21


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(SettingsError) as absent:
        Server.connect("http://127.0.0.1:6333", api_key=None, timeout_s=5)
    assert absent.value.hint == 'pip install "freehold[qdrant]"'


def test_every_fault_is_of_the_house(index: QdrantIndex, stand_in: StandIn) -> None:
    def answer(*_: object) -> object:
        return {"status": "nonsense"}

    stand_in.answer = answer  # type: ignore[method-assign]
    for call in CALLS.values():
        with pytest.raises(FreeholdError) as caught:
            call(index)
        assert caught.value.hint
