"""The shape of the code: who imports whom, what stays pure, how long things get."""

import pytest

from tests.layout import (
    BANNED_NAMES,
    PURE_MODULES,
    forbidden_arrows,
    functions,
    impure_calls,
    module,
    modules,
)

LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 50

CODE = list(modules("gateway", "handlers"))
ALL = [*CODE, *modules("tests", "deploy", "docs")]

each_module = pytest.mark.parametrize("found", CODE, ids=[found.path for found in CODE])
each_file = pytest.mark.parametrize("found", ALL, ids=[found.path for found in ALL])


@each_module
def test_a_module_imports_what_its_room_may(found) -> None:
    assert forbidden_arrows(found) == []


@each_module
def test_a_pure_module_asks_nothing_of_the_outside(found) -> None:
    assert impure_calls(found) == []


@each_file
def test_a_file_is_short(found) -> None:
    assert found.lines <= LINES_OF_A_FILE


@each_file
def test_functions_are_short(found) -> None:
    assert [place for place, lines in functions(found) if lines > LINES_OF_A_FUNCTION] == []


@each_file
def test_a_module_has_a_home_of_its_own(found) -> None:
    assert not BANNED_NAMES & set(found.name.split("."))


@each_module
def test_a_module_says_what_it_is(found) -> None:
    assert found.source == "" or found.source.lstrip().startswith(('"""', "#")), "a module docstring is missing"


@pytest.mark.parametrize("name", sorted(PURE_MODULES))
def test_what_is_listed_as_pure_exists(name) -> None:
    assert name in {found.name for found in CODE}


@pytest.mark.parametrize(
    "name, source",
    [
        pytest.param("gateway.core.event", "import time", id="core reads a clock"),
        pytest.param("gateway.core.event", "from asyncio import Future", id="core is asynchronous"),
        pytest.param("gateway.core.event", "def f():\n    import os", id="within a function"),
        pytest.param("gateway.core.event", "from gateway.receive import app", id="core knows a room"),
        pytest.param("gateway.core.event", "from gateway import receive", id="core knows a room by its package"),
        pytest.param("gateway.core.event", "import cryptography.hazmat", id="cryptography outside signing"),
        pytest.param("gateway.core.event", "from . import errors", id="relative"),
        pytest.param("gateway.providers.stripe", "import logging", id="a provider logs"),
        pytest.param("gateway.providers.stripe", "from gateway.keep import ports", id="a provider knows the log"),
        pytest.param("gateway.receive.app", "from gateway.handle import pump", id="receive knows handle"),
        pytest.param("gateway.receive.app", "from gateway.keep.sqlite import log", id="receive knows an engine"),
        pytest.param("gateway.receive.app", "from gateway import wiring", id="receive knows the wiring"),
        pytest.param("gateway.receive.app", "import aiokafka", id="receive knows a broker"),
        pytest.param("gateway.receive.dedupe", "import asyncio", id="a pure module of a room"),
        pytest.param("gateway.keep.sqlite.log", "import gateway.keep.memory.log", id="engines know each other"),
        pytest.param("gateway.keep.sqlite.log", "import psycopg", id="an engine of another third party"),
        pytest.param("gateway.keep.ports", "from gateway.keep.sqlite import log", id="a port knows its engine"),
        pytest.param("gateway.handle.pump", "import starlette", id="handle knows HTTP"),
        pytest.param("gateway.handle.pump", "from gateway.receive.meter import SourceMeter", id="handle knows receive"),
        pytest.param("gateway.admin.app", "from gateway.handle.meter import RouterSample", id="admin knows handle"),
        pytest.param("gateway.admin.app", "from gateway.config import settings", id="admin knows the configuration"),
        pytest.param("gateway.api", "from gateway.handle import pump", id="the api knows handle"),
        pytest.param("gateway.elsewhere", "", id="in no room"),
        pytest.param("handlers.audit", "from gateway.core import event", id="a handler goes deeper"),
        pytest.param("handlers.audit", "from gateway import wiring", id="a handler takes a module"),
        pytest.param("handlers.audit", "import gateway.api", id="a handler takes a module by its name"),
        pytest.param("handlers.audit", "from handlers import billing", id="a handler knows another"),
    ],
)
def test_a_forbidden_arrow_is_found(name, source) -> None:
    assert forbidden_arrows(module(name, source))


@pytest.mark.parametrize(
    "name, source",
    [
        pytest.param("gateway.core.signing", "from cryptography.hazmat import primitives", id="signing"),
        pytest.param("gateway.core.event", "import hashlib\nimport orjson", id="values"),
        pytest.param("gateway.receive.app", "import asyncio\nfrom gateway.keep.ports import EventLog", id="a port"),
        pytest.param("gateway.receive.app", "from gateway.keep import ports, envelope", id="ports by their package"),
        pytest.param("gateway.cli.main", "from gateway.process import supervisor", id="a command"),
        pytest.param("handlers.audit", "from gateway import Context, Event, Router\nimport httpx", id="a handler"),
    ],
)
def test_an_allowed_arrow_is_not(name, source) -> None:
    assert forbidden_arrows(module(name, source)) == []


@pytest.mark.parametrize("call", ["datetime.now(UTC)", "open('x')", "uuid.uuid4()", "date.today()"])
def test_an_impure_call_is_found_in_a_pure_module_alone(call) -> None:
    assert impure_calls(module("gateway.core.event", call))
    assert not impure_calls(module("gateway.cli.main", call))


def test_a_docstring_that_says_pure_marks_a_module() -> None:
    source = '"""The decisions of a retry. Pure."""\nimport random'

    assert forbidden_arrows(module("gateway.handle.anything", source))
    assert not forbidden_arrows(module("gateway.handle.anything", "import random"))


def test_a_long_function_is_measured() -> None:
    source = "def f():\n" + "    x = 1\n" * 60

    assert list(functions(module("gateway.core.event", source))) == [("gateway/core/event.py:1 f", 61)]
