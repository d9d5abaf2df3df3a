"""Who a delivery comes from: the peer, or what trusted proxies say of it. Pure.

X-Forwarded-For is believed from the right, entry by entry, only as long as the one who wrote it is a trusted proxy.
The leftmost entry is the sender's own claim and proves nothing.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_HOPS = 32


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return addresses and CIDR ranges as networks.

    Raises:
        ValueError: one of them is neither.
    """
    return tuple(ip_network(text, strict=False) for text in texts)


def parse_address(text: str) -> Address | None:
    """Return the address in `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`, None if there is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def within(address: Address | None, allowed: tuple[Network, ...]) -> bool:
    """Return whether the address lies in one of the networks."""
    return address is not None and any(address in network for network in allowed)


def client_address(peer: str, forwarded: bytes, trusted: tuple[Network, ...]) -> Address | None:
    """Return the rightmost address that no trusted proxy speaks for, None if the peer has none (a unix socket)."""
    address = parse_address(peer)
    if not trusted or not within(address, trusted):
        return address
    for entry in reversed(forwarded.decode("latin-1").split(",")[-_MAX_HOPS:]):
        claimed = parse_address(entry)
        if claimed is None:
            return address
        address = claimed
        if not within(address, trusted):
            return address
    return address


def budget_name(address: Address | None) -> str:
    """Return under which name a client's bytes are counted: an IPv6 client owns its whole /64."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)
