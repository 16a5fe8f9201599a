"""schemathesis against the OpenAPI document, over HTTP: whatever it makes of the document, valid or
not, is answered in the form that the document promises, and never by a failure of the server."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from tests.node.api_world import running_node

ENDLESS = ["/v1/positions", "/v1/events"]
"""Streams end when their reader does: test_api.py reads them."""


def test_every_operation_answers_whatever_it_is_asked() -> None:
    with running_node() as running:
        running.call(running.node.commit)
        schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        asked = []
        for found in schema.exclude(path=ENDLESS).get_all_operations():
            operation = found.ok()
            asked.append(operation.label)
            _try(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
            with suppress(Unsatisfiable):  # there is no wrong way to ask without parameters
                _try(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    assert len(asked) > 15


def _try(cases: Any) -> None:
    @given(case=cases)
    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    def answered(case: schemathesis.Case) -> None:
        response = case.call(timeout=20)
        if response.status_code == 503:  # /health/ready and proofs: there is nothing to prove here
            return
        case.validate_response(response, checks=[not_a_server_error, response_schema_conformance])
        if response.status_code >= 400:
            told = response.json()
            assert "results" in told or told["error"]["code"], response.text

    answered()
