"""Load for the benchmark: wrk for the closed loop, an own sender for the open one. Loopback only, bounded in time."""

import asyncio
import hashlib
import hmac
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.sender import GITHUB_SECRET

BODY_BYTES = 2048
# More bodies than the edge remembers, or each would be flagged as an old body under a new id.
_POOL = 30_000

# Each thread of wrk makes its own ids, so no two deliveries share one; the bodies repeat, signed beforehand.
_SCRIPT = """
local pool = {}
for line in io.lines(os.getenv("POOL")) do
  local tab = string.find(line, "\\t")
  pool[#pool + 1] = {string.sub(line, 1, tab - 1), string.sub(line, tab + 1)}
end
math.randomseed(os.time())
local prefix = os.getenv("PREFIX") .. tostring(math.random(1, 1e9))
local count = 0
local acknowledged = 0
request = function()
  count = count + 1
  local one = pool[count % #pool + 1]
  local headers = {
    ["content-type"] = "application/json",
    ["x-github-event"] = "push",
    ["x-github-delivery"] = prefix .. "-" .. count,
    ["x-hub-signature-256"] = one[1],
  }
  return wrk.format("POST", os.getenv("TARGET"), headers, one[2])
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


@dataclass(frozen=True)
class Run:
    """One run of load: requests answered, of them not 2xx or broken, rate a second, latencies in milliseconds."""

    requests: int
    errors: int
    rate: float
    p50: float
    p99: float
    p999: float


def push_body(number: int) -> bytes:
    """Return a GitHub push of about 2 KB."""
    push = {
        "ref": "refs/heads/main",
        "after": hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest(),
        "repository": {"id": 1000 + number % 64, "full_name": "octo/example"},
        "head_commit": {"id": str(number), "message": "m" * (BODY_BYTES - 400), "timestamp": "2026-01-01T00:00:00Z"},
        "pusher": {"name": "octocat"},
    }
    body = json.dumps(push).encode()
    return body[:-1] + b" " * max(0, BODY_BYTES - len(body)) + b"}"


def signature(body: bytes) -> str:
    return "sha256=" + hmac.new(GITHUB_SECRET.encode(), body, hashlib.sha256).hexdigest()


class Load:
    """Sends signed pushes at one gateway, or at the bare function."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0
        (folder / "push.lua").write_text(_SCRIPT)
        bodies = [push_body(number) for number in range(_POOL)]
        (folder / "pool").write_text("".join(f"{signature(body)}\t{body.decode()}\n" for body in bodies))

    def closed(self, port: int, *, connections: int, seconds: int, path: str = "/webhooks/github") -> Run:
        """Run wrk with one thread."""
        self._runs += 1
        environ = {"POOL": str(self._folder / "pool"), "PREFIX": f"r{self._runs}-", "TARGET": path}
        words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(self._folder / "push.lua")]
        told = subprocess.run(
            [*words, f"http://127.0.0.1:{port}"], env=environ, capture_output=True, text=True, check=True,
            timeout=seconds + 30,
        ).stdout  # fmt: skip
        found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", told)
        if found is None:
            raise RuntimeError(f"wrk said no result: {told[-500:]}")
        requests, micros, errors, p50, p99, p999 = (int(text) for text in found.groups())
        return Run(requests, errors, requests / (micros / 1e6), p50 / 1e3, p99 / 1e3, p999 / 1e3)

    def open(self, port: int, *, rate: float, seconds: int) -> Run:
        """Send at a fixed rate whatever the answers do; latency counts from when a request was due."""
        self._runs += 1
        words = [sys.executable, "-m", "tests.bench.open_loop", str(port), str(rate), str(seconds), f"o{self._runs}-"]
        told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
        return Run(**json.loads(told))


def wrk_is_missing() -> bool:
    return shutil.which("wrk") is None


def percentile(values: list[float], percent: float) -> float:
    """Return the nearest-rank percentile of sorted `values`."""
    return values[min(len(values) - 1, int(len(values) * percent / 100))]


async def open_loop(port: int, rate: float, seconds: float, prefix: str, connections: int = 64) -> Run:
    """Send signed pushes at `rate` a second over a pool of kept connections."""
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(connections):
        idle.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    bodies = [push_body(number) for number in range(200)]
    heads = [f"content-length: {len(body)}\r\nx-hub-signature-256: {signature(body)}\r\n\r\n" for body in bodies]
    latencies: list[float] = []
    errors = 0

    async def one(number: int, due: float) -> None:
        nonlocal errors
        reader, writer = await idle.get()
        slot = number % len(bodies)
        head = (
            "POST /webhooks/github HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            f"x-github-event: push\r\nx-github-delivery: {prefix}{number}\r\n"
        )
        writer.write((head + heads[slot]).encode() + bodies[slot])
        answer = await reader.readuntil(b"}")
        latencies.append((time.perf_counter() - due) * 1e3)
        errors += not answer.startswith(b"HTTP/1.1 2")
        idle.put_nowait((reader, writer))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (pause := due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            tasks.create_task(one(number, due))
    latencies.sort()
    took = time.perf_counter() - began
    return Run(
        len(latencies), errors, len(latencies) / took,
        statistics.median(latencies), percentile(latencies, 99), percentile(latencies, 99.9),
    )  # fmt: skip
