"""Model versions told to MLflow (extra ``mlflow``): to a server, or to a folder or database of one's own.

What goes there are digests, settings, counts and figures, never a word of a query or a document; with ``artefacts``
also the version's files, weights among them: ``withdraw`` takes those back. The registry does not depend on it: where
MLflow fails, the version is kept all the same and can be told again.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from freehold.core.errors import EndpointFault, HouseFault, SettingsError, StorageFault
from freehold.core.files import shred_tree
from freehold.core.telemetry import switch_off
from freehold.core.training import Lineup, Manifest, ModelVersion, State
from freehold.house import House
from freehold.residency.opening import permit
from freehold.tuning.candidate import Tuned

PREFIX = "freehold."
"""Of every tag that is set."""
_DATABASE = "mlflow.db"
_ARTEFACTS = "artefacts"
_MODEL = "model"
_LONGEST_DIGEST = 36
"""That MLflow takes of a data set; tags hold the whole."""
_TIMEOUT_S = 30
_TRIES = 1


@dataclass(frozen=True, slots=True)
class Tracked:
    """Where a version is to be found in MLflow."""

    run_id: str
    model: str
    """Name of the registered model."""
    number: str
    """Its version there."""


def track(
    version: ModelVersion,
    manifest: Manifest,
    *,
    experiment: str,
    folder: Path,
    uri: str,
    artefacts: bool,
    state: State = "candidate",
) -> Tracked:
    """Log the version as a finished run of ``experiment`` and register it as a version of ``EXPERIMENT-ROLE``.

    ``folder``: the version's files. ``uri``: ``http(s)://``, ``sqlite:///`` or a folder, which then holds the database
    and the artefacts. A version that is there already is not logged twice, its state is brought up to date.

    Raises SettingsError where MLflow is not installed or the address is none, EndpointFault where the server cannot be
    reached or refuses, StorageFault for a folder or database.
    """
    with _client(uri) as client:
        place = _experiment(client, experiment, uri)
        known = client.search_runs([place], filter_string=f"tags.`{PREFIX}version` = '{version.id}'")
        run_id = next((run.info.run_id for run in known if run.info.status == "FINISHED"), None)
        if run_id is None:
            run_id = _log(client, place, version, manifest, folder if artefacts else None)
        model = _name(f"{experiment}-{version.role}")
        number = _register(client, model, run_id, version)
        _tell_state(client, model, number, run_id, state)
        return Tracked(run_id, model, number)


def track_tuned(house: House, tuned: Tuned, *, uri: str = "") -> None:
    """Log a new candidate where ``uri`` says, or as the house's settings have it. Raises as ``track``."""
    settings = house.settings
    if uri:
        settings = settings.with_values({"tracking.kind": "mlflow", "tracking.endpoint": uri}, origin="--mlflow")
        permit(settings, house.root)
    part = settings.tracking
    if part.kind == "mlflow":
        track(
            tuned.version,
            tuned.training.manifest,
            experiment=experiment_of(house),
            folder=house.registry.folder(tuned.version.id),
            uri=part.endpoint,
            artefacts=part.artefacts,
        )


def track_state(version: ModelVersion, state: State, *, experiment: str, uri: str) -> bool:
    """Bring the state of a version up to date; False where it was never logged. Raises as ``track`` does."""
    with _client(uri) as client:
        model = _name(f"{experiment}-{version.role}")
        for found in client.search_model_versions(f"name = '{model}'"):
            if found.tags.get(f"{PREFIX}version") == version.id:
                _tell_state(client, model, found.version, found.run_id, state)
                return True
    return False


def sent(version_ids: Collection[str], *, experiment: str, uri: str) -> set[str]:
    """The versions among these whose files lie in MLflow. Raises as ``track`` does."""
    with _client(uri) as client:
        runs = _runs(client, version_ids, experiment)
        return {version_id for version_id, run in runs if client.list_artifacts(run.info.run_id)}


def withdraw(version_ids: Collection[str], *, experiment: str, uri: str) -> None:
    """Delete what was sent of these versions' files; those in a folder of one's own are overwritten before.

    What is said of a version stays: it holds digests, settings and figures. Raises as ``track`` does.
    """
    with _client(uri) as client:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        for _, run in _runs(client, version_ids, experiment):
            place = run.info.artifact_uri
            if urlsplit(place).scheme == "file":
                folder = Path(url2pathname(urlsplit(place).path))
                if folder.exists():
                    shred_tree(folder)
            elif client.list_artifacts(run.info.run_id):
                get_artifact_repository(place, tracking_uri=client.tracking_uri).delete_artifacts()


