"""`gateway.testing` as a handler author uses it, on the shipped handlers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway import Backoff, Context, Event, GiveUp, Router
from gateway.providers import PROVIDERS
from gateway.testing import Delivery, Memory, make_event, received, run, signed_request
from handlers import audit, billing, github_push
from tests.admitting import SETTINGS, secret_of, source

INVOICE = {"id": "in_1", "customer": "cus_1", "amount_due": 4200, "amount_paid": 0, "currency": "eur"}


def stripe(event_id: str, kind: str, status: str, *, created: int, **over: object) -> Event:
    invoice = {**INVOICE, "status": status, **over}
    body = {"id": event_id, "type": kind, "created": created, "data": {"object": invoice}}
    [event] = received("stripe", body)
    return event


def outcomes(results) -> list[str]:
    return [result.outcome for result in results]


async def test_billing_keeps_the_latest_state_and_skips_what_is_older() -> None:
    paid = stripe("evt_2", "invoice.paid", "paid", created=1_700_000_100, amount_paid=4200)
    opened = stripe("evt_1", "invoice.finalized", "open", created=1_700_000_000)
    async with Memory(billing.router) as memory:
        first = await run(billing.router, paid, store=memory)
        second = await run(billing.router, opened, store=memory)
        again = await run(billing.router, paid, store=memory)

        assert [outcomes(results) for results in (first, second, again)] == [["done"], ["stale"], ["duplicate"]]
        assert await memory.rows("select id, status, amount_paid from invoice") == [("in_1", "paid", 4200)]


async def test_billing_follows_an_invoice_through_its_states() -> None:
    async with Memory(billing.router) as memory:
        for second, status in enumerate(["draft", "open", "paid"]):
            event = stripe(f"evt_{second}", "invoice.updated", status, created=1_700_000_000 + second)
            await run(billing.router, event, store=memory)

        assert await memory.rows("select status from invoice") == [("paid",)]


async def test_billing_leaves_previews_and_other_events_alone() -> None:
    preview = stripe("evt_1", "invoice.upcoming", "draft", created=1)
    other = stripe("evt_2", "charge.succeeded", "paid", created=1)

    assert await run(billing.router, preview) == []
    assert await run(billing.router, other) == []


async def test_github_push_keeps_each_push() -> None:
    body = {
        "ref": "refs/heads/main",
        "after": "59b20b8d",
        "commits": [{}, {}],
        "pusher": {"name": "mona"},
        "repository": {"id": 3, "full_name": "octocat/hello-world"},
    }
    [event] = received("github", body, Delivery(event_type="push", event_id="guid"))
    async with Memory(github_push.router) as memory:
        results = await run(github_push.router, event, store=memory)

        assert outcomes(results) == ["done"]
        rows = await memory.rows("select repository, ref, head, commits, pusher from push")
        assert rows == [("octocat/hello-world", "refs/heads/main", "59b20b8d", 2, "mona")]


async def test_audit_keeps_a_row_of_whatever_comes_even_if_it_does_not_parse() -> None:
    opaque = make_event(source="acme", type="unknown", body=b"\xff not json", flags=("opaque",))
    async with Memory(audit.router) as memory:
        await run(audit.router, opaque, store=memory)
        await run(audit.router, opaque, store=memory)

        assert await memory.rows("select source, type, bytes, flags from audit") == [("acme", "unknown", 10, "opaque")]


async def test_a_result_tells_attempt_error_and_trace_until_the_event_is_dead() -> None:
    router = Router("r")

    @router.on("*", name="h", retry=Backoff(attempts=2))
    async def fail(event: Event, ctx: Context) -> None:
        raise LookupError(f"attempt {ctx.attempt}")

    async with Memory(router) as memory:
        [first] = await run(router, make_event(), store=memory)
        [second] = await run(router, make_event(), store=memory)

    assert (first.outcome, first.attempt, first.error) == ("retry", 1, "LookupError: attempt 1")
    assert (second.outcome, second.attempt) == ("dead", 2)
    assert "raise LookupError" in second.trace


async def test_a_retry_that_succeeds_leaves_nothing_parked() -> None:
    router = Router("r")

    @router.on("*", name="h", order="strict", retry=Backoff(inline=1))
    async def fail_once(event: Event, ctx: Context) -> None:
        if ctx.attempt == 1:
            raise LookupError

    async with Memory(router) as memory:
        first = await run(router, make_event(id="a", key="k"), store=memory)
        behind = await run(router, make_event(id="b", key="k"), store=memory)
        again = await run(router, make_event(id="a", key="k"), store=memory)

        assert [outcomes(results) for results in (first, behind, again)] == [["retry"], ["held"], ["done"]]
        assert memory.state.parking.parked() == 1


async def test_a_handler_that_hangs_is_ended_by_its_timeout() -> None:
    router = Router("r")

    @router.on("*", name="h", timeout=0.02, retry=Backoff(attempts=1))
    async def hang(event: Event, ctx: Context) -> None:
        await asyncio.Event().wait()

    [result] = await run(router, make_event())

    assert (result.outcome, result.error) == ("dead", "TimeoutError: no end within 0.02 s")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_giving_up_is_a_dead_letter_with_its_reason() -> None:
    router = Router("r")

    @router.on("*", name="h")
    async def refuse(event: Event, ctx: Context) -> None:
        raise GiveUp("not ours")

    async with Memory(router) as memory:
        await run(router, make_event(), store=memory)
        [letter] = await memory.dead_letters()

    assert (letter.reason, letter.error) == ("gave_up", "gateway.api.GiveUp: not ours")


async def test_the_lifespan_is_open_while_a_handler_runs() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        steps.append("open")
        yield
        steps.append("close")

    router = Router("r", lifespan=lifespan)

    @router.on("*", name="h")
    async def note(event: Event, ctx: Context) -> None:
        steps.append("run")

    await run(router, make_event())

    assert steps == ["open", "run", "close"]


def _signs_any_body(provider: str) -> bool:
    schemes = PROVIDERS[provider].schemes
    stamped = any(scheme.timestamp is not None and scheme.timestamp.json for scheme in schemes)
    return source(provider).sign is not None and not stamped and not any(scheme.seal for scheme in schemes)


@pytest.mark.parametrize("provider", [name for name in sorted(PROVIDERS) if _signs_any_body(name)])
def test_every_provider_that_can_be_signed_for_makes_real_events(provider: str) -> None:
    delivery = Delivery(
        event_type="thing.made", secret=secret_of(provider), settings=SETTINGS.get(provider, {})
    )  # fmt: skip
    [event] = received(provider, {"id": "evt_9", "type": "thing.made"}, delivery)

    assert (event.provider, event.source, event.verified_by) == (provider, provider, "test")
    assert event.json() == {"id": "evt_9", "type": "thing.made"}


def test_a_signed_request_can_be_stale_on_purpose() -> None:
    delivery = Delivery(now_us=1_000_000_000)

    assert "t=1000," in signed_request("stripe", b"{}", delivery).headers["stripe-signature"]


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(KeyError):
        signed_request("strip", b"{}")
