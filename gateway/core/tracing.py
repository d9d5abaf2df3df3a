"""The trace that a delivery belongs to: the W3C `traceparent` header. Pure.

https://www.w3.org/TR/trace-context/#traceparent-header: version, trace id, parent id and flags, 55 characters; a later
version may append more, which is cut off. It is unsigned, and kept for telemetry alone: nothing is decided by it.
"""

import re

_LENGTH = 55
_FIELDS = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent(header: bytes | None) -> str | None:
    """Return the header's value, or None if there is none, or one that is not valid."""
    if header is None or _FIELDS.match(header) is None:
        return None
    more = header[_LENGTH : _LENGTH + 1]
    if more and (more != b"-" or header.startswith(b"00")):
        return None
    return header[:_LENGTH].decode("ascii")