def _runs(client: Any, version_ids: Collection[str], experiment: str) -> Iterator[tuple[str, Any]]:
    """Every run of these versions, failed and deleted ones too: their files may be there."""
    from mlflow.entities import ViewType

    place = client.get_experiment_by_name(experiment)
    if place is None:
        return
    for version_id in sorted(version_ids):
        query = f"tags.`{PREFIX}version` = '{version_id}'"
        found = client.search_runs([place.experiment_id], filter_string=query, run_view_type=ViewType.ALL)
        yield from ((version_id, run) for run in found)


def tell_states(house: House, *, since: Lineup) -> None:
    """Bring up to date the states of versions that entered or left service since that lineup, where the house's
    settings name an MLflow. Raises as ``track`` does.
    """
    part = house.settings.tracking
    if part.kind != "mlflow":
        return
    for version_id in sorted({*since.versions.values()} ^ {*house.registry.lineup().versions.values()}):
        version, state = house.registry.get(version_id), house.registry.state(version_id)
        track_state(version, state, experiment=experiment_of(house), uri=part.endpoint)


def experiment_of(house: House) -> str:
    """Name of the house's experiment in MLflow."""
    return house.settings.house.name or house.root.name


# -- what is logged ----------------------------------------------------------------------------------------------------


def _log(client: Any, place: str, version: ModelVersion, manifest: Manifest, folder: Path | None) -> str:
    from mlflow.entities import Metric, Param

    run_id: str = client.create_run(
        place, run_name=f"{version.role}-{version.id[:8]}", tags=tags_of(version, manifest)
    ).info.run_id
    try:
        client.log_inputs(run_id, _datasets(manifest))
        metrics = [Metric(name, value, 0, 0) for name, value in metrics_of(version).items()]
        params = [Param(name, value) for name, value in params_of(version, manifest).items()]
        client.log_batch(run_id, metrics=metrics)
        for start in range(0, len(params), 100):  # as many as it takes at a time
            client.log_batch(run_id, params=params[start : start + 100])
        if folder is not None:
            client.log_artifacts(run_id, str(folder), _MODEL)
        client.set_terminated(run_id)
    except BaseException:
        _fail(client, run_id)
        raise
    return run_id


def _fail(client: Any, run_id: str) -> None:
    try:
        client.set_terminated(run_id, "FAILED")
    except Exception:  # what was raised before says more
        logging.getLogger(__name__).debug("a run could not be marked as failed", extra={"run": run_id})


def tags_of(version: ModelVersion, manifest: Manifest) -> Mapping[str, str]:
    """What identifies a version and what it learnt from."""
    tags = {
        "version": version.id,
        "digest": version.digest,
        "role": version.role,
        "kind": version.kind,
        "base_digest": version.base_digest,
        "manifest": manifest.root,
        "dataset_digest": manifest.dataset_digest,
        "splits": "+".join(manifest.splits),
        "created": version.created,
        "experiment": version.experiment,
        **{f"package.{name}": number for name, number in version.versions.items()},
    }
    return {PREFIX + key: value for key, value in tags.items()}


def params_of(version: ModelVersion, manifest: Manifest) -> Mapping[str, str]:
    """Settings of the training, those that go into force with it, and counts of what it learnt from."""
    told: dict[str, object] = {
        "base": version.base,
        "seed": version.seed,
        "settings": version.settings,
        "serving": version.serving,
        "data": {
            "examples": manifest.examples,
            "documents": len(manifest.documents),
            "origins": manifest.origins,
            "left_out": manifest.left_out,
            "false_negatives": manifest.false_negatives,
            "seed": manifest.seed,
        },
    }
    return {_name(key): str(value) for key, value in _flat(told)}


def metrics_of(version: ModelVersion) -> Mapping[str, float]:
    """``dev/nDCG_at_10``, ``live/...`` and ``gain/...``, each with the ends of its interval where it has one."""
    found: dict[str, float | None] = {"seconds": version.seconds}
    for side, estimates in (("dev", version.metrics), ("live", version.baseline)):
        for estimate in estimates:
            found |= _with_ends(f"{side}/{estimate.measure}", estimate.value, estimate.ci95)
    for row in version.comparisons:
        if not row.slice:
            found |= _with_ends(f"gain/{row.measure}", row.difference, row.ci95)
            found[f"gain/{row.measure}/p"] = row.p
    found |= {f"check/{name}": value for name, value in version.checks.items()}
    found["dev/queries"] = max((estimate.queries for estimate in version.metrics), default=None)
    return {_name(name): float(value) for name, value in found.items() if value is not None}


