"""The open-loop sender in a process of its own: `python -m tests.bench.open_loop PORT RATE SECONDS PREFIX`."""

import asyncio
import dataclasses
import json
import sys

from tests.bench.load import open_loop

if __name__ == "__main__":
    _, port, rate, seconds, prefix = sys.argv
    run = asyncio.run(open_loop(int(port), float(rate), float(seconds), prefix))
    sys.stdout.write(json.dumps(dataclasses.asdict(run)))
