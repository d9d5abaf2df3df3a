"""Paths, expressions, times and forms: the small notations below admission."""

import json
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.expressions import Document, Expression, Scope, json_paths, parse_expression
from gateway.core.forms import MAX_FIELDS, MAX_STRAY, form_fields, is_form
from gateway.core.paths import Skim, Split, parse_path
from gateway.core.times import to_micros

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


def _find(text: str, body: bytes = b"", *, headers: dict[bytes, bytes] | None = None, form: bool = False) -> object:
    skim = Skim(json_paths([text]))
    scope = Scope(skim, {"id": "x-id"}, frozenset(), signs_body=True, signs_query=False)
    document = Document(skim, headers or {}, body, form=form, query=b"q=1&q=2")
    return Expression(text, scope).find(document).value


@pytest.mark.parametrize(
    "text, path",
    [
        ("id", ("id",)),
        ("$.data.object.id", ("data", "object", "id")),
        ("data.items[0].id", ("data", "items", 0, "id")),
        ("[1][2]", (1, 2)),
        ("event-data.with space", ("event-data", "with space")),
        ("data['@odata.etag'].id", ("data", "@odata.etag", "id")),
        ("['a.b'][0]", ("a.b", 0)),
    ],
)
def test_a_path_is_read_step_by_step(text: str, path: tuple[object, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text",
    ["", "$", ".", "a..b", "a[", "a[x]", "a[-1]", "a[*]", 'a"b', "a\\b", "a[99999]", "a.", "a['']", "a['b", "a['b]c']"],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON path"):
        parse_path(text)


@given(value=JSON, data=st.data())
def test_a_skim_finds_what_a_full_parse_finds(value: object, data: st.DataObject) -> None:
    step = st.sampled_from("abc") | st.integers(0, 2)
    paths = data.draw(st.lists(st.lists(step, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4))
    skim = Skim(paths)

    tree = skim.decode(json.dumps(value).encode())

    for path in paths:
        found, expected = skim.getter(path)(tree), _walked(value, path)
        if isinstance(expected, str | int | bool):
            assert found == expected
        else:
            assert not isinstance(found, str | int | float)


def _walked(value: object, path: tuple[str | int, ...]) -> object:
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


@given(elements=st.lists(JSON, max_size=5))
def test_a_split_keeps_every_element_s_bytes(elements: list[object]) -> None:
    texts = [json.dumps(element, indent=1).encode() for element in elements]

    found = Split("[*]").elements(b" [" + b" ,\n".join(texts) + b"] ")

    assert found is not None
    assert [bytes(element.raw) for element in found] == texts


@pytest.mark.parametrize("text", ["", "events", "events[0]", "[*].id", "a..b[*]"])
def test_what_names_no_array_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Split(text)


@pytest.mark.parametrize(
    "text, value",
    [
        ("json:a", "1"),
        ("json:b", 2),
        ("json:none | json:b", 2),
        ("json:a + '-' + json:b", "1-2"),
        ("json:a + json:none | 'text'", "text"),
        ("json:none", None),
        ("header:X-Id", "7"),
        ("header:@id", "7"),
        ("query:q", "1"),
        ("", None),
    ],
)
def test_an_expression_takes_its_first_complete_alternative(text: str, value: object) -> None:
    assert _find(text, b'{"a": "1", "b": 2}', headers={b"x-id": b"7"}) == value


def test_a_form_s_fields_are_read_and_of_repeated_ones_the_first() -> None:
    assert _find("form:a", b"a=1&a=2&b=%C3%A9", form=True) == "1"
    assert _find("form:b", b"a=1&a=2&b=%C3%A9", form=True) == "é"
    assert _find("json:x", b"payload=%7B%22x%22%3A5%7D", form=True) == 5


@pytest.mark.parametrize(
    "text",
    ["id", "cookie:x", "json:", "json:a..b", "header:", "body:md5", "batch:x", "json:a |", "| json:a", "json:a + "],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_expression(text)


def test_an_alias_that_the_scheme_does_not_name_is_refused() -> None:
    with pytest.raises(ValueError, match="@topic"):
        _find("header:@topic")


@pytest.mark.parametrize(
    "value, unit, micros",
    [
        (1533204720, "s", 1_533_204_720_000_000),
        (1533204720123, "ms", 1_533_204_720_123_000),
        (1.5, "s", 1_500_000),
        ("1533204720.000200", "s", 1_533_204_720_000_200),
        ("1533204720.0002009", "s", 1_533_204_720_000_200),
        ("1700000000123.5", "ms", 1_700_000_000_123_500),
        ("2023-11-14T22:13:20Z", "s", 1_700_000_000_000_000),
        ("2023-11-14T22:13:20.123456789Z", "s", 1_700_000_000_123_456),
        ("2023-11-15T00:13:20+02:00", "s", 1_700_000_000_000_000),
        ("2023-11-14 22:13:20 UTC", "s", 1_700_000_000_000_000),
        ("2023-11-14T22:13:20", "s", 1_700_000_000_000_000),
    ],
)
def test_a_time_is_read_as_providers_write_it(value: object, unit, micros: int) -> None:
    assert to_micros(value, unit) == micros


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "soon",
        "-5",
        -5,
        10**400,
        1e300,
        "9" * 39,
        "9" * 41,
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "\u0661",
        "1.x",
        [],
        {},
        "2023-13-01T00:00:00Z",
    ],
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert to_micros(value, "s") is None


@given(st.text() | st.floats(allow_nan=True, allow_infinity=True) | st.integers())
def test_no_value_makes_reading_a_time_fail(value: object) -> None:
    assert to_micros(value, "ms") is None or isinstance(to_micros(value, "ms"), int)


def test_a_form_is_read_byte_for_byte() -> None:
    assert form_fields(b"a=1&b=%ff+x&&c&d=e=f&%zz=") == [
        (b"a", b"1"),
        (b"b", b"\xff x"),
        (b"c", b""),
        (b"d", b"e=f"),
        (b"%zz", b""),
    ]


@given(
    st.lists(st.sampled_from([b"%", b"4", b"1", b"f", b"=", b"z", b"\r", b"\n", b"_", b" ", b"\xff", b"\0", b"%3D"]))
)
def test_a_form_s_escapes_are_those_of_urls(pieces: list[bytes]) -> None:
    text = b"".join(pieces)

    assert form_fields(b"a=" + text) == [(b"a", unquote_to_bytes(text))]


def test_a_form_of_stray_percent_signs_is_not_read() -> None:
    assert form_fields(b"a=" + b"%" * MAX_STRAY) == [(b"a", b"%" * MAX_STRAY)]
    assert form_fields(b"a=" + b"%" * (MAX_STRAY + 1)) is None


def test_a_form_with_too_many_fields_is_not_read() -> None:
    assert form_fields(b"&" * (MAX_FIELDS - 1)) == []
    assert form_fields(b"&" * MAX_FIELDS) is None


@pytest.mark.parametrize(
    "content_type, form",
    [
        (None, False),
        (b"application/json", False),
        (b"Application/X-WWW-Form-Urlencoded; charset=utf-8", True),
        (b"multipart/form-data", False),
    ],
)
def test_a_form_is_known_by_its_content_type(content_type: bytes | None, form: bool) -> None:  # noqa: FBT001 - a table
    assert is_form(content_type) is form
