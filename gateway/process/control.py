"""The control socket: JSON lines over a unix socket that only this user can open.

A call is one line, `{"op": ..., "arguments": {...}}`. The answer is any number of `{"progress": ...}` lines and then
one `{"result": ...}` or `{"error": {"kind": ..., "message": ...}}`.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from gateway.core.errors import ConfigError, DependencyError, GatewayError

Operation = Callable[..., Any]

log = logging.getLogger("gateway.process")

_LINE_LIMIT = 64 * 2**20


class ControlServer:
    """Answers calls on `path`. An operation returns a value, or yields progress and last of all its result."""

    def __init__(self, path: Path, operations: Mapping[str, Operation]) -> None:
        self._path = path
        self._operations = operations
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind; whoever calls holds the lock of what the socket controls, so a file left over is a dead one's."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._connected, self._path, limit=_LINE_LIMIT)
        self._path.chmod(0o600)

    async def close(self) -> None:
        """Stop answering, and end the calls under way."""
        if self._server is None:
            return
        self._server.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a stream callback always runs in a task
        self._calls.add(task)
        try:
            while line := await reader.readline():
                async for answer in self._answers(line):
                    writer.write(orjson.dumps(answer) + b"\n")
                    await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            pass  # the caller went away, sent no line at all, or we are closing
        finally:
            self._calls.discard(task)
            writer.close()

    async def _answers(self, line: bytes) -> AsyncIterator[dict[str, Any]]:
        try:
            call = orjson.loads(line)
            answered = self._operations[call["op"]](**call.get("arguments", {}))
            if not isinstance(answered, AsyncIterator):
                yield {"result": await answered}
                return
            last = None
            async for last in answered:
                yield {"progress": last}
            yield {"result": last}
        except GatewayError as error:
            yield {"error": {"kind": type(error).__name__, "message": str(error)}}
        except Exception as error:  # one bad call must not end the process it wants to control
            log.exception("control.failed")
            yield {"error": {"kind": "GatewayError", "message": f"{type(error).__name__} in the gateway; see its log"}}


def _result(answer: Mapping[str, Any]) -> Any:
    if "error" not in answer:
        return answer["result"]
    kinds = {"ConfigError": ConfigError, "DependencyError": DependencyError}
    raise kinds.get(answer["error"]["kind"], GatewayError)(answer["error"]["message"])


class ControlClient:
    """Calls a process of a running gateway, from a command."""

    def __init__(self, path: Path, *, deadline: float = 30.0) -> None:
        self._path = path
        self._deadline = deadline

    def answers(self) -> bool:
        """Return whether a process listens there."""
        try:
            self.call("ping")
        except (GatewayError, OSError):
            return False
        return True

    def call(self, op: str, **arguments: Any) -> Any:
        """Call and wait for the result.

        Raises:
            DependencyError: nobody listens, or no answer came in time.
            GatewayError: the process refused, with its message.
        """
        *_, (_, result) = self.follow(op, **arguments)
        return result

    def follow(self, op: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Call, and yield ("progress", value) as it comes and ("result", value) last; raises as `call` does."""
        try:
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
                connection.settimeout(self._deadline)
                connection.connect(str(self._path))
                connection.sendall(orjson.dumps({"op": op, "arguments": arguments}) + b"\n")
                with connection.makefile("rb") as lines:
                    yield from _follow(lines)
        except (OSError, orjson.JSONDecodeError) as error:
            raise DependencyError(f"no answer from the running gateway ({type(error).__name__})") from error


def _follow(lines: Any) -> Iterator[tuple[str, Any]]:
    for line in lines:
        answer = orjson.loads(line)
        if "progress" in answer:
            yield "progress", answer["progress"]
        else:
            yield "result", _result(answer)
            return
    raise DependencyError("the gateway closed the connection before it answered")


async def call(path: Path, op: str, *, deadline: float, **arguments: Any) -> Any:
    """Call from an event loop. Raises as `ControlClient.call` does."""
    try:
        async with asyncio.timeout(deadline):
            reader, writer = await asyncio.open_unix_connection(path, limit=_LINE_LIMIT)
            try:
                writer.write(orjson.dumps({"op": op, "arguments": arguments}) + b"\n")
                answer = orjson.loads(
                    await reader.readline() or b'{"error": {"kind": "DependencyError", "message": "closed"}}'
                )
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:  # half a line comes from a process that dies while it answers
        raise DependencyError(f"no answer from {path.name} ({type(error).__name__})") from error
    return _result(answer)
