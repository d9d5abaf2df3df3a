"""Each hard case of the design has its tests, by name."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.hard_cases import CASES

TESTS = Path(__file__).parent


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_case_is_shown() -> None:
    assert list(CASES) == list(range(1, 21))


@pytest.mark.parametrize("number", CASES)
def test_the_tests_of_a_hard_case_exist(number: int) -> None:
    tests = CASES[number].tests

    missing = [(file, name) for file, names in tests.items() for name in names if name not in functions(file)]

    assert any(tests.values())
    assert not missing
