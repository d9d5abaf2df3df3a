"""Reading the request by which a provider sends its secret. The bytes are unverified. Pure."""

import msgspec

_LONGEST = 2_048
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


def field_of(body: bytes, name: str) -> str | None:
    """Return the text that a small JSON object holds under a name; None where it holds none, or other fields too."""
    if len(body) > _LONGEST:
        return None
    try:
        fields = _object.decode(body)
        text = _text.decode(fields[name]) if list(fields) == [name] else None
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, RecursionError):
        return None
    return text if text and text.isascii() and text.isprintable() else None
