"""The service keeps to its own description, whatever it is sent: schemathesis draws requests from it."""

from __future__ import annotations

import os

import schemathesis
from hypothesis import HealthCheck, given, settings
from live import Server
from schemathesis import checks

EXAMPLES = int(os.environ.get("FREEHOLD_SCHEMA_EXAMPLES", "15"))
KEPT = (checks.not_a_server_error, checks.response_schema_conformance, checks.content_type_conformance)
LONG = {"/v1/documents", "/v1/eval", "/v1/models/rollback", "/v1/erasure-requests"}
"""POST to these begins work that has tests of its own."""


def tried(operation, headers: dict[str, str]) -> set[int]:
    """The statuses that drawn requests were answered with."""
    statuses: set[int] = set()

    @given(case=operation.as_strategy())
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def holds(case):
        response = case.call(headers=headers, timeout=60)
        statuses.add(response.status_code)
        case.validate_response(response, checks=KEPT)

    holds()
    return statuses


def test_no_request_meets_a_fault_or_an_answer_that_is_not_described(server: Server):
    headers = {"Authorization": f"Bearer {server.key}"}
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    short = [one for one in operations if one.method.upper() != "POST" or one.path not in LONG]
    seen = {f"{one.method} {one.path}": tried(one, headers) for one in short}
    assert len(seen) > 15
    assert {200, 422} <= seen["post /v1/search"]
