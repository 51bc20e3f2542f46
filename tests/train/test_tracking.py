"""Versions told to a real MLflow: a server on loopback, and a folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from freehold.core.errors import EndpointFault, SettingsError, StorageFault
from freehold.core.experiment import Comparison, Estimate
from freehold.core.training import Manifest, ModelVersion
from freehold.models.adapt import write_adapter
from freehold.tuning.tracking import metrics_of, track, track_state

mlflow = pytest.importorskip("mlflow")

SECRET = "wanderfalter"
MANIFEST = Manifest(
    root="ab" * 32,
    examples={"train": 120, "dev": 40},
    documents=("d1", "d2", "d3"),
    origins={"qrels": 160},
    dataset=f"/home/{SECRET}/harbour",
    dataset_digest="cd" * 32,
    splits=("train",),
    revision=3,
    embedder="ef" * 32,
    seed=7,
    created="2026-01-02T03:04:05+00:00",
    left_out={"near-duplicate": 2},
    settings={"query": SECRET},
)
VERSION = ModelVersion(
    id="11111111-2222-4333-8444-555555555555",
    role="adapter",
    kind="residual",
    base="all-minilm-l6-v2",
    base_digest="ef" * 32,
    bound=True,
    manifest=MANIFEST.root,
    seed=7,
    settings={"learning_rate": 1e-3, "strength": 0.75, "ladder": {"epochs": 20}},
    serving={"retrieval.dense_weight": 0.6},
    metrics=(Estimate("nDCG@10", 0.61, (0.58, 0.64), 40), Estimate("R@50", None, None, 0, reason="none")),
    baseline=(Estimate("nDCG@10", 0.55, (0.52, 0.58), 40),),
    comparisons=(Comparison("candidate", "live", "nDCG@10", "", 0.06, (0.02, 0.1), 0.01, 0.01, 0.03, 40),),
    checks={"cosine": 0.999},
    files={"adapter.safetensors": "01" * 32},
    digest="23" * 32,
    created="2026-01-02T03:04:05+00:00",
    seconds=12.5,
    experiment="99999999-2222-4333-8444-555555555555",
    versions={"numpy": "2.4"},
)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "version"
    made.mkdir()
    write_adapter(made, np.zeros((4, 4), np.float32), np.ones(4, np.float32))
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of MLflow's own, with a database and a store of artefacts behind it."""
    pytest.importorskip("flask")  # the whole of MLflow, not the client alone
    root = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{root}/server.db", "--artifacts-destination", str(root / "artefacts"),
    ]  # fmt: skip
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=root, env=os.environ | quiet, start_new_session=True
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with urlopen(f"{uri}/health", timeout=1):
                    break
            except OSError:
                assert process.poll() is None, (root / "log").read_text()
                time.sleep(0.2)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.fixture(params=["server", "folder", "database"])
def uri(request, tmp_path):
    if request.param == "server":
        return request.getfixturevalue("server")
    return str(tmp_path / "runs") if request.param == "folder" else f"sqlite:///{tmp_path}/runs.db"


def client(uri):
    address = uri if "://" in uri else f"sqlite:///{uri}/mlflow.db"
    return mlflow.MlflowClient(tracking_uri=address, registry_uri=address)


def test_a_version_is_there_with_all_that_it_is_made_of(uri, folder, tmp_path):
    name = f"house {tmp_path.name}"
    told = track(VERSION, MANIFEST, experiment=name, folder=folder, uri=uri, artefacts=True)
    run = client(uri).get_run(told.run_id)
    assert run.info.status == "FINISHED"
    metrics = run.data.metrics
    assert metrics["dev/nDCG_at_10"] == 0.61
    assert (metrics["dev/nDCG_at_10/low"], metrics["dev/nDCG_at_10/high"]) == (0.58, 0.64)
    assert (metrics["live/nDCG_at_10"], metrics["gain/nDCG_at_10"], metrics["gain/nDCG_at_10/p"]) == (0.55, 0.06, 0.01)
    assert metrics["check/cosine"] == 0.999
    assert "dev/R_at_50" not in metrics  # no data is not zero
    params = run.data.params
    assert params["settings.learning_rate"] == "0.001"
    assert params["settings.ladder.epochs"] == "20"
    assert params["serving.retrieval.dense_weight"] == "0.6"
    assert (params["data.examples.train"], params["data.documents"]) == ("120", "3")
    tags = run.data.tags
    assert (tags["freehold.manifest"], tags["freehold.digest"]) == (MANIFEST.root, VERSION.digest)
    assert tags["freehold.dataset_digest"] == MANIFEST.dataset_digest
    inputs = {i.tags[0].value: i.dataset for i in run.inputs.dataset_inputs}
    assert inputs["labels"].digest == MANIFEST.dataset_digest[:36]
    assert (inputs["labels"].name, inputs["training"].source) == ("harbour", f"sha256:{MANIFEST.root}")
    made = client(uri).get_model_version(told.model, told.number)
    assert made.run_id == told.run_id
    assert made.tags["freehold.state"] == "candidate"
    assert made.tags["freehold.digest"] == VERSION.digest
    down = client(uri).download_artifacts(told.run_id, "model", str(tmp_path))
    assert (Path(down) / "adapter.safetensors").read_bytes() == (folder / "adapter.safetensors").read_bytes()


