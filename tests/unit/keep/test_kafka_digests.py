"""Records of digests: what was packed comes out, and garbage is told from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.keep.kafka.digests import each, pack, unpack

EDGE = b"edge-one"
ENTRY = b"i" * 16 + b"d" * 8


@given(st.binary(min_size=8, max_size=8), st.lists(st.binary(min_size=24, max_size=24), max_size=50))
def test_what_was_packed_comes_out(edge, entries):
    unpacked = unpack(pack(edge, b"".join(entries)))

    assert unpacked is not None
    assert unpacked[0] == edge
    assert [identity + digest for identity, digest in each(unpacked[1])] == entries


@given(st.none() | st.binary(max_size=100))
def test_garbage_is_no_record_and_no_error(value):
    found = unpack(value)

    assert found is None or value.startswith(b"gws1")


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"gws1",
        b"gws1" + EDGE[:-1],
        pack(EDGE, ENTRY)[:-1],
        pack(EDGE, ENTRY) + b"x",
        b"gws2" + pack(EDGE, ENTRY)[4:],
        b"{}",
    ],
)
def test_a_cut_long_or_foreign_record_is_not_read(value):
    assert unpack(value) is None
