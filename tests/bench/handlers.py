"""The routers that are measured."""

NOOP = """
from gateway import Context, Event, Router

router = Router("ledger", start="earliest")


@router.on("*", name="nothing")
async def nothing(event: Event, ctx: Context) -> None:
    pass
"""

ROW = """
from gateway import Context, Event, Router

router = Router("ledger", start="earliest", schema="create table if not exists effect (id text)")


@router.on("*", name="one-row")
async def one_row(event: Event, ctx: Context) -> None:
    await ctx.tx.execute("insert into effect (id) values (:id)", {"id": event.id})
"""

AGES = """
import time

from gateway import Context, Event, Router

router = Router("ledger")
ages = open("ages", "a", buffering=1)


@router.on("*", name="age")
async def age(event: Event, ctx: Context) -> None:
    ages.write(f"{time.time() - event.received_us / 1e6}\\n")
"""

BLOCKED = """
import asyncio

from gateway import Context, Event, Router

router = Router("ledger", start="earliest")


@router.on("*", name="waits", timeout=100000)
async def waits(event: Event, ctx: Context) -> None:
    await asyncio.sleep(100000)
"""
