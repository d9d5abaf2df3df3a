"""`gateway contracts` against a small real folder with no gateway running; what is stored elsewhere: see acceptance."""

import json
import sys

import pytest

from tests.commands import CONFIG, Commands, admitted, folder_with_config, settings_of, store

STRICT = '{type: object, properties: {customer: {const: "c0"}, type: {maxLength: 15}}, required: [id, total]}'
REQUIRE = f"""\
    require:
      "invoice.*": {STRICT}
      "order": {{version: "json:v", schemas: {{"2": {{required: [id]}}}}}}
"""
EVENTS = [
    ("evt_1", b'{"id":"evt_1","type":"invoice.paid","customer":"c0","total":1}'),
    ("evt_2", b'{"id":"evt_2","type":"invoice.paid","customer":"canary"}'),
    ("evt_3", b'{"id":"evt_3","type":"order","v":"1"}'),
    ("evt_4", b'{"id":"evt_4","type":"customer.created","total":2.5}'),
    ("evt_5", b'{"id":"evt_5","type":"invoice.sent","customer":"c0","total":null}'),
    ("evt_6", b"canary, no JSON"),
]


def folder(tmp_path, monkeypatch, capsys, config: str) -> Commands:
    made = folder_with_config(tmp_path / "gateway", config)
    monkeypatch.chdir(made)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    settings = settings_of(made)
    store(settings, [admitted(settings, number, *each, raw=raw) for number, (*each, raw) in enumerate(EVENTS)])
    return Commands(made, capsys)


@pytest.fixture
def gateway(tmp_path, monkeypatch, capsys):
    """A folder with six stored events, whose source requires something."""
    return folder(tmp_path, monkeypatch, capsys, CONFIG.replace("routers:", f"{REQUIRE}routers:"))


@pytest.fixture
def careless(tmp_path, monkeypatch, capsys):
    """The same; the source requires nothing."""
    return folder(tmp_path, monkeypatch, capsys, CONFIG)


def test_contracts_are_listed(gateway):
    assert gateway.lines("contracts", "list") == [
        {"source": "acme", "types": "invoice.*", "versions": "*", "schema": "require.invoice.*"},
        {"source": "acme", "types": "order", "versions": "2", "schema": "require.order.schemas.2"},
    ]


def test_without_contracts_there_is_nothing_to_list(careless):
    ran = careless("contracts", "list")

    assert (ran.status, ran.out, ran.err) == (0, "", "no source requires anything\n")


def test_stored_events_are_tested_the_newest_first(gateway):
    ran = gateway("contracts", "check", "acme", "--output", "jsonl")

    assert ran.status == 1
    assert [(row["id"], row["pointer"], row["rule"], row["schema"]) for row in ran.rows] == [
        ("evt_3", "/v", "no schema is for version 1", ""),
        ("evt_2", "", 'required "total"', "require.invoice.*"),
        ("evt_2", "/customer", "const", "require.invoice.*"),
    ]
    assert (ran.rows[0]["type"], ran.rows[0]["received_at"]) == ("order", "2026-09-21T14:13:22.000000Z")
    assert ran.err == "events looked at: 2 fit, 2 broken, 2 of types that nothing is required of\n"
    assert "canary" not in ran.out + ran.err


def test_a_table_shows_the_same(gateway):
    ran = gateway("contracts", "check", "acme")

    assert ran.status == 1
    assert all(word in ran.out for word in ("pointer", "/customer", "evt_2", 'required "total"'))
    assert "canary" not in ran.out


@pytest.mark.parametrize(
    "words, told",
    [
        pytest.param(["--type", "invoice.paid"], "events looked at: 1 fit, 1 broken\n", id="of one type"),
        pytest.param(["--type", "invoice.*"], "events looked at: 2 fit, 1 broken\n", id="of a pattern"),
        pytest.param(
            ["--type", "invoice.*", "--limit", "1"], "events looked at: 1 fit\n", id="the newest of a pattern"
        ),
        pytest.param(["--until", "2026-09-21T14:13:21Z"], "events looked at: 1 fit\n", id="of a time"),
        pytest.param(["--type", "nowhere"], "events looked at: none\n", id="none"),
    ],
)
def test_which_events_are_tested_can_be_chosen(gateway, words, told):
    ran = gateway("contracts", "check", "acme", *words, "--output", "jsonl")

    assert ran.err == told
    assert ran.status == (1 if "broken" in told else 0)


def test_a_schema_can_be_tried_before_it_is_configured(careless):
    (careless.folder / "s.json").write_text('{"required": ["total"]}')

    ran = careless("contracts", "check", "acme", "--schema", "s.json", "--output", "jsonl")

    assert [(row["id"].partition(":")[0], row["rule"]) for row in ran.rows] == [
        ("sha256", "the body does not parse"),
        ("evt_3", 'required "total"'),
        ("evt_2", 'required "total"'),
    ]
    assert {row["schema"] for row in ran.rows} == {"", "s.json"}


@pytest.mark.parametrize(
    "words, told",
    [
        pytest.param(["check", "acme"], "source acme requires nothing; configure `require`", id="nothing to test"),
        pytest.param(["check", "nobody"], "no such source; configured: acme", id="an unknown source"),
        pytest.param(["infer", "nobody"], "no such source; configured: acme", id="an unknown source to infer from"),
        pytest.param(["infer", "acme", "--type", "a*b"], "`*` may stand at the end only", id="no pattern"),
        pytest.param(["check", "acme", "--schema", "none.json"], "No such file or directory", id="no such schema"),
        pytest.param(["check", "acme", "--schema", "bad.json"], "/type of the file is no JSON Schema", id="no schema"),
    ],
)
def test_bad_input_is_told(careless, words, told):
    (careless.folder / "bad.json").write_text('{"type": "strin"}')

    ran = careless("contracts", *words)

    assert ran.status == 2
    assert told in " ".join(ran.err.split())


def test_a_schema_is_inferred_from_stored_events(careless):
    ran = careless("contracts", "infer", "acme", "--type", "invoice.*")

    assert ran.status == 0, ran.err
    assert json.loads(ran.out) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "acme invoice.*",
        "$comment": "Inferred from 3 stored events.",
        "type": "object",
        "required": ["id", "type", "customer"],
        "properties": {
            "id": {"type": "string"},
            "type": {"type": "string"},
            "customer": {"type": "string"},
            "total": {"type": ["integer", "null"]},
        },
    }
    assert ran.err == "events looked at: 3 fit\n"


def test_what_is_inferred_can_be_required_of_the_same_events(careless):
    (careless.folder / "s.json").write_text(careless("contracts", "infer", "acme").out)

    ran = careless("contracts", "check", "acme", "--schema", "s.json", "--output", "jsonl")

    assert [row["rule"] for row in ran.rows] == ["the body does not parse"]


def test_bodies_that_are_no_json_are_counted_and_left_out(careless):
    ran = careless("contracts", "infer", "acme", "--output", "jsonl")

    assert len(ran.rows) == 1
    assert ran.err == "events looked at: 5 fit, 1 without a JSON body\n"


def test_nothing_is_inferred_from_nothing(careless):
    ran = careless("contracts", "infer", "acme", "--type", "nowhere")

    assert ran.status == 1
    assert "no such event with a JSON body is stored" in ran.err
