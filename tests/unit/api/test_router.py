"""The router: what it matches, and what it refuses at registration, with the nearest valid word."""

import functools
from types import SimpleNamespace

import pytest

from gateway.api import Backoff, Context, Event, Retry, Router
from gateway.core.errors import PluginError
from gateway.core.matching import compile_pattern
from gateway.core.versions import VersionError, compile_version
from gateway.testing import make_event

SOURCES = [
    SimpleNamespace(name="stripe-eu", provider="stripe"),
    SimpleNamespace(name="github", provider="github"),
]


async def handle(event: Event, ctx: Context) -> None:
    pass


def router_with(pattern: str = "*", **options) -> Router:
    router = Router("r")
    router.add(handle, pattern, name=options.pop("name", "h"), **options)
    return router


@pytest.mark.parametrize(
    "pattern, event_type, matches",
    [
        ("invoice.paid", "invoice.paid", True),
        ("invoice.paid", "invoice.paid.late", False),
        ("invoice.*", "invoice.paid", True),
        ("invoice.*", "invoice.payment.failed", True),
        ("invoice.*", "invoice", False),
        ("invoice.*", "invoices.paid", False),
        ("orders/*", "orders/create", True),
        ("*", "anything", True),
        ("*", "", True),
        ("invoice.[a-z]+", "invoice.paid", False),
    ],
)
def test_a_pattern_is_a_literal_or_a_prefix(pattern: str, event_type: str, matches: bool) -> None:  # noqa: FBT001
    compiled = compile_pattern(pattern)

    assert compiled.matches(event_type) is matches
    assert str(compiled) == pattern


@pytest.mark.parametrize("pattern", ["", "*.paid", "a*b", "in voice\n", " invoice", "**"])
def test_a_pattern_that_can_never_match_is_refused(pattern: str) -> None:
    with pytest.raises(PluginError, match="pattern"):
        router_with(pattern)


def test_match_tells_which_handlers_would_run_without_running_them() -> None:
    router = Router("r")
    router.add(handle, "invoice.*", name="all-invoices")
    router.add(handle, "*", name="other-source", source="github")
    router.add(handle, "*", name="other-provider", provider="github")
    router.add(handle, "*", name="this-provider", provider="stripe")
    router.add(handle, "*", name="not-wanted", where=lambda event: event.id == "another")
    event = make_event(source="stripe-eu", provider="stripe", type="invoice.paid")

    assert [handler.name for handler in router.match(event)] == ["all-invoices", "this-provider"]


def test_a_handler_registered_after_a_match_is_seen() -> None:
    router = router_with()
    router.match(make_event())
    router.add(handle, "*", name="late")

    assert [handler.name for handler in router.match(make_event())] == ["h", "late"]


def test_what_is_remembered_of_event_types_is_bounded() -> None:
    router = router_with()
    for number in range(10_000):
        router.candidates(make_event(type=f"t{number}"))

    assert len(router._candidates) <= 4096


def test_the_decorator_leaves_the_function_as_it_was() -> None:
    router = Router("r")

    assert router.on("*", name="h")(handle) is handle


def plain(event: Event, ctx: Context) -> None:
    pass


async def without_context(event: Event) -> None:
    pass


class Callable_:  # noqa: N801 - an instance that can be called
    async def __call__(self, event: Event, ctx: Context) -> None:
        pass

    async def method(self, event: Event, ctx: Context) -> None:
        pass


@pytest.mark.parametrize(
    "function",
    [Callable_(), Callable_().method, functools.partial(handle)],
    ids=["an object", "a method", "a partial"],
)
def test_whatever_is_called_asynchronously_can_be_a_handler(function) -> None:
    assert Router("r").add(function, "*", name="h").function is function


@pytest.mark.parametrize(
    "function, options, words",
    [
        pytest.param(plain, {}, ["async def", "asyncio.to_thread"], id="a plain function"),
        pytest.param(lambda event, ctx: None, {}, ["async def"], id="a lambda"),
        pytest.param("handle", {}, ["async function"], id="no function"),
        pytest.param(without_context, {}, ["(event, ctx)"], id="wrong parameters"),
        pytest.param(handle, {"concurency": 3}, ["concurency", '"concurrency"'], id="unknown option"),
        pytest.param(handle, {"order": "strikt"}, ["order", '"strict"'], id="wrong order"),
        pytest.param(handle, {"stale": "skp"}, ["stale", '"skip"'], id="wrong stale"),
        pytest.param(handle, {"version": "time"}, ['stale="skip"'], id="a version without a guard"),
        pytest.param(handle, {"stale": "skip", "version": "xml:a"}, ["xml:a", "json:"], id="wrong version"),
        pytest.param(handle, {"stale": "skip", "version": "json:a..b"}, ["JSON path"], id="wrong path"),
        pytest.param(handle, {"retry": 3}, ["Backoff"], id="wrong retry"),
        pytest.param(handle, {"timeout": 0}, ["timeout"], id="no time"),
        pytest.param(handle, {"rate": -1.0}, ["rate"], id="negative rate"),
        pytest.param(handle, {"concurrency": 0}, ["concurrency"], id="no concurrency"),
        pytest.param(handle, {"where": handle}, ["where", "plain function"], id="asynchronous where"),
        pytest.param(handle, {"name": "Not A Name"}, ["Not A Name"], id="wrong name"),
        pytest.param(handle, {"aliases": ("Old Name",)}, ["Old Name"], id="wrong alias"),
    ],
)
def test_a_wrong_registration_is_refused_with_the_remedy(function, options, words) -> None:
    with pytest.raises(PluginError) as raised:
        Router("r").add(function, "*", **{"name": "h", **options})

    assert all(word in str(raised.value) for word in words), str(raised.value)


