"""The written forms of times, sizes, rates, names and addresses. Messages never quote the value."""

import ipaddress
import re
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from gateway.core.compile import PUBLISHED

_DURATION = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d|w)$"
_SIZE = r"^[0-9]+(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"
_RATE = r"^[0-9]+(\.[0-9]+)?/(s|m|h)$"
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
_USE = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$|^[A-Za-z0-9][A-Za-z0-9._-]*$"
_HOST = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"
_PREFIX = r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$"
_HEADER = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def duration(text: Any) -> float:
    """Return the seconds of `14d`, `300s`, `90m`, `1.5h` or `500ms`.

    Raises:
        ValueError: it is no duration.
    """
    if not isinstance(text, str) or not re.fullmatch(_DURATION, text):
        raise ValueError('must be a duration; write a number and its unit, such as "300s", "90m" or "14d"')
    number = text.rstrip("mshdw")
    return float(Decimal(number) * Decimal(str(_SECONDS[text[len(number) :]])))


def size(text: Any) -> int:
    """Return the bytes of `20GiB`, `1MB` or `512KiB`.

    Raises:
        ValueError: it is no size.
    """
    if not isinstance(text, str) or not re.fullmatch(_SIZE, text):
        raise ValueError('must be a size; write a whole number and its unit, such as "1MiB" or "20GiB"')
    number = text.rstrip("BkKMGTi")
    return int(number) * _BYTES[text[len(number) :]]


def rate(text: Any) -> float:
    """Return the number a second of `100/s`, `600/m` or `5000/h`.

    Raises:
        ValueError: it is no rate.
    """
    if not isinstance(text, str) or not re.fullmatch(_RATE, text):
        raise ValueError('must be a rate; write a number and its unit of time, such as "100/s" or "600/m"')
    number, _, unit = text.partition("/")
    if not float(number):
        raise ValueError("must be more than 0; remove the key for no limit")
    return float(number) / _SECONDS[unit]


def duration_text(seconds: float) -> str:
    """Return a duration as one would write it: `7d`, `90m`, `2.5s`."""
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds:g}s"


def size_text(count: int) -> str:
    """Return a size as one would write it: `25MiB`, `1000B`."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= _BYTES[unit] and count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit}"
    return f"{count}B"


def _matching(pattern: str, message: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be more than 0; write a longer time")
    return seconds


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        message = 'must be an address or a network; write one such as "10.0.0.0/8" or "2001:db8::1"'
        raise ValueError(message) from None


def _sender(text: str) -> str:
    return text if text == PUBLISHED else _network(text)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _plain_url(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        fits = fits and not parts.fragment and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if fits else None


def _public_url(text: str) -> str:
    parts = _plain_url(text)
    if parts is None or parts.query:
        raise ValueError('must be the URL senders use, without query or password; such as "https://hooks.example.com"')
    return text.rstrip("/")


def _token_url(text: str) -> str:
    parts = _plain_url(text)
    if parts is None:
        raise ValueError('must be a URL without a password; such as "https://login.example.com/oauth2/token"')
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("would send the client's secret unencrypted; write https://")
    return text


def _listed(text: Any) -> Any:
    return [part.strip() for part in text.split(",")] if isinstance(text, str) else text


def _broker(text: str) -> str:
    host, _, port = text.rpartition(":")
    fits = re.fullmatch(_HOST, host) and re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65_536
    if not fits:
        raise ValueError('must be a host and its port; write one such as "kafka-1.internal:9092"')
    return text


Duration = Annotated[
    float,
    BeforeValidator(duration),
    AfterValidator(_positive),
    WithJsonSchema({"type": "string", "pattern": _DURATION, "title": "duration"}),
]
Size = Annotated[int, BeforeValidator(size), WithJsonSchema({"type": "string", "pattern": _SIZE, "title": "size"})]
Rate = Annotated[float, BeforeValidator(rate), WithJsonSchema({"type": "string", "pattern": _RATE, "title": "rate"})]
Name = Annotated[
    str,
    _matching(
        NAME_PATTERN,
        "is no valid name; use lower-case letters, digits and hyphens, at most 63, first a letter or digit",
    ),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "title": "name"}),
]
Use = Annotated[
    str,
    _matching(_USE, 'names no router; write "package.module:attribute", or the name of an installed one'),
    WithJsonSchema({"type": "string", "pattern": _USE, "title": "router"}),
]
HeaderName = Annotated[
    str,
    _matching(_HEADER, "is no header's name; use letters, digits and hyphens"),
    AfterValidator(str.lower),
    WithJsonSchema({"type": "string", "pattern": _HEADER, "title": "header"}),
]
Authority = Annotated[
    str,
    AfterValidator(str.lower),
    _matching(
        r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$",
        'is no host; write one such as "api.example.com", with a port if it is not 443',
    ),
    WithJsonSchema({"type": "string", "title": "host"}),
]
Network = Annotated[str, AfterValidator(_network), WithJsonSchema({"type": "string", "title": "network"})]
Sender = Annotated[str, AfterValidator(_sender), WithJsonSchema({"type": "string", "title": "network or `provider`"})]
PublicUrl = Annotated[
    str, AfterValidator(_public_url), WithJsonSchema({"type": "string", "format": "uri", "title": "URL"})
]
TokenUrl = Annotated[
    str, AfterValidator(_token_url), WithJsonSchema({"type": "string", "format": "uri", "title": "URL"})
]
Prefix = Annotated[
    str,
    _matching(_PREFIX, "makes no name of a topic; use letters, digits, hyphens, underscores, and dots between them"),
    WithJsonSchema({"type": "string", "pattern": _PREFIX, "title": "topic prefix"}),
]
SecretText = Annotated[str, Field(min_length=1), WithJsonSchema({"type": "string", "minLength": 1, "title": "secret"})]
_Broker = Annotated[str, AfterValidator(_broker)]
Contracts = Annotated[
    Any,  # `gateway.config.contracts` has the rules
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "object"}]}},
                {"const": "provider"},
            ],
            "title": "contracts",
        }
    ),
]
Brokers = Annotated[
    list[_Broker],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string", "title": "broker"}, "minItems": 1},
                {"type": "string", "minLength": 1},
            ]
        }
    ),
]
