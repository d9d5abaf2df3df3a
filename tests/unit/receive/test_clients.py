import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.receive.clients import budget_name, client_address, networks, parse_address, within

PROXIES = networks(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    "peer,forwarded,client",
    [
        pytest.param("203.0.113.9", "1.1.1.1", "203.0.113.9", id="an untrusted peer speaks for nobody"),
        pytest.param("10.0.0.1", "198.51.100.7", "198.51.100.7", id="a trusted proxy names its client"),
        pytest.param("10.0.0.1", "6.6.6.6, 198.51.100.7, 10.1.1.1", "198.51.100.7", id="rightmost untrusted"),
        pytest.param("10.0.0.1", "6.6.6.6, nonsense, 10.1.1.1", "10.1.1.1", id="nonsense ends the trust"),
        pytest.param("10.0.0.1", "", "10.0.0.1", id="no header"),
        pytest.param("10.0.0.1", "10.2.2.2, 10.3.3.3", "10.2.2.2", id="all trusted"),
        pytest.param("10.0.0.1", "198.51.100.7:4711", "198.51.100.7", id="with a port"),
        pytest.param("fd00::1", "[2001:db8::5]:443", "2001:db8::5", id="ipv6 with a port"),
        pytest.param("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7", id="an ipv4 proxy on an ipv6 socket"),
    ],
)
def test_the_client_is_the_rightmost_address_no_trusted_proxy_speaks_for(peer, forwarded, client):
    assert str(client_address(peer, forwarded.encode(), PROXIES)) == client


@given(st.binary(max_size=300))
def test_any_bytes_in_the_header_give_an_address_or_none(forwarded):
    client_address("10.0.0.1", forwarded, PROXIES)


def test_a_flood_of_trusted_entries_is_not_walked_to_its_end():
    forwarded = b"198.51.100.7" + b", 10.0.0.1" * 10_000

    assert str(client_address("10.0.0.1", forwarded, PROXIES)) == "10.0.0.1"


def test_an_ipv6_client_is_counted_by_its_network():
    first, second = parse_address("2001:db8::1"), parse_address("2001:db8::ffff:1")

    assert budget_name(first) == budget_name(second)
    assert budget_name(parse_address("192.0.2.1")) == "192.0.2.1"


def test_a_wrong_network_is_refused_at_the_start():
    with pytest.raises(ValueError, match="300"):
        networks(["300.1.1.1"])


def test_nobody_is_within_a_network():
    assert not within(None, PROXIES)
