"""Lists of the addresses that a provider sends from, as it publishes them."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

AddressParser = Callable[[bytes], tuple[str, ...]]
"""Returns the addresses and networks of a published list; raises `ValueError` for anything else."""


@dataclass(frozen=True, slots=True)
class AddressFeed:
    """Where a provider publishes the addresses it sends from, and how to read that."""

    url: str
    parse: AddressParser


def json_list(key: str) -> AddressParser:
    """Return the parser of a JSON object whose `key` lists addresses and networks."""

    def parse(body: bytes) -> tuple[str, ...]:
        document = orjson.loads(body)
        listed = document.get(key) if isinstance(document, dict) else None
        if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
            raise ValueError("no list of addresses")
        return tuple(listed)

    return parse