def _with_ends(name: str, value: float | None, ends: tuple[float, float] | None) -> dict[str, float | None]:
    return {name: value} | ({f"{name}/low": ends[0], f"{name}/high": ends[1]} if ends else {})


def _datasets(manifest: Manifest) -> list[Any]:
    """Data sources by digest: the labelled set, and the training set that was made of it."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    sources = {
        "labels": (PurePath(manifest.dataset).name or "labels", manifest.dataset_digest),
        "training": ("training set", manifest.root),
    }
    return [
        DatasetInput(
            Dataset(name=name, digest=digest[:_LONGEST_DIGEST], source_type="local", source=f"sha256:{digest}"),
            [InputTag("mlflow.data.context", context)],
        )
        for context, (name, digest) in sources.items()
    ]


def _flat(values: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _name(text: str) -> str:
    """As MLflow takes names."""
    return re.sub(r"[^A-Za-z0-9_./ -]", "_", text.replace("@", "_at_"))


# -- the registry ------------------------------------------------------------------------------------------------------


def _register(client: Any, model: str, run_id: str, version: ModelVersion) -> str:
    from mlflow.exceptions import MlflowException

    for found in client.search_model_versions(f"name = '{model}'"):
        if found.run_id == run_id:
            return str(found.version)
    try:
        client.create_registered_model(model, tags={f"{PREFIX}role": version.role})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {"version": version.id, "digest": version.digest, "manifest": version.manifest}
    made = client.create_model_version(
        model, f"runs:/{run_id}/{_MODEL}", run_id, tags={PREFIX + key: value for key, value in tags.items()}
    )
    return str(made.version)


def _tell_state(client: Any, model: str, number: str, run_id: str, state: State) -> None:
    client.set_model_version_tag(model, number, f"{PREFIX}state", state)
    client.set_tag(run_id, f"{PREFIX}state", state)


# -- the connection ----------------------------------------------------------------------------------------------------


@contextmanager
def _client(uri: str) -> Iterator[Any]:
    """A client that gives up soon and tells nobody else. What goes wrong within becomes an error of ours."""
    switch_off()
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError:
        hint = 'pip install "freehold[mlflow]", or remove the address of MLflow from the settings'
        raise SettingsError("MLflow is not installed", hint=hint) from None
    patience = {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(_TIMEOUT_S), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(_TRIES)}
    before = {key: os.environ.get(key) for key in patience}
    os.environ.update(patience)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    try:
        address = _address(uri)
        yield MlflowClient(tracking_uri=address, registry_uri=address)
    except (MlflowException, OSError) as error:  # those of requests are OSErrors
        raise _fault(uri, error) from None
    finally:
        for key in patience:
            os.environ.pop(key, None)
        os.environ.update({key: value for key, value in before.items() if value is not None})


def _address(uri: str) -> str:
    scheme = urlsplit(uri).scheme
    if scheme in {"http", "https", "sqlite"}:
        return uri
    if scheme not in {"", "file"}:
        raise SettingsError(
            f"{scheme}:// is no address of MLflow", hint="give http://, https://, sqlite:/// or a folder"
        )
    folder = _folder(uri)
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / _DATABASE}"


def _folder(uri: str) -> Path:
    return Path(urlsplit(uri).path if uri.startswith("file:") else uri).absolute()


def _experiment(client: Any, name: str, uri: str) -> str:
    """Its id; made where it is new. Artefacts of a folder lie in it, those of a database beside it."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    folder = own_folder(uri)
    if folder is None:
        return str(client.create_experiment(name))
    return str(client.create_experiment(name, artifact_location=folder.as_uri()))


def own_folder(uri: str) -> Path | None:
    """Where artefacts lie that are kept in a folder or beside a database of one's own; None for a server."""
    scheme = urlsplit(uri).scheme
    if scheme in {"http", "https"}:
        return None
    root = Path(uri.removeprefix("sqlite:///")).absolute().parent if scheme == "sqlite" else _folder(uri)
    return root / _ARTEFACTS


def _fault(uri: str, error: Exception) -> HouseFault:
    """Names the address without a password, and MLflow's code: its messages may quote what was sent."""
    parts = urlsplit(uri)
    code = getattr(error, "error_code", type(error).__name__)
    again = "the version is kept in the house and can be told again"
    if parts.scheme in {"http", "https"}:
        where = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
        return EndpointFault(f"MLflow at {where} failed: {code}", hint=f"see that it runs and lets you in; {again}")
    where = str(_folder(uri)) if not parts.scheme or parts.scheme == "file" else uri
    return StorageFault(f"MLflow in {where} failed: {code}", hint=f"check the disk and the permissions; {again}")
