"""Writes `docs/configuration.md` from the models: every key, its form, its default and its meaning."""

import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from gateway.config import model
from gateway.config.schema import json_schema

_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("server", model.ServerSection),
    ("server.tls", model.TlsSection),
    ("log", model.SqliteLogSection),
    ("log", model.KafkaLogSection),
    ("log.security", model.SecuritySection),
    ("log.security.oauth", model.OAuthSection),
    ("log.topics", model.TopicsSection),
    ("log.dedupe", model.DedupeSection),
    ("store", model.SqliteStoreSection),
    ("store", model.PostgresStoreSection),
    ("sources.NAME", model.SourceSection),
    ("sources.NAME.secrets[]", model.SecretSection),
    ("sources.NAME.quarantine", model.QuarantineSection),
    ("sources.NAME.fetch", model.FetchSection),
    ("sources.NAME.fetch.final", model.FinalSection),
    ("routers.NAME", model.RouterSection),
)

# Of each engine that is not the default one: its word, and the section whose keys it has too.
_OTHERS: Mapping[type[BaseModel], tuple[str, type[BaseModel]]] = {
    model.KafkaLogSection: ("kafka", model.LogSection),
    model.PostgresStoreSection: ("postgres", model.StoreSection),
}

_INTRODUCTION = """\
# Configuration

<!-- Generated from gateway/config/model.py by `make docs`. -->

One YAML file: `--config FILE`, else the environment variable `GATEWAY_CONFIG`, else `config/gateway.yaml`.
[config/gateway.yaml](../config/gateway.yaml) is a complete example that runs as it is;
[config/gateway.kafka.yaml](../config/gateway.kafka.yaml) is the same on Kafka and Postgres.

- `gateway check` finds every mistake at once, each as `file:line:column: key: what is wrong; what to do`.
- `gateway config show` tells what is in effect and where each value comes from. Secrets are masked.
- `gateway config schema` prints the JSON Schema; name it to your editor in the first line of the file:
  `# yaml-language-server: $schema=gateway.schema.json`.

Times are written `500ms`, `300s`, `90m`, `12h`, `14d` or `2w`; sizes `512B`, `100kB`, `1MB`, `25MiB` or `20GiB`; rates
`100/s`, `600/m` or `5000/h`. Relative paths start at the current directory, those of schemas in
`require` at the folder of the file. The file is YAML 1.2 without anchors,
tags, merge keys or repeated keys.

## Values that stand elsewhere

Any plain value may be `{env: NAME}`, `{env: NAME, default: VALUE}` or `{file: PATH}`. Newlines at the end are cut
off; a variable that is not set, or an empty one, is a mistake unless there is a default. This does not hold inside
`scheme`, `event` and `require`.

A source's secret is always one of these:

| written | means |
|---|---|
| `{env: NAME}` | the environment variable |
| `{file: PATH}` | the file, such as one that a secret manager mounts |
| `{label: old, env: NAME}` | the same, with a name of its own in metrics and logs |
| `{env: NAME, dev: "TEXT"}` | the variable if it is set, else the development secret |
| `{dev: "TEXT"}` | the development secret |

A development secret stands readable in the file, so it works on loopback only: with another `server.host`, or a
`public_url` that is not loopback, the gateway refuses to start while one is in use.

What the gateway itself logs in with (`log.security.password`, `log.security.oauth.client_secret`, `store.dsn`,
`fetch.credential` of a source) is a plain value: write `{env: NAME}` or `{file: PATH}`. No message, no line of log and
no `gateway config show` ever has it. `gateway serve` needs neither `store.dsn` nor `fetch.credential`: a machine that
only receives need not know them.

"""

CUSTOM_EXAMPLES = (
    (
        "HMAC of the body in hex, behind a prefix, as GitHub does it",
        """\
scheme: {signature: {header: x-acme-signature, prefix: "sha256="}}
event: {id: "header:x-acme-delivery", type: "json:kind", time: "json:at"}
""",
    ),
    (
        "A timestamp and the body, in a list of `k=v`, as Stripe does it",
        """\
scheme:
  key: utf8
  message: [timestamp, ".", body]
  mac: hmac-sha256
  signature: {header: acme-signature, split: ",", prefix: "v1="}
  encoding: hex
  timestamp: {header: acme-signature, split: ",", prefix: "t=", unit: s, tolerance: 180}
event: {id: "json:id", type: "json:type", key: "json:customer.id"}
""",
    ),
    (
        "A shared token in a header",
        """\
scheme: {mac: none, encoding: raw, signature: {header: x-acme-token}}
event: {id: "json:uuid", type: "json:kind"}
""",
    ),
)

_CUSTOM = """\

## A provider of your own

With `provider: custom`, `scheme` says how a delivery is signed and `event` where it carries what identifies it; the
source's `secrets` are the keys. Three worked examples:
"""


def page() -> str:
    """Return the page, Markdown."""
    return _INTRODUCTION + "\n".join(_section(title, section) for title, section in _SECTIONS) + _custom()


def _custom() -> str:
    examples = (f"\n{title}:\n\n```yaml\n{text}```\n" for title, text in CUSTOM_EXAMPLES)
    return _CUSTOM + "".join(examples)


def _section(title: str, section: type[BaseModel]) -> str:
    schema = json_schema()["$defs"][section.__name__]
    other = _OTHERS.get(section)
    heading = f"## `{title}`" if other is None else f"## `{title}` with `engine: {other[0]}`"
    known = () if other is None else other[1].model_fields.keys() - {"engine"}
    rows = "\n".join(_rows(section, schema, known))
    about = inspect.cleandoc(section.__doc__ or "")
    return f"{heading}\n\n{about}\n\n| key | form | default | meaning |\n|---|---|---|---|\n{rows}\n"


def _rows(section: type[BaseModel], schema: dict[str, Any], known: Collection[str]) -> Iterator[str]:
    for key, field in section.model_fields.items():
        if key in known:
            continue
        default = field.get_default(call_default_factory=True)
        shown = "**required**" if field.is_required() else _default(default)
        yield f"| `{key}` | {_form(schema['properties'][key])} | {shown} | {field.description} |"


def _default(value: object) -> str:
    if value is None or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "none" if value == [] else f"`{value}`"


def _form(schema: dict[str, Any]) -> str:
    plain = next((choice for choice in schema.get("anyOf", ()) if "$ref" not in choice), schema)
    if "enum" in plain or "const" in plain:
        words = plain.get("enum", [plain.get("const")])
        return ", ".join(f"`{word}`" for word in words) if len(words) < 5 else "name"
    if plain.get("type") == "array":
        return f"list of {_form(plain['items'])}s"
    if "$ref" in plain:
        return "mapping"
    kinds = {"integer": "whole number", "string": "text", "object": "mapping", "boolean": "true or false"}
    title = plain.get("title") or schema.get("title", "")
    return title if title in _TITLED else kinds[plain["type"]]


_TITLED = ("duration", "size", "rate", "name", "router", "header", "network", "URL", "secret", "broker")
