"""Each mistake that receivers make has its tests, by name."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.provider_mistakes import NAIVE, PEERS, Mistake

TESTS = Path(__file__).parent
ALL = [pytest.param(mistake, id=f"{name} {number}") for name, mistakes in (("naive", NAIVE), ("peers", PEERS))
       for number, mistake in mistakes.items()]  # fmt: skip


@cache
def functions(file: str) -> frozenset[str]:
    return frozenset(_named(ast.parse((TESTS / file).read_text()).body))


def _named(nodes: list[ast.stmt], within: str = "") -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _named(node.body, f"{node.name}.")


def test_every_line_of_both_lists_is_shown() -> None:
    assert list(NAIVE) == list(range(1, 26))
    assert list(PEERS) == list(range(1, 14))


@pytest.mark.parametrize("mistake", ALL)
def test_the_tests_of_a_mistake_exist(mistake: Mistake) -> None:
    missing = [(file, name) for file, names in mistake.tests.items() for name in names if name not in functions(file)]

    assert any(mistake.tests.values()) is not bool(mistake.reason)
    assert not missing
