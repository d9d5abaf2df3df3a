"""Routers in trouble: each has one handler that goes wrong on events of type `trouble`, and a good one beside it."""

from textwrap import indent

_MODULE = """
import asyncio
import ctypes
import os
import resource
import signal
import time
from pathlib import Path

from gateway import Backoff, Context, Event, Router

router = Router("{name}", schema="create table if not exists effect (id text, attempt integer)")


@router.on("trouble", name="trouble", timeout=0.3, retry=Backoff(attempts=2, first=0.05, inline=2))
async def trouble(event: Event, ctx: Context) -> None:
{act}


@router.on("*", name="good")
async def good(event: Event, ctx: Context) -> None:
    row = {{"id": event.id, "attempt": ctx.attempt}}
    await ctx.tx.execute("insert into effect (id, attempt) values (:id, :attempt)", row)
"""

LINES = 20_000

TROUBLES = {
    "segfault": "ctypes.string_at(0)",
    "exit": "os._exit(9)",
    # As the system does to a process that takes too much memory.
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "hang": """
while True:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        pass
""",
    "memory": """
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
hoard = []
while True:
    hoard.append(bytearray(2**20))
""",
    "raise": 'raise RuntimeError("no, and the card number is 4242424242424242")',
    "interrupt": "raise KeyboardInterrupt",
    "quit": "raise SystemExit(3)",
    "flood": f"""
for number in range({LINES}):
    ctx.log.warning("line %d of many: %s", number, "x" * 500)
""",
}

BLOCKED_ONCE = """
if not Path("blocked").exists():
    Path("blocked").touch()
    time.sleep(3600)
"""

BLOCKED = "time.sleep(3600)"


def in_trouble(name: str, act: str) -> str:
    """Return the module of a router whose `trouble` handler does `act`."""
    return _MODULE.format(name=name, act=indent(act.strip(), "    "))
