"""Logs: what a line holds, what it may not hold, and that a reader who is gone stops nobody."""

import json
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from gateway.process import logs

CANARY = "whsec_canary-8f1d2b"


@pytest.fixture
def restored() -> Iterator[None]:
    """Put the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in [each for each in root.handlers if each not in handlers]:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def written(restored: None) -> Iterator[Callable[..., str]]:
    """Configure logs onto a pipe; calling the fixture returns all that was written, and ends the logs."""
    reading, writing = os.pipe()

    def configure_and_collect(log: Callable[[], None], *, tty: bool = False, secrets: Collection[str] = ()) -> str:
        logging.getLogger().handlers.clear()  # the test runner's own raise for records that do not format
        logs.configure(process="edge", descriptor=writing, tty=tty, secrets=secrets)
        log()
        for handler in logging.getLogger().handlers:
            handler.flush()
        os.set_blocking(reading, False)
        return os.read(reading, 2**20).decode()

    yield configure_and_collect
    os.close(writing)
    os.close(reading)


def line(text: str) -> dict[str, Any]:
    [only] = text.splitlines()
    return json.loads(only)  # type: ignore[no-any-return]


def test_a_record_is_one_json_object_with_its_origin_and_its_extra_fields(written) -> None:
    logger = logging.getLogger("gateway.receive")

    found = line(written(lambda: logger.warning("edge.refused", extra={"source": "stripe", "count": 3})))

    assert found.pop("timestamp").endswith("+00:00")
    assert found == {
        "level": "warning",
        "event": "edge.refused",
        "process": "edge",
        "logger": "gateway.receive",
        "source": "stripe",
        "count": 3,
    }


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"body": "x"}, id="body"),
        pytest.param({"raw_body": "x"}, id="a word within the name"),
        pytest.param({"Stripe_Signature": "x"}, id="signature"),
        pytest.param({"authorization": "x"}, id="authorization"),
        pytest.param({"headers": {"x-any": "x"}}, id="header values"),
        pytest.param({"query": "token=x"}, id="query string"),
        pytest.param({"detail": {"inner": {"secret": "x"}}}, id="nested"),
        pytest.param({"detail": [{"cookie": "x"}]}, id="in a list"),
    ],
)
def test_what_is_private_by_name_is_redacted(written, extra) -> None:
    text = written(lambda: logging.getLogger("gateway.x").info("a.line", extra=extra))

    assert "[redacted]" in text
    assert '"x"' not in text
    assert "=x" not in text


@pytest.mark.parametrize("name", ["body_bytes", "body_sha256", "header_names", "signature_age", "secret_label"])
def test_a_fact_about_a_private_thing_is_kept(written, name) -> None:
    found = line(written(lambda: logging.getLogger("gateway.x").info("a.line", extra={name: "abc"})))

    assert found[name] == "abc"


class Holder:
    def __str__(self) -> str:
        return f"holding {CANARY}"


def _raise() -> None:
    try:
        int(f"could not use {CANARY}")
    except ValueError:
        logging.getLogger("gateway.x").exception("a.failure")


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(lambda: logging.getLogger("gateway.x").info("a.line", extra={"note": CANARY}), id="value"),
        pytest.param(lambda: logging.getLogger("gateway.x").info("a.line", extra={"note": f"({CANARY})"}), id="within"),
        pytest.param(lambda: logging.getLogger("gateway.x").info("a.line", extra={"n": [{"m": CANARY}]}), id="nested"),
        pytest.param(lambda: logging.getLogger("gateway.x").info("a.line", extra={CANARY: 1}), id="name"),
        pytest.param(lambda: logging.getLogger("gateway.x").info("a.line", extra={"note": Holder()}), id="an object"),
        pytest.param(lambda: logging.getLogger("other").warning("said %s", CANARY), id="message"),
        pytest.param(lambda: structlog.get_logger("mine").warning("said", note=CANARY), id="structlog"),
        pytest.param(
            lambda: logging.getLogger("gateway.x").info("a.line", extra={"note": "x" * 2040 + CANARY}),
            id="across the cut",
        ),
        pytest.param(_raise, id="traceback"),
    ],
)
@pytest.mark.parametrize("tty", [False, True], ids=["json", "terminal"])
def test_a_configured_secret_is_in_no_line(written, log, tty) -> None:
    text = written(log, secrets=[CANARY, "other-secret"], tty=tty)

    assert text
    assert CANARY not in text
    assert CANARY[:10] not in text


def test_a_short_secret_is_redacted_as_a_value_but_does_not_mangle_words(written) -> None:
    text = written(
        lambda: logging.getLogger("gateway.x").info("event", extra={"a": "ev", "b": "event"}), secrets=["ev"]
    )

    assert line(text)["a"] == "[redacted]"
    assert line(text)["b"] == "event"


@pytest.mark.parametrize("name", ["aiokafka.conn", "psycopg.pool"])
def test_a_client_that_says_the_same_for_every_request_is_heard_once(written, name) -> None:
    def log() -> None:
        for number in range(50):
            logging.getLogger(name).error("no answer to request %d", number)
        logging.getLogger(name).error("something else")

    lines = [json.loads(each) for each in written(log).splitlines()]

    assert [each["event"] for each in lines] == ["no answer to request 0", "something else"]


def test_a_client_that_repeats_itself_tells_later_how_often_it_did() -> None:
    moments = iter([0.0, 1.0, 9.9, 10.0])
    repeats = logs._Repeats(lambda: next(moments))
    records = [logging.LogRecord("aiokafka", logging.WARNING, __file__, 1, "no broker", (), None) for _ in range(4)]

    assert [repeats.withhold(record) for record in records] == [False, True, True, False]
    assert "repeats" not in vars(records[0])
    assert vars(records[3])["repeats"] == 2


def test_what_we_say_ourselves_is_never_left_out(written) -> None:
    def log() -> None:
        for _ in range(50):
            logging.getLogger("gateway.keep").error("append.failed")

    text = written(log)

    assert len(text.splitlines()) == 50


@pytest.mark.parametrize("name", ["aiokafka", "aiokafka.conn", "psycopg", "psycopg.pool"])
def test_clients_are_heard_from_warnings_on(written, name) -> None:
    def log() -> None:
        logging.getLogger(name).info("Authenticated as gateway")
        logging.getLogger(name).warning("Trouble")

    assert line(written(log))["event"] == "Trouble"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class BrokenMapping(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise RuntimeError("no items")


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"value": Broken()}, id="str raises"),
        pytest.param({"value": BrokenMapping()}, id="items raise"),
        pytest.param({"value": "\ud800"}, id="lone surrogate"),
        pytest.param({"value": 2**70}, id="huge integer"),
        pytest.param({"value": float("nan")}, id="nan"),
        pytest.param({"value": b"\xff" * 10}, id="bytes"),
        pytest.param({"value": SimpleNamespace()}, id="any object"),
        pytest.param({"value": {1: {2: {3: {4: {5: 6}}}}}}, id="deep"),
    ],
)
def test_whatever_the_value_one_json_line_comes_out(written, extra) -> None:
    text = written(lambda: logging.getLogger("gateway.x").info("a.line", extra=extra))

    assert line(text)["event"] in {"a.line", "logs.unprintable"}


def test_a_message_that_does_not_fit_its_arguments_raises_nothing(written) -> None:
    text = written(lambda: logging.getLogger("gateway.x").info("%d", "three"))

    assert line(text)["event"] == "logs.unprintable"


def test_a_record_of_which_nothing_can_be_shown_raises_nothing_in_whoever_logs() -> None:
    reading, writing = os.pipe()
    handler = logs.LineHandler(writing)
    handler.setFormatter(logs.formatter(process="edge", tty=False, secrets=()))
    record = logging.LogRecord("\ud800", logging.ERROR, __file__, 1, "%d", ("three",), None)

    handler.handle(record)
    handler.flush()

    assert line(os.read(reading, 4096).decode())["event"] == "logs.unprintable"
    handler.close()
    os.close(writing)
    os.close(reading)


def test_a_line_stays_small_whatever_it_is_given(written) -> None:
    extra = {"text": "x" * 10**6, "items": ["y"] * 10**4}

    text = written(lambda: logging.getLogger("gateway.x").info("a.line", extra=extra))

    assert len(text) < 4096


def test_the_end_of_a_long_trace_is_kept(written) -> None:
    def nested(depth: int) -> None:
        if depth == 0:
            raise ValueError("the cause " + "x" * 20_000 + " the end")
        nested(depth - 1)

    def log() -> None:
        try:
            nested(5)
        except ValueError:
            logging.getLogger("gateway.x").exception("a.failure")

    found = line(written(log))

    assert found["exception"].endswith("the end")
    assert len(found["exception"]) < 9000


def test_a_query_is_cut_off_an_address(written) -> None:
    found = line(written(lambda: logging.getLogger("gateway.x").info("a.line", extra={"path": "/webhooks/a?token=t"})))

    assert found["path"] == "/webhooks/a?[redacted]"


def test_a_terminal_is_sent_no_control_characters_of_a_value(written) -> None:
    extra = {"type": "\x1b[2Jgone\x07", "note": "two\nlines"}

    text = written(lambda: logging.getLogger("gateway.x").info("a.line", extra=extra), tty=True)

    assert "\x1b[2J" not in text
    assert "\x07" not in text
    assert len(text.splitlines()) == 1


def test_uvicorns_loggers_are_routed_in_from_warnings_on(written) -> None:
    def log() -> None:
        logging.getLogger("uvicorn.error").info("Started")
        logging.getLogger("uvicorn.error").warning("Trouble")

    found = line(written(log))

    assert (found["event"], found["logger"]) == ("Trouble", "uvicorn.error")


def test_below_the_level_nothing_is_written(restored) -> None:
    reading, writing = os.pipe()
    logs.configure(process="edge", descriptor=writing, level="warning")

    logging.getLogger("gateway.x").info("a.line")
    logging.getLogger().handlers[-1].flush()

    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)


def test_a_second_call_replaces_the_first(restored) -> None:
    _, first = os.pipe()
    reading, second = os.pipe()
    logs.configure(process="edge", descriptor=first)
    logs.configure(process="worker:billing", descriptor=second)

    logging.getLogger("gateway.x").info("a.line")
    logging.getLogger().handlers[-1].flush()

    assert line(os.read(reading, 4096).decode())["process"] == "worker:billing"
    assert len([each for each in logging.getLogger().handlers if isinstance(each, logs.LineHandler)]) == 1


def test_a_pipe_nobody_reads_costs_lines_but_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    handler = logs.LineHandler(writing, capacity=10)
    handler.setFormatter(logs.formatter(process="edge", tty=False, secrets=()))
    record = logging.LogRecord("gateway.x", logging.INFO, __file__, 1, "a.line", (), None)
    record.note = "x" * 1000

    for _ in range(1000):
        handler.emit(record)
    dropped = handler.dropped
    reader = threading.Thread(target=_read_all, args=[reading, found := bytearray()])
    reader.start()
    handler.close()
    os.close(writing)
    reader.join(10)

    assert dropped > 0
    told = [json.loads(each) for each in found.splitlines()]
    assert sum(each["count"] for each in told if each["event"] == "logs.dropped") == dropped
    assert sum(each["event"] == "a.line" for each in told) == 1000 - dropped


def test_a_reader_who_is_gone_raises_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    handler = logs.LineHandler(writing)
    handler.setFormatter(logs.formatter(process="edge", tty=False, secrets=()))

    handler.handle(logging.LogRecord("gateway.x", logging.INFO, __file__, 1, "a.line", (), None))
    handler.close()

    assert handler.dropped == 0


def _read_all(descriptor: int, into: bytearray) -> None:
    while more := os.read(descriptor, 65536):
        into += more
    os.close(descriptor)
