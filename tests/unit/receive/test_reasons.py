"""Every reason the edge refuses with is one the metrics know: a metric's labels are a closed set."""

import ast
import inspect

import pytest

from gateway.admin.edge import refusals
from gateway.process import protocol
from gateway.receive import endpoint


def reasons_of(module: object, *callees: str) -> set[str]:
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)]  # type: ignore[arg-type]
    named = [call for call in calls if ast.unparse(call.func) in callees and call.args]
    return {str(call.args[0].value) for call in named if isinstance(call.args[0], ast.Constant)}


AT_THE_ENDPOINT = reasons_of(endpoint, "_RefusedError")
AT_THE_SERVER = reasons_of(protocol, "_FaultError", "self._refuse")


def test_the_reasons_are_found_where_they_are_given():
    assert {"unknown_source", "method", "rate", "internal"} <= AT_THE_ENDPOINT
    assert {"malformed", "too_large", "deadline", "overloaded"} == AT_THE_SERVER


@pytest.mark.parametrize("reason", sorted(AT_THE_ENDPOINT - {"unknown_source"}))
def test_a_refusal_at_a_source_has_its_metric(reason):
    assert reason in refusals("acme")


@pytest.mark.parametrize("reason", sorted(AT_THE_SERVER | {"unknown_source"}))
def test_a_refusal_before_a_source_is_known_has_its_metric(reason):
    assert reason in refusals("unknown")
