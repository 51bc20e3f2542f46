"""``/v1/models`` and ``/v1/eval``: what serves, how good it is, and what is to serve next."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from freehold.core.records import to_json
from freehold.http.access import MayAdmin, MayAsk, ServiceOf
from freehold.http.documents import begin
from freehold.http.openai import MODEL, live_model
from freehold.http.schemas import Body, JobOut

router = APIRouter(prefix="/v1", tags=["models"])


class EvalBody(Body):
    """On which split of the set that `gate.dataset` names."""

    split: str | None = None


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
