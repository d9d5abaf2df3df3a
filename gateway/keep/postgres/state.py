"""One router's state in Postgres, as one of its workers has it: retries, replays, pause, crash blame, positions.

A worker follows what others change about once a second, and renews its presence. While the server is away every port
answers `Unavailable`, and goes on by itself when it is back.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Self

from gateway.core.errors import DependencyError, Unavailable
from gateway.keep.postgres.asking import ASK_SECONDS, Asker
from gateway.keep.postgres.blame import PostgresBlame
from gateway.keep.postgres.connection import Pool
from gateway.keep.postgres.parking import PostgresParking
from gateway.keep.postgres.pausing import PostgresPausing
from gateway.keep.postgres.places import PostgresPlaces
from gateway.keep.postgres.registration import registered, unreachable
from gateway.keep.postgres.replays import PostgresReplays

_log = logging.getLogger("gateway.keep")

_REFRESH_SECONDS = 1.0
_SAVE_EVERY = 2
_CLOSE_SECONDS = 5.0


class PostgresState:
    """One worker's part of a router's state. Made by `open`; `close` it before its pool.

    Attributes:
        parking, replays, pausing, blame: the ports of `gateway.keep.ports`.
        places: the copies of the router's positions.
    """

    def __init__(
        self,
        asker: Asker,
        *,
        router: str,
        instance: str,
        now_us: Callable[[], int],
        strict: Collection[str] | None = None,
    ) -> None:
        self.blame = PostgresBlame(asker, router=router, instance=instance)
        self.parking = PostgresParking(
            asker,
            router=router,
            now_us=now_us,
            retried=self.blame.forget,
            strict=strict,
            learn=self.blame.refresh,  # the one to blame for a crash elsewhere may be among what comes
        )
        self.replays = PostgresReplays(asker, router=router, instance=instance)
        self.pausing = PostgresPausing(asker, router=router)
        self.places = PostgresPlaces(asker, router=router)
        self._asker = asker
        self._router = router
        self._closing = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        pool: Pool,
        *,
        router: str,
        instance: str,
        now_us: Callable[[], int],
        strict: Collection[str] | None = None,
        seconds: float = ASK_SECONDS,
    ) -> Self:
        """Be a worker of a registered router.

        Args:
            pool: connections to the store, at least two; whoever opened it closes it.
            router: the router's name.
            instance: this worker's place, the same after a restart, and no other worker's.
            now_us: the wall clock, for times of parking and death.
            strict: the names of the handlers that ask `parking.holds`, None for all.
            seconds: how long each question to the server may take.

        Raises:
            DependencyError: the router is not registered, the server cannot be reached, or it lacks our tables.
        """
        if not await registered(pool, router, seconds=seconds):
            raise DependencyError(f"router {router} has no position in the log; start it with `gateway work`")
        state = cls(Asker(pool, seconds=seconds), router=router, instance=instance, now_us=now_us, strict=strict)
        try:
            await state.blame.take_over()
            await state.pausing.refresh()
            await state.replays.take_over()
        except Unavailable as error:
            await state.close()
            raise unreachable() from error
        state._following = asyncio.create_task(state._follow())
        return state

    async def close(self) -> None:
        """Finish what is under way, and let others have what is this worker's. A second call does nothing.

        Without `blame.clean_exit` before it, the next worker of this place finds this one dead.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self._following is not None:
                    await self._following
                await self.places.flush()
                await self.replays.let_go()
        await self._asker.close(_CLOSE_SECONDS)

    async def _follow(self) -> None:
        """Follow what others change, until the end."""
        turn = 0
        while not self._closing.is_set():
            turn += 1
            try:
                await self._refresh(save=turn % _SAVE_EVERY == 0)
            except Unavailable:
                _log.warning("state.unavailable", extra={"router": self._router})
            except Exception as error:  # noqa: BLE001 - the next turn may do better; its text may hold a row's values
                _log.error("state.refresh_failed", extra={"router": self._router, "error": type(error).__name__})
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._closing.wait()

    async def _refresh(self, *, save: bool) -> None:
        await self.blame.beat()
        await self.pausing.refresh()
        if await self.parking.refresh():
            await self.blame.refresh()
        if save:
            await self.places.flush()
