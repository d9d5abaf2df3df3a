"""Logs: one JSON object a line on stderr, or readable lines on a terminal.

A log line is rendered and cleaned where it is made, and written by a thread of its own behind a bounded queue: a pipe
that nobody reads costs lines, which are counted and told of, and never stops the process.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from gateway.process.redaction import Redactor

_QUEUED_LINES = 1000
_FLUSH_DEADLINE = 0.5
_CHATTY = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio", "aiokafka", "psycopg")
# Clients of a broker or a database that is down say so for every request, and of themselves in every process.
_REPEATING = ("aiokafka", "psycopg")
_SAID_EVERY = 10.0


def configure(
    *,
    process: str,
    level: str = "info",
    tty: bool | None = None,
    secrets: Collection[str] = (),
    descriptor: int = 2,
) -> None:
    """Send every logger of this process to `descriptor`. A second call replaces the first.

    Args:
        process: `supervisor`, or a child's name (`children.Orders`); stands in every line.
        level: the least level that is shown; other people's chatty loggers start at warnings.
        tty: readable lines instead of JSON; by default, whether `descriptor` is a terminal.
        secrets: the configured secrets; no line ever holds one of them.
        descriptor: the file descriptor to write to.
    """
    readable = os.isatty(descriptor) if tty is None else tty
    handler = LineHandler(descriptor)
    handler.setFormatter(formatter(process=process, tty=readable, secrets=secrets))
    root = logging.getLogger()
    for former in [each for each in root.handlers if isinstance(each, LineHandler)]:
        root.removeHandler(former)
        former.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(root.level, logging.WARNING))
    _configure_structlog()


def formatter(*, process: str, tty: bool, secrets: Collection[str]) -> logging.Formatter:
    """Return what turns a record into one line."""
    colors = not os.environ.get("NO_COLOR")
    readable = structlog.dev.ConsoleRenderer(sort_keys=False, colors=colors)
    render = readable if tty else structlog.processors.JSONRenderer(_json)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            _Origin(process),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            Redactor(secrets, printable=tty),
            render,
        ],
    )


class LineHandler(logging.Handler):
    """Writes lines to a file descriptor from a thread of its own. Never raises, never waits but in `flush`."""

    def __init__(self, descriptor: int, *, capacity: int = _QUEUED_LINES) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._repeats = _Repeats()
        self._lines: queue.Queue[bytes | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._write_all, name="logs", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Render and enqueue; a line that finds the queue full is dropped and counted."""
        try:
            if self._repeats.withhold(record):
                return
            line = self.format(record).encode("utf-8", "backslashreplace")
        except Exception:  # noqa: BLE001 - whatever a value's own code does, logging it must not fail its caller
            line = _unprintable(record)
        try:
            self._lines.put_nowait(line + b"\n")
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Wait until all is written, half a second at most."""
        done = self._lines.all_tasks_done
        with done:
            done.wait_for(lambda: not self._lines.unfinished_tasks, _FLUSH_DEADLINE)

    def close(self) -> None:
        """Flush, then end the thread; a thread stuck on a full pipe ends with the process."""
        self.flush()
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            pass
        else:
            self._thread.join(_FLUSH_DEADLINE)
        super().close()

    def _write_all(self) -> None:
        told = 0
        while (line := self._lines.get()) is not None:
            _write(self._descriptor, line)
            if self.dropped > told:
                count, told = self.dropped - told, self.dropped
                _write(self._descriptor, orjson.dumps({"event": "logs.dropped", "count": count}) + b"\n")
            self._lines.task_done()


class _Repeats:
    """Says what a repeating logger says at one place of its code at most once in ten seconds, and how often it did."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: dict[tuple[str, int], tuple[float, int]] = {}

    def withhold(self, record: logging.LogRecord) -> bool:
        """Return whether to leave this record out; one that is said tells by `repeats` how many were not."""
        if record.name.partition(".")[0] not in _REPEATING:
            return False
        place, now = (record.pathname, record.lineno), self._clock()
        said, unsaid = self._places.get(place, (-_SAID_EVERY, 0))
        if now - said < _SAID_EVERY:
            self._places[place] = (said, unsaid + 1)
            return True
        self._places[place] = (now, 0)
        if unsaid:
            record.repeats = unsaid
        return False


def _unprintable(record: logging.LogRecord) -> bytes:
    place = f"{record.name}:{record.lineno}".encode("ascii", "backslashreplace").decode()
    return orjson.dumps({"event": "logs.unprintable", "logger": place})


class _Origin:
    """Puts when, how grave and where in front of what happened."""

    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, _: Any, __: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        record: logging.LogRecord = fields.pop("_record")
        del fields["_from_structlog"]
        for name in ("message", "asctime"):  # left on the record by another handler's formatter
            fields.pop(name, None)
        origin = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": fields.pop("event", ""),
            "process": self._process,
            "logger": record.name,
        }
        return origin | {key: value for key, value in fields.items() if key not in origin}


def _json(fields: structlog.typing.EventDict, **_: Any) -> str:
    return orjson.dumps(fields).decode()


def _write(descriptor: int, line: bytes) -> None:
    try:
        while line:
            line = line[os.write(descriptor, line) :]
    except OSError:
        return  # nobody is left to be told


def _configure_structlog() -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
