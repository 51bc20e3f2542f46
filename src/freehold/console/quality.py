"""How good the house is, and what serves: experiments, and model versions that are put into service or taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from freehold.console.access import Form, MayAdmin
from freehold.console.page import HOME, PageRoute, own_style, see_other, shown
from freehold.core.errors import UsageError
from freehold.core.experiment import Estimate, Experiment, RunResult
from freehold.core.training import Lineup, ModelVersion, State
from freehold.house import House
from freehold.http import models as api
from freehold.http.access import ServiceOf
from freehold.http.problems import Refused
from freehold.measure.report.page import render
from freehold.serving.service import Service

router = APIRouter(prefix=HOME, route_class=PageRoute)
_SHOWN = 3
"""Measures of an experiment in the list."""


@dataclass(frozen=True, slots=True)
class Models:
    """Versions, the newest first, and what serves."""

    versions: tuple[ModelVersion, ...]
    states: Mapping[str, State]
    lineup: Lineup
    before: Lineup | None
    """What a rollback returns to; None where there is nothing."""


def leading(experiment: Experiment) -> tuple[RunResult | None, tuple[Estimate, ...]]:
    """The run that the house serves, or the first, with its main measures."""
    run = next((run for run in experiment.runs if run.served), None) or next(iter(experiment.runs), None)
    return run, run.measures[:_SHOWN] if run else ()


@router.get("/quality")
async def quality(request: Request, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """Experiments, the newest first, and model versions."""
    kept = await service.house(lambda house: house.experiments.all())
    rows = [(one, *leading(one)) for one in sorted(kept, key=lambda one: one.created, reverse=True)]
    models = await service.house(_models)
    dataset = service.settings.gate.dataset
    return shown(request, "quality.html.j2", rows=rows, models=models, dataset=dataset)


@router.post("/quality/measure")
async def measure(form: Form, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """Measure the house on the gate's set."""
    job = await api.evaluate(api.EvalBody(), visitor.caller, service)
    return see_other(f"{HOME}/jobs/{job.id}")


@router.get("/quality/{experiment_id}")
async def experiment(request: Request, experiment_id: str, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """What was measured, in short."""
    return shown(request, "experiment.html.j2", e=await _found(service, experiment_id))


@router.get("/quality/{experiment_id}/report")
async def report(experiment_id: str, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """The whole report. It brings its own style, which its policy allows by its digest and nothing besides."""
    page = render(await _found(service, experiment_id))
    return HTMLResponse(page, headers={"Content-Security-Policy": own_style(page)})


async def _found(service: Service, experiment_id: str) -> Experiment:
    try:
        return await service.house(lambda house: house.experiments.get(experiment_id))
    except UsageError:
        raise Refused(
            404, "no_experiment", "there is no such experiment", hint="the list has those there are"
        ) from None


# -- models ------------------------------------------------------------------------------------------------------------


def _models(house: House) -> Models:
    versions, lineup = house.registry.all(), house.registry.lineup()
    try:
        before = house.registry.before(lineup)
    except UsageError:
        before = None
    states = {version.id: house.registry.state(version.id) for version in versions}
    return Models(tuple(reversed(versions)), states, lineup, before)


@router.get("/models/rollback")
async def ask_rollback(request: Request, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """Whether it is meant."""
    return shown(request, "rollback.html.j2", models=await service.house(_models))


@router.post("/models/rollback")
async def rollback(form: Form, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """Return to what served before."""
    job = await api.rollback(visitor.caller, service)
    return see_other(f"{HOME}/jobs/{job.id}")


@router.get("/models/{version_id}/promote")
async def ask_promote(request: Request, version_id: str, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """Whether it is meant."""
    models = await service.house(_models)
    version = next((one for one in models.versions if one.id == version_id), None)
    if version is None:
        raise Refused(404, "no_version", "there is no such model version", hint="Quality lists those there are")
    return shown(request, "promote.html.j2", version=version, state=models.states[version.id])


@router.post("/models/{version_id}/promote")
async def promote(version_id: str, form: Form, visitor: MayAdmin, service: ServiceOf) -> Response:  # noqa: ARG001
    """Put it into service, if the gate lets it."""
    job = await api.promote(version_id, visitor.caller, service)
    return see_other(f"{HOME}/jobs/{job.id}")
