# ruff: noqa: INP001 - a folder of files to deploy, not a package
"""The gateway on a real broker and a real database, for development: `make run-kafka`.

Starts Kafka and Postgres with their data below `var/kafka-dev`, makes the topics and the tables, then runs the gateway.
Ctrl-C ends all of it in order: the gateway finishes what it began, then the servers go.
"""

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

from deploy.local import kafka, postgres
from deploy.local.kafka import Broker, Cluster, Node
from deploy.local.postgres import Postgres
from deploy.local.processes import ServerError, free_ports, with_us

_NAME = "gateway"  # of the role and the database, as config/gateway.kafka.yaml has them
_PASSWORD = "development-only"  # noqa: S105 - as there; no word of the log's own, or it would be redacted in every line
_KAFKA_PORTS = (9092, 19092, 29092)
_POSTGRES_PORTS = (5432, 15432, 25432)
_UNREACHABLE = 3


def main() -> int:
    """Run everything until Ctrl-C; return the exit status, the gateway's if it ran."""
    options = _parser().parse_args()
    lacking = [found for found in (kafka.lacking(), postgres.lacking()) if found]
    for what, remedy in lacking:
        _say(f"{what} is missing: {remedy}")
    if lacking:
        return _UNREACHABLE
    try:
        with ExitStack() as ends:
            return _run(options.config, _servers(options.data.resolve(), ends))
    except ServerError as error:
        _say(str(error))
        return _UNREACHABLE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="config/gateway.kafka.yaml", help="the gateway's configuration")
    parser.add_argument("--data", type=Path, default=Path("var/kafka-dev"), help="where the servers keep their data")
    return parser


def _servers(data: Path, ends: ExitStack) -> dict[str, str]:
    """Start both, and return what the gateway's environment says of them."""
    peer_port, controller_port = free_ports(2)
    node = Node(id=1, port=_first_free(_KAFKA_PORTS), peer_port=peer_port, controller_port=controller_port)
    broker = Broker(data / "kafka", node, Cluster(nodes=[node]))
    ends.callback(broker.stop)
    _say("starting Kafka ...")
    broker.start()
    database = Postgres(data / "postgres", _first_free(_POSTGRES_PORTS), role=_NAME, password=_PASSWORD)
    ends.callback(database.end)
    _say("starting Postgres ...")
    database.start()
    if not database.has(_NAME):
        database.create(_NAME)
    return {"KAFKA_BOOTSTRAP": broker.bootstrap, "DATABASE_URL": database.dsn(_NAME)}


def _run(config: str, environ: dict[str, str]) -> int:
    gateway = [sys.executable, "-m", "gateway"]
    for words in (["topics", "create"], ["store", "migrate"]):
        prepared = subprocess.run(  # noqa: S603 - our own command
            [*gateway, *words, "--config", config], env={**os.environ, **environ}, check=False
        )
        if prepared.returncode:
            return prepared.returncode
    told = {"GATEWAY_CONFIG": config, **environ}
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in told.items())
    _say(f"for commands in another terminal: export {settings}")
    return _until_stopped([*gateway, "run", "--config", config], environ)


def _until_stopped(command: Sequence[str], environ: dict[str, str]) -> int:
    """Run until it ends by itself or we are told to; then it is told, once, and given the time it takes."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        with_us(command), env={**os.environ, **environ}, start_new_session=True
    )

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the standard library's signature
        process.terminate()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_free(ports: Sequence[int]) -> int:
    """Return the port that the configuration takes if none is named, or the next that no one else has."""
    for port in ports:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    return free_ports(1)[0]


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