@pytest.mark.parametrize(
    "name, aliases",
    [("first", ()), ("old", ()), ("third", ("first",)), ("third", ("old",))],
    ids=["a name", "an alias", "an alias that is a name", "an alias twice"],
)
def test_names_and_aliases_are_unique_in_a_router(name: str, aliases: tuple[str, ...]) -> None:
    router = router_with(name="first", aliases=("old",))

    with pytest.raises(PluginError, match="two handlers named"):
        router.add(handle, "*", name=name, aliases=aliases)


@pytest.mark.parametrize("name", ["", "Upper", "-dash", "a b", "x" * 64])
def test_a_wrong_router_name_is_refused(name: str) -> None:
    with pytest.raises(PluginError, match="router name"):
        Router(name)


def test_a_wrong_start_is_refused_with_the_nearest_word() -> None:
    with pytest.raises(PluginError, match='"earliest"'):
        Router("r", start="earlyest")  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize(
    "options, words",
    [
        ({"source": "stripe-us"}, ["stripe-us", '"stripe-eu"']),
        ({"provider": "strip"}, ["strip", '"stripe"']),
        ({"source": "github", "provider": "stripe"}, ["github", "stripe"]),
    ],
    ids=["unknown source", "unknown provider", "provider of another source"],
)
def test_a_handler_that_can_never_match_is_a_problem(options, words) -> None:
    [problem] = router_with(**options).problems(SOURCES)

    assert all(word in problem for word in words)


@pytest.mark.parametrize(
    "options, count",
    [
        ({"stale": "skip"}, 1),
        ({"stale": "skip", "provider": "github"}, 1),
        ({"stale": "skip", "provider": "stripe"}, 0),
        ({"stale": "skip", "source": "stripe-eu"}, 0),
        ({"stale": "skip", "version": "json:n"}, 0),
        ({}, 0),
    ],
)
def test_a_guard_by_time_needs_sources_that_tell_it(options, count: int) -> None:
    problems = router_with(**options).problems(SOURCES, timeless=["github"])

    assert len(problems) == count


def test_a_router_that_fits_has_no_problem_and_an_empty_one_has() -> None:
    assert router_with(source="github", provider="github").problems(SOURCES) == []
    assert Router("r").problems(SOURCES) == ["router 'r': no handlers are registered"]


@pytest.mark.parametrize(
    "options",
    [{"attempts": 0}, {"first": -1.0}, {"factor": 0.5}, {"most": float("nan")}, {"jitter": 2.0}, {"inline": 0}],
    ids=lambda options: next(iter(options)),
)
def test_a_policy_that_makes_no_sense_is_refused(options) -> None:
    with pytest.raises(PluginError, match=next(iter(options))):
        Backoff(**options)


@pytest.mark.parametrize("after", [-1.0, float("nan"), float("inf"), 31 * 86400.0])
def test_a_retry_cannot_ask_for_a_time_that_never_comes(after: float) -> None:
    with pytest.raises(ValueError, match="after"):
        Retry(after=after)


@pytest.mark.parametrize(
    "path, event, expected",
    [
        ("time", make_event(time_us=5), 5),
        ("time", make_event(time_us=None), None),
        ("json:a.b[1].c", make_event(body={"a": {"b": [0, {"c": 7}]}}), 7),
        ("json:a", make_event(body={"a": "12"}), 12),
        ("header:X-Version", make_event(headers={"x-version": "3"}), 3),
    ],
)
def test_a_version_is_read_from_where_the_handler_says(path: str, event: Event, expected: int | None) -> None:
    assert compile_version(path)(event) == expected


@pytest.mark.parametrize(
    "path, event",
    [
        ("json:a", make_event(body={})),
        ("json:a", make_event(body={"a": 1.5})),
        ("json:a", make_event(body={"a": True})),
        ("json:a", make_event(body={"a": "9" * 30})),
        ("json:a", make_event(body=b'{"a": 99999999999999999999}')),
        ("json:a", make_event(body=b"not json")),
        ("json:a.b", make_event(body={"a": "text"})),
        ("json:a[0]", make_event(body={"a": {}})),
        ("header:x", make_event()),
    ],
)
def test_where_there_is_no_whole_number_there_is_no_version(path: str, event: Event) -> None:
    with pytest.raises(VersionError):
        compile_version(path)(event)
