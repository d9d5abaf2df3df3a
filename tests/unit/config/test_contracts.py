"""`require`: which schemas a source's events must fit, and every mistake in it with its place."""

import json
import pickle
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest

from gateway.config import document
from gateway.config.load import read
from gateway.config.schema import json_schema
from gateway.config.settings import SourceSettings
from gateway.config.show import effective
from gateway.core.matching import compile_pattern
from gateway.core.requirement import version_reader
from gateway.testing import make_event
from tests.configuration import loaded, problems

FILES: Mapping[str, str] = {
    "ok.json": '{"type": "object"}',
    "bom.json": "\ufeff{}",
    "text.json": "nothing: JSON",
    "wrong.json": '{"properties": {"a/b": {"type": "strin"}}}',
    "look.json": '{"properties": {"a": {"pattern": "(?=canary)"}}}',
    "away.json": '{"properties": {"a": {"$ref": "https://canary.example.com/s.json"}}}',
    "typo.json": '{"properties": {"a": {"requierd": ["canary"]}}}',
}


def text_of(require: str, provider: str = "stripe", more: str = "") -> str:
    lines = textwrap.indent(require, "      ") if "\n" in require else f" {require}"
    return (
        f"sources:\n  s:\n    provider: {provider}\n    secrets: [{{dev: x}}]\n{more}    require:"
        + ("\n" if "\n" in require else "")
        + lines
    )


def source(folder: Path, require: str, **options: str) -> SourceSettings:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return loaded(folder, text_of(require, **options)).sources[0]


def wrong(folder: Path, require: str, **options: str) -> list[str]:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return problems(folder, text_of(require, **options))


def listed(found: SourceSettings) -> list[tuple[str, str, str]]:
    return [
        (str(each.pattern), str(versions), schema.name) for each in found.require for versions, schema in each.schemas
    ]


def test_a_source_without_require_requires_nothing(tmp_path):
    assert loaded(tmp_path).sources[0].require == ()


def test_schemas_come_from_files_and_from_the_configuration_itself(tmp_path):
    found = source(tmp_path, '{"invoice.*": ok.json, "customer.created": {required: [id]}, "*": bom.json}')

    assert listed(found) == [
        ("invoice.*", "*", "ok.json"),
        ("customer.created", "*", "require.customer.created"),
        ("*", "*", "bom.json"),
    ]
    assert json.loads(found.require[1].schemas[0][1].text) == {"required": ["id"]}


def test_a_path_starts_at_the_folder_of_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/s.json").write_text("{}")
    monkeypatch.chdir("/")

    assert listed(source(tmp_path, '{"*": schemas/s.json}')) == [("*", "*", "schemas/s.json")]
    assert listed(source(tmp_path, f'{{"*": {tmp_path}/ok.json}}')) == [("*", "*", f"{tmp_path}/ok.json")]


def test_a_payload_version_chooses_the_schema(tmp_path):
    found = source(tmp_path, '{"*": {version: "json:api_version", schemas: {"2025-*": ok.json, "*": {type: object}}}}')

    assert found.require[0].version == "json:api_version"
    assert listed(found) == [("*", "2025-*", "ok.json"), ("*", "*", "require.*.schemas.*")]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"more": "    keep_headers: [X-Version]\n"}, id="asked for"),
        pytest.param({"provider": "github"}, id="the provider's own"),
    ],
)
def test_a_version_may_stand_in_a_header_that_is_kept(tmp_path, options):
    header = "X-Version" if "more" in options else "X-GitHub-Enterprise-Version"

    assert source(tmp_path, f'{{"*": {{version: "header:{header}", schemas: {{"*": ok.json}}}}}}', **options).require


@pytest.mark.parametrize(
    "require, patterns",
    [
        pytest.param("provider", {"*", "charge.dispute.*", "customer.created", "invoice.*"}, id="all"),
        pytest.param('{"*": provider}', {"*", "charge.dispute.*", "customer.created", "invoice.*"}, id="of all types"),
        pytest.param('{"invoice.paid": provider}', {"invoice.paid"}, id="of one type"),
        pytest.param('{"invoice.p*": provider}', {"invoice.p*"}, id="of a narrower pattern"),
        pytest.param(
            '{"charge.*": provider}', {"charge.*", "charge.captured", "charge.dispute.*"}, id="of a wider pattern"
        ),
        pytest.param('{"treasury.*": provider}', {"treasury.*"}, id="what is common to all events"),
    ],
)
def test_shipped_schemas_are_taken_for_the_types_asked_for(tmp_path, require, patterns):
    found = {pattern for pattern, _, _ in listed(source(tmp_path, require))}

    assert patterns <= found
    assert all(
        compile_pattern(next(iter(patterns))).meet(compile_pattern(each)) for each in found if len(patterns) == 1
    )


