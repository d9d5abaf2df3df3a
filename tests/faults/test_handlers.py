"""Handlers that go wrong in every way there is cost only themselves.

One gateway runs a router for each kind of trouble, and one that is well. The event that brings the trouble goes to all
of them, while other events come in.
"""

from collections.abc import Iterator

import pytest

from tests.fault_handlers import BLOCKED, LINES, TROUBLES, in_trouble
from tests.fault_rig import Traffic, configuration, dead, effects, lines, metric, send, stripe, traffic
from tests.running import LEDGER, RunningGateway, running, until

REASONS = {
    "segfault": ["crashed"],
    "exit": ["crashed"],
    "killed": ["crashed"],
    "hang": ["crashed"],
    "memory": ["attempts"],
    "raise": ["attempts"],
    "interrupt": ["attempts"],
    "quit": ["attempts"],
    "flood": [],
}
AMID = "evt_amid_trouble"


def reasons(gateway: RunningGateway, router: str) -> list[str]:
    return [letter.reason for letter in dead(gateway, router)]


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Traffic]]:
    """A gateway some time after trouble came to all of its routers but one."""
    modules = {f"{name}_handlers": in_trouble(name, act) for name, act in TROUBLES.items()}
    config = configuration("ledger", *TROUBLES)
    folder = tmp_path_factory.mktemp("troubled")
    with running(folder, config=config, handlers={"ledger_handlers": LEDGER, **modules}) as gateway:
        until(lambda: all(gateway.pid(f"worker:{name}") for name in TROUBLES), what="all workers")
        with traffic(gateway, connections=2, pause=0.05) as sent:
            (answer,) = send(gateway, stripe(AMID, kind="trouble"))
            assert answer.acknowledged
            until(lambda: all(len(reasons(gateway, name)) >= len(REASONS[name]) for name in TROUBLES), deadline=80)
        yield gateway, sent


@pytest.mark.parametrize("name", TROUBLES)
def test_a_handler_in_trouble_is_a_dead_letter_with_its_reason_and_nothing_more(
    troubled: tuple[RunningGateway, Traffic], name: str
) -> None:
    gateway, _ = troubled

    letters = dead(gateway, name)

    assert [letter.reason for letter in letters] == REASONS[name]
    assert {(letter.pair.handler, letter.pair.event.id) for letter in letters} <= {("trouble", AMID)}


@pytest.mark.parametrize("name", [*TROUBLES, "ledger"])
def test_every_other_pair_of_every_router_is_done_once(troubled: tuple[RunningGateway, Traffic], name: str) -> None:
    gateway, sent = troubled

    until(lambda: len(effects(gateway, name)) > len(sent.acknowledged), what="the effect of every event")

    assert sorted(effects(gateway, name)) == sorted({AMID} | sent.acknowledged)


def test_acks_go_on_amid_trouble(troubled: tuple[RunningGateway, Traffic]) -> None:
    _, sent = troubled

    assert len(sent.acknowledged) > 100
    assert sent.refused == []


def test_a_router_that_is_well_keeps_its_worker_while_others_crash(troubled: tuple[RunningGateway, Traffic]) -> None:
    gateway, _ = troubled

    ended = {line["child"] for line in lines(gateway, "child.ended")}

    assert ended == {"worker:segfault", "worker:exit", "worker:killed", "worker:hang"}


def test_a_flood_of_lines_is_cut_off(troubled: tuple[RunningGateway, Traffic]) -> None:
    gateway, _ = troubled
    output = gateway.output.read_text()

    assert 0 < output.count("of many") < LINES // 10


def test_no_line_tells_what_an_exception_said(troubled: tuple[RunningGateway, Traffic]) -> None:
    gateway, _ = troubled

    assert lines(gateway, "handler.dead")
    assert "4242424242424242" not in gateway.output.read_text()


def test_crashes_and_deaths_are_counted(troubled: tuple[RunningGateway, Traffic]) -> None:
    gateway, _ = troubled

    for name, expected in REASONS.items():
        assert metric(gateway, "gateway_dead_letters", router=name) == len(expected)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_handler_that_blocks_the_loop_each_time_is_a_dead_letter_in_the_end(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    handlers = {"ledger_handlers": LEDGER, "blocker_handlers": in_trouble("blocker", BLOCKED)}
    folder = tmp_path_factory.mktemp("blocked")
    with running(folder, config=configuration("ledger", "blocker"), handlers=handlers) as gateway:
        with traffic(gateway, connections=2, pause=0.05) as sent:
            send(gateway, stripe(AMID, kind="trouble"))
            until(lambda: reasons(gateway, "blocker") == ["crashed"], deadline=120)

        until(lambda: set(effects(gateway, "blocker")) == {AMID} | sent.acknowledged)
        assert sent.refused == []
