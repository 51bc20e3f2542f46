"""``/v1/models`` and ``/v1/eval``: what serves, how good it is, and what is to serve next."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from freehold.core.records import to_json
from freehold.core.training import Role
from freehold.http.access import MayAdmin, MayAsk, ServiceOf
from freehold.http.documents import begin
from freehold.http.openai import MODEL, live_model
from freehold.http.schemas import Body, JobOut

router = APIRouter(prefix="/v1", tags=["models"])


class EvalBody(Body):
    """On which split of the set that `gate.dataset` names."""

    split: str | None = None


class TuneBody(Body):
    """What to train, on a training set that `freehold tune data` made."""

    role: Role
    training: str = Field("latest", max_length=100, description="Name of the set, or the beginning of it.")
    kind: Literal["late-interaction", "cross-encoder"] = Field("late-interaction", description="Of a reranker.")
    trials: int = Field(0, ge=0, le=1_000, description="Settings to try; 0: those that are given, or the usual ones.")
    settings: dict[str, str] = Field({}, max_length=32, description="As `freehold tune ROLE --set KEY=VALUE`.")
    seed: int = Field(0, ge=0, lt=1 << 31)


@router.get("/models")
async def models(caller: MayAsk, service: ServiceOf) -> dict[str, Any]:
    """As OpenAI's clients read it; for an administrator with the house's own versions beside it."""
    data = [
        {"id": id, "object": "model", "created": 0, "owned_by": "freehold"}
        for id in (MODEL, live_model(service.fleet.states))
        if id
    ]
    if not caller.may("admin"):
        return {"object": "list", "data": data}
    versions, live = await service.house(lambda house: (house.registry.all(), house.registry.lineup()))
    serving = set(live.versions.values())
    told = [
        {
            "id": v.id,
            "role": v.role,
            "kind": v.kind,
            "base": v.base,
            "created": v.created,
            "live": v.id in serving,
            "tainted": bool(v.tainted),
        }
        for v in versions
    ]
    return {"object": "list", "data": data, "versions": told, "lineup": live.number}


@router.post("/models", status_code=202)
async def tune(body: TuneBody, caller: MayAdmin, service: ServiceOf) -> JobOut:
    """Train a version. It does not serve before it is promoted."""
    return await begin(service, "tune", body.model_dump(), caller)


@router.post("/models/retrain", status_code=202)
async def retrain(caller: MayAdmin, service: ServiceOf) -> JobOut:
    """Train again, without what was erased, what learned from it."""
    return await begin(service, "retrain", {}, caller)


@router.post("/models/{version}/promote", status_code=202)
async def promote(version: str, caller: MayAdmin, service: ServiceOf) -> JobOut:
    """Put a version into service, if the gate lets it."""
    known = await service.house(lambda house: house.registry.get(version))
    return await begin(service, "promote", {"version": known.id}, caller)


@router.post("/models/rollback", status_code=202)
async def rollback(caller: MayAdmin, service: ServiceOf) -> JobOut:
    """Return to what served before."""
    return await begin(service, "rollback", {}, caller)


@router.post("/eval", status_code=202)
async def evaluate(body: EvalBody, caller: MayAdmin, service: ServiceOf) -> JobOut:
    """Measure the house on the set that the gate judges by."""
    return await begin(service, "eval", {"split": body.split} if body.split else {}, caller)


@router.get("/eval")
async def experiments(caller: MayAdmin, service: ServiceOf) -> list[dict[str, Any]]:  # noqa: ARG001
    """Experiments, the newest first."""
    kept = await service.house(lambda house: house.experiments.all())
    return [_told(one) for one in sorted(kept, key=lambda one: one.created, reverse=True)]


def _told(experiment: Any) -> dict[str, Any]:
    told = to_json(experiment)
    return {key: told[key] for key in ("id", "kind", "created", "verdict") if key in told}