def test_a_schema_may_speak_of_null_and_of_fields_called_env_and_file(tmp_path):
    found = source(tmp_path, '{"*": {properties: {a: {const: null}, b: {properties: {env: {type: string}}}}}}')

    schema = json.loads(found.require[0].schemas[0][1].text)
    assert schema == {"properties": {"a": {"const": None}, "b": {"properties": {"env": {"type": "string"}}}}}


def test_what_is_required_reaches_the_processes(tmp_path):
    found = source(tmp_path, '{"*": ok.json}')

    assert pickle.loads(pickle.dumps(found)) == found


JSON_SCHEMA = "see https://json-schema.org"
PATHS = "check its path, which starts at the folder of the configuration file, and who may read it"
ROOT_LINE = 'must have a version and schemas; write {version: "json:api_version", schemas: {"2025-*": FILE}}'


@pytest.mark.parametrize(
    "require, told",
    [
        ("false", "5:14: sources.s.require: must be a mapping; write event types with their schemas, or provider"),
        ("providers", "5:14: sources.s.require: must be a mapping; write event types with their schemas, or provider"),
        (
            '{"a*b": ok.json}',
            "5:15: sources.s.require.?: is no pattern; write it whole, or with one * at its end",
        ),
        (
            "{a: 3}",
            "5:18: sources.s.require.a: is no schema; name a file, write the schema as a mapping, or provider",
        ),
        (
            "{a: canary.json}",
            f"5:18: sources.s.require.a: the file cannot be read (No such file or directory); {PATHS}",
        ),
        (
            "{a: text.json}",
            "5:18: sources.s.require.a: the whole of the file is not JSON, or nested more than 255 deep",
        ),
        (
            "{a.*: wrong.json}",
            (
                "5:20: sources.s.require.a.*: /properties/a~1b/type of the file is no JSON Schema: "
                f"breaks its rule anyOf; {JSON_SCHEMA}"
            ),
        ),
        (
            "{a: look.json}",
            (
                "5:18: sources.s.require.a: /properties/a/pattern of the file is no regular expression of linear time; "
                "those have no look-around and no back-references"
            ),
        ),
        (
            "{a: away.json}",
            (
                "5:18: sources.s.require.a: the whole of the file refers to a schema that is not in it, "
                "or names an unknown dialect; nothing is fetched"
            ),
        ),
        (
            "{a: typo.json}",
            (
                "5:18: sources.s.require.a: /properties/a/requierd of the file is no keyword of JSON Schema; "
                'did you mean "required"?'
            ),
        ),
        (
            "{a: {properties: {b: {type: canary}}}}",
            (f"5:42: sources.s.require.a.properties.b.type: is no JSON Schema: breaks its rule anyOf; {JSON_SCHEMA}"),
        ),
        (
            "{a: {anyOf: [{}, {propertys: {}}]}}",
            '5:32: sources.s.require.a.anyOf[1].propertys: is no keyword of JSON Schema; did you mean "properties"?',
        ),
        (
            "{a: {minimum: .inf}}",
            "5:18: sources.s.require.a: holds a number that JSON has no word for; leave out .inf and .nan",
        ),
        ("{a: {version: 'json:v'}}", f"5:18: sources.s.require.a: {ROOT_LINE}"),
        ("{a: {version: 'json:v', schemas: {}}}", f"5:18: sources.s.require.a: {ROOT_LINE}"),
        (
            "{a: {version: 'canary', schemas: {'*': ok.json}}}",
            '5:28: sources.s.require.a.version: is no place of a version; write "json:api_version" or "header:NAME"',
        ),
        (
            "{a: {version: 'header:x-v', schemas: {'*': ok.json}}}",
            ("5:28: sources.s.require.a.version: is a header that events do not keep; name it in keep_headers, too"),
        ),
        (
            "{a: {version: 'json:v', schemas: {'*': ok.json}, schemes: 1}}",
            '5:63: sources.s.require.a.schemes: unknown key; did you mean "schemas"?',
        ),
        (
            "{a: {version: 'json:v', schemas: {x: provider}}}",
            "5:51: sources.s.require.a.schemas.x: stands for no single schema; write it beside the event type",
        ),
    ],
)
def test_each_mistake_has_its_place_and_remedy(tmp_path, require, told):
    assert wrong(tmp_path, require) == [told]


def test_all_mistakes_are_told_at_once_and_no_value(tmp_path):
    found = wrong(tmp_path, "{a: canary.json, b: {type: canary}, c: look.json, d: away.json, e: typo.json}")

    assert len(found) == 5
    assert not any("canary" in text for text in found)


def test_a_missing_schema_is_told_at_its_type(tmp_path):
    assert wrong(tmp_path, "invoice.*:\ncustomer.*: ok.json\n") == [
        "6:7: sources.s.require.invoice.*: is no schema; name a file, write the schema as a mapping, or provider"
    ]