def test_a_version_is_told_once_and_its_state_as_often_as_it_changes(uri, folder, tmp_path):
    name = f"house {tmp_path.name}"
    told = track(VERSION, MANIFEST, experiment=name, folder=folder, uri=uri, artefacts=False)
    again = track(VERSION, MANIFEST, experiment=name, folder=folder, uri=uri, artefacts=False, state="live")
    assert again == told
    assert client(uri).get_model_version(told.model, told.number).tags["freehold.state"] == "live"
    assert track_state(VERSION, "retired", experiment=name, uri=uri)
    assert client(uri).get_run(told.run_id).data.tags["freehold.state"] == "retired"
    assert not track_state(replace(VERSION, id="other"), "live", experiment=name, uri=uri)
    other = track(replace(VERSION, id="other"), MANIFEST, experiment=name, folder=folder, uri=uri, artefacts=False)
    assert (other.model, other.number) == (told.model, "2")
    assert not client(uri).list_artifacts(told.run_id)


def test_no_words_and_no_names_go_along(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("USER", SECRET)
    monkeypatch.setenv("LOGNAME", SECRET)
    track(VERSION, MANIFEST, experiment="house", folder=folder, uri=str(tmp_path / "runs"), artefacts=True)
    for path in (tmp_path / "runs").rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_run_that_broke_off_is_told_again(folder, tmp_path):
    uri = str(tmp_path / "runs")
    (folder / "adapter.safetensors").unlink()
    (folder / "adapter.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(StorageFault):
        track(VERSION, MANIFEST, experiment="house", folder=folder, uri=uri, artefacts=True)
    (folder / "adapter.safetensors").unlink()
    write_adapter(folder, np.zeros((4, 4), np.float32), np.ones(4, np.float32))
    told = track(VERSION, MANIFEST, experiment="house", folder=folder, uri=uri, artefacts=True)
    place = client(uri).get_experiment_by_name("house").experiment_id
    assert sorted(run.info.status for run in client(uri).search_runs([place])) == ["FAILED", "FINISHED"]
    assert told.number == "1"


def test_a_server_that_is_not_there_is_an_error_soon(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://user:hunter2@127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(EndpointFault) as caught:
        track(VERSION, MANIFEST, experiment="house", folder=folder, uri=uri, artefacts=True)
    assert time.monotonic() - started < 30
    assert "kept in the house" in caught.value.hint
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


def test_something_else_at_the_address_is_an_error(folder, tmp_path):
    (tmp_path / "index.html").write_text("hello")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        port = process.stdout.readline().split("port ")[1].split()[0]
        with pytest.raises(EndpointFault, match=f"127.0.0.1:{port} failed"):
            track(VERSION, MANIFEST, experiment="h", folder=folder, uri=f"http://127.0.0.1:{port}", artefacts=True)
    finally:
        process.kill()
        process.wait()


def test_what_is_no_address_is_refused(folder, tmp_path):
    with pytest.raises(SettingsError, match="databricks:// is no address"):
        track(VERSION, MANIFEST, experiment="h", folder=folder, uri="databricks://x", artefacts=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFault):
        track(VERSION, MANIFEST, experiment="h", folder=folder, uri=str(tmp_path / "file"), artefacts=False)


def test_patience_is_lent_and_given_back(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    track(VERSION, MANIFEST, experiment="h", folder=folder, uri=str(tmp_path / "runs"), artefacts=False)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_metrics_of_slices_stay_at_home():
    row = replace(VERSION.comparisons[0], slice=f"language={SECRET}")
    assert not any(SECRET in name for name in metrics_of(replace(VERSION, comparisons=(row,))))
