import ipaddress

import pytest

from gateway.core.addresses import may_connect

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "2a00:1450:4001:80b::200e", "64:ff9b::808:808"]
INTERNAL = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "::1", "fd12::1"]
NEVER = [
    "0.0.0.0",
    "169.254.169.254",
    "100.100.100.200",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2001::1",
    "2001:db8::1",
    "no address",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_asked(address):
    assert may_connect(address, private=False)


@pytest.mark.parametrize("address", [*INTERNAL, *NEVER, "64:ff9b::7f00:1", "198.18.0.1", "192.0.2.1"])
def test_nothing_else_may_be_asked(address):
    assert not may_connect(address, private=False)


@pytest.mark.parametrize("address", [*PUBLIC, *INTERNAL])
def test_the_operator_may_allow_this_network(address):
    assert may_connect(address, private=True)


@pytest.mark.parametrize("address", NEVER)
def test_no_one_may_allow_link_local_addresses_or_disguises(address):
    assert not may_connect(address, private=True)


@pytest.mark.parametrize("number", range(0, 2**32, 2**32 // 997))
def test_what_the_standard_library_calls_private_is_not_public(number):
    address = ipaddress.ip_address(number)

    assert not (may_connect(str(address), private=False) and not address.is_global)