def test_a_provider_without_shipped_schemas_says_so(tmp_path):
    assert wrong(tmp_path, "provider", provider="slack") == [
        "5:14: sources.s.require: no schemas are shipped for provider slack; name a file of your own"
    ]


def test_a_type_without_a_shipped_schema_names_those_there_are(tmp_path, monkeypatch):
    shipped = source(tmp_path, '{"*": provider}').require
    without_common = tuple(each for each in shipped if str(each.pattern) in ("invoice.*", "payout.*"))
    monkeypatch.setattr("gateway.config.contracts.shipped_requirements", lambda provider: without_common)

    assert wrong(tmp_path, "{treasury.*: provider}") == [
        "5:27: sources.s.require.treasury.*: no schema is shipped for these event types; there are: invoice.*, payout.*"
    ]


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path):
    (tmp_path / "binary.json").write_bytes(b"\xff")
    (tmp_path / "large.json").write_bytes(b" " * (2**20 + 1))

    first, second = wrong(tmp_path, "{a: binary.json, b: large.json}")

    assert "the file cannot be read (not UTF-8)" in first
    assert "the file is larger than 1 MiB" in second


@pytest.mark.parametrize(
    "require, fits",
    [
        ("provider", True),
        ('{"*": provider, "invoice.*": ok.json, a: {type: object}}', True),
        ('{"*": {version: "json:v", schemas: {"2025-*": ok.json}}}', True),
        ("[a]", False),
        ("elsewhere", False),
        ("{a: 3}", False),
    ],
)
def test_the_schema_of_the_configuration_takes_what_the_loader_takes(tmp_path, require, fits):
    problem = wrong(tmp_path, require)
    tree = document.read(tmp_path / "gateway.yaml").tree

    assert jsonschema.Draft202012Validator(json_schema()).is_valid(tree) == fits == (not problem)


def test_what_is_required_is_shown_as_written(tmp_path):
    source(tmp_path, '{"invoice.*": ok.json, "payout.*": provider}')

    shown = {each.key: each.value for each in effective(read(tmp_path / "gateway.yaml", {}))}

    assert shown["sources.s.require.invoice.*"] == "ok.json"
    assert shown["sources.s.require.payout.*"] == "provider"


def test_the_documented_example_is_right(tmp_path):
    page = (Path(__file__).parents[3] / "docs/contracts.md").read_text()
    (tmp_path / "schemas").mkdir()
    for name in ("invoice", "customer", "customer-old"):
        (tmp_path / f"schemas/{name}.json").write_text("{}")

    example = page.split("```yaml\n")[1].split("```")[0]

    assert problems(tmp_path, example, {"STRIPE_WEBHOOK_SECRET": "x"}) == []


def test_a_configuration_without_contracts_loads_no_library(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "jsonschema_rs", raising=False)
    monkeypatch.delitem(sys.modules, "gateway.handle.contracts", raising=False)

    loaded(tmp_path)

    assert "jsonschema_rs" not in sys.modules


# The values


@pytest.mark.parametrize(
    "one, two, both",
    [
        ("*", "*", "*"),
        ("*", "a", "a"),
        ("a.*", "a.*", "a.*"),
        ("a.*", "a.b.*", "a.b.*"),
        ("a.*", "a.b", "a.b"),
        ("a", "a", "a"),
        ("a*", "a", "a"),
        ("a", "b", None),
        ("a.*", "b.*", None),
        ("a.*", "a", None),
        ("ab", "a", None),
    ],
)
def test_two_patterns_meet_in_the_types_that_fit_both(one, two, both):
    first, second = compile_pattern(one), compile_pattern(two)

    assert [str(met) if met else None for met in (first.meet(second), second.meet(first))] == [both, both]


@pytest.mark.parametrize(
    "place, body, version",
    [
        ("json:v", {"v": "2025-01"}, "2025-01"),
        ("json:a.b[1]", {"a": {"b": [0, 7]}}, "7"),
        ("json:v", {"v": ""}, None),
        ("json:v", {"v": False}, None),
        ("json:v", {"v": 1.5}, None),
        ("json:v", {"v": {"w": 1}}, None),
        ("json:v.w", {"v": "text"}, None),
        ("json:v[3]", {"v": []}, None),
        ("json:v", [], None),
        ("header:X-Version", {}, "3"),
        ("header:x-none", {}, None),
    ],
)
def test_a_version_is_a_text_or_a_whole_number(place, body, version):
    assert version_reader(place)(make_event(headers={"x-version": "3"}), body) == version


@pytest.mark.parametrize("place", ["", "json:", "header:", "time", "query:v", "json:a[", "v"])
def test_what_is_no_place_of_a_version_is_refused(place):
    with pytest.raises(ValueError, match=r".+"):
        version_reader(place)
