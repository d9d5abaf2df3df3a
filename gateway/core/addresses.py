"""Which addresses a request of ours may be connected to.

Public is what the IANA registries of special-purpose addresses (RFC 6890) leave over. The list stands here and is not
asked of the standard library, whose answers changed between its minor versions.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
    )
)
# The form in which an IPv6-only network reaches IPv4 hosts (RFC 6052): judged by the address in it.
_NAT64 = IPv6Network("64:ff9b::/96")
# What no host of anybody's network answers at. Link-local is among it: clouds keep a machine's credentials there.
_NEVER_4 = tuple(IPv4Network(text) for text in ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"))
_PRIVATE_6 = tuple(IPv6Network(text) for text in ("::1/128", "fc00::/7"))
# Where clouds keep credentials outside the link-local range.
_CREDENTIALS = frozenset({ip_address("100.100.100.200"), ip_address("fd00:ec2::254")})


def may_connect(text: str, *, private: bool) -> bool:
    """Return whether a request may go to this address; `private` allows this machine's and this network's, too."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address in _NAT64:
        address = IPv4Address(int(address) & 0xFFFF_FFFF)
    return is_public(address) or (private and _is_private(address))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether the address is one of the public Internet's, written as itself."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return (
        address in _GLOBAL_6 and address.scope_id is None and not any(address in network for network in _NOT_PUBLIC_6)
    )


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    if address in _CREDENTIALS:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NEVER_4)
    return address.scope_id is None and any(address in network for network in _PRIVATE_6)
