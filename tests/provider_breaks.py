"""Ways to break a signed request that several providers share, for `ProviderShape.breaks`."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.core.source import SignedRequest

Break = Callable[[SignedRequest], SignedRequest]


def in_url(parameter: str = "token") -> Mapping[str, Break]:
    """Return what can be wrong with a token in the URL."""
    name = parameter.encode()
    return {
        "another token": lambda signed: replace(signed, query=name + b"=other"),
        "the token twice": lambda signed: replace(signed, query=signed.query + b"&" + name + b"=other"),
        "an empty token": lambda signed: replace(signed, query=name + b"="),
        "no token": lambda signed: replace(signed, query=b""),
        "another header beside": lambda signed: replace(signed, query=b"", headers={**signed.headers, "token": "x"}),
    }


def with_authorization(parameter: str = "token") -> Mapping[str, Break]:
    """Return these, and a wrong Authorization header beside the right token, which must not be passed over."""
    bad = ("Bearer other", "Basic b3RoZXI=", "other")
    beside = {
        f"authorization {text!r}": lambda signed, text=text: replace(
            signed, headers={**signed.headers, "authorization": text}
        )
        for text in bad
    }
    return {**in_url(parameter), **beside}
