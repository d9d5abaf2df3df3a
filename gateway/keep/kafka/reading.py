"""The client's thread: one consumer after the other, each on a loop of its own, until it is closed.

A fresh loop for each leaves nothing of a broken consumer behind.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable

from aiokafka.errors import KafkaError

from gateway.core.errors import ConfigError, PoisonedError
from gateway.keep.kafka.bridge import tell
from gateway.keep.kafka.consumer import ReplaceError
from gateway.keep.kafka.member import Member

_log = logging.getLogger("gateway.keep")

_AGAIN_SECONDS = 1.0
_SAY_EVERY = 60.0
_SWEEPS = 5


class Reading:
    """Runs members. `make` is called on each loop; `failed` and `ended` are called in this thread, `ended` last."""

    def __init__(
        self,
        make: Callable[[], Member],
        *,
        replacements: int,
        failed: Callable[[Exception], None],
        ended: Callable[[], None],
    ) -> None:
        self._make = make
        self._replacements = replacements
        self._failed = failed
        self._ended = ended
        self._closing = threading.Event()
        self._close_life: Callable[[], None] | None = None
        self._member: Member | None = None
        self._stuck = 0
        self._said_at = 0.0
        # A daemon: a process that must end does not wait for a cluster.
        self._thread = threading.Thread(target=self._run, name="kafka-subscription", daemon=True)

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def close(self) -> None:
        """End; `ended` tells when. Callable from any thread."""
        self._closing.set()
        if self._close_life is not None:
            self._close_life()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._live_once()
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker must hear of it
            self._failed(error)
        finally:
            self._ended()

    def _live_once(self) -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._life())
            return
        except ReplaceError as error:
            self._judge(error)
        except (KafkaError, OSError, TimeoutError, ConfigError) as error:
            self._say(error)
        finally:
            loop.close()
        self._closing.wait(_AGAIN_SECONDS)

    async def _life(self) -> None:
        loop, closing = asyncio.get_running_loop(), asyncio.Event()
        self._close_life = lambda: tell(loop, closing.set)
        if self._closing.is_set():
            return
        member = self._member = self._make()
        try:
            await member.run(closing)
        finally:
            if member.has_read:
                self._stuck = 0
            await _sweep()

    def _judge(self, error: ReplaceError) -> None:
        _log.error("subscription.consumer_replaced", extra={"reason": error.reason})
        if not error.stuck:
            return
        self._stuck += 1
        if self._stuck > self._replacements:
            raise PoisonedError(f"the Kafka client stands still, and so did {self._replacements} before it") from error

    def _say(self, error: Exception) -> None:
        now = time.monotonic()
        if now - self._said_at > _SAY_EVERY or self._said_at == 0.0:
            self._said_at = now
            _log.warning("subscription.cluster_unreachable", extra={"error": type(error).__name__})


async def _sweep() -> None:
    """End what a consumer left running; its tasks may swallow a cancellation or two."""
    for _ in range(_SWEEPS):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1.0)
