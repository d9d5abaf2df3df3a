"""A valid configuration for tests, and what loading a broken one says."""

from collections.abc import Mapping
from pathlib import Path

from gateway.config.load import load
from gateway.config.problems import ConfigProblems
from gateway.config.settings import Settings

ENVIRON = {"STRIPE_SECRET": "whsec_canary_stripe", "GITHUB_SECRET": "canary-github"}

VALID = """\
server:
  host: 127.0.0.1
  port: 8080
log:
  path: var
  retention: 14d
store:
  marks: 90d
sources:
  stripe:
    provider: stripe
    secrets:
      - {env: STRIPE_SECRET}
  github:
    provider: github
    secrets:
      - {label: new, env: GITHUB_SECRET}
    order_by: "json:repository.id"
  acme:
    provider: custom
    secrets:
      - {dev: canary-acme}
    scheme:
      signature: {header: x-acme-signature, prefix: "sha256="}
    event: {id: "header:x-acme-id", type: "json:kind"}
routers:
  billing:
    use: "handlers.billing:router"
"""

KAFKA_ENVIRON = {**ENVIRON, "KAFKA_PASSWORD": "canary-kafka", "DATABASE_URL": "postgresql://gw:canary-pg@db:5433/hooks"}

KAFKA = """\
log:
  engine: kafka
  bootstrap: [k1:9092, "[::1]:9093"]
  prefix: hooks
  security:
    tls: true
    mechanism: SCRAM-SHA-512
    username: gw
    password: {env: KAFKA_PASSWORD}
  topics: {partitions: 6}
  spool: var/spool
store:
  engine: postgres
  dsn: {env: DATABASE_URL}
sources:
  stripe: {provider: stripe, secrets: [{env: STRIPE_SECRET}]}
  github: {provider: github, secrets: [{env: GITHUB_SECRET}]}
"""


def loaded(folder: Path, text: str = VALID, environ: Mapping[str, str] = ENVIRON) -> Settings:
    path = folder / "gateway.yaml"
    path.write_text(text)
    return load(path, environ)


def problems(folder: Path, text: str, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    """Return what is wrong, each as `line:column: key: message; remedy`."""
    path = folder / "gateway.yaml"
    path.write_text(text)
    try:
        load(path, environ)
    except ConfigProblems as error:
        return [str(problem).removeprefix(f"{path}:").strip() for problem in error.problems]
    return []
