"""The families that most schemes belong to (one line of a provider's file each). Pure."""

from gateway.core.provider import Algorithm, Encoding, Key, Mac, Scheme, StampUnit, Timestamp

FOREVER = 3650 * 86_400.0
"""A tolerance for timestamps that are signed and that nobody checks."""

_UTF8 = Key()


def signed_body(
    header: str, *, prefix: str = "", encoding: Encoding = "hex", algorithm: Algorithm = "hmac-sha256", key: Key = _UTF8
) -> Scheme:
    """The raw body, signed alone."""
    return Scheme(header=header, macs=(Mac(algorithm=algorithm, key=key, encoding=encoding, prefix=prefix),))


def stamped_list(header: str, *, unit: StampUnit = "s", tolerance: float = 300.0, encoding: Encoding = "hex") -> Scheme:
    """One header `t=TIME,v1=SIGNATURE`, over the time, a dot and the body."""
    return Scheme(
        header=header,
        split=",",
        message=("timestamp", ".", "body"),
        timestamp=Timestamp(header=header, split=",", prefix="t=", unit=unit, past=tolerance, future=tolerance),
        macs=(Mac(prefix="v1=", encoding=encoding),),
    )


def shared_token(header: str, *, prefix: str = "", when: str = "") -> Scheme:
    """A header that holds the secret itself."""
    return Scheme(header=header, when=when, macs=(Mac(algorithm="none", encoding="raw", prefix=prefix),))


def basic_auth() -> Scheme:
    """Basic authentication: the secret is `user:password`."""
    return Scheme(header="authorization", macs=(Mac(algorithm="none", encoding="base64", prefix="Basic "),))


def token_in_url(parameter: str = "token") -> Scheme:
    """The secret in the query string of the registered URL."""
    return Scheme(query=parameter, macs=(Mac(algorithm="none", encoding="raw"),))


def token_or_basic(parameter: str = "token") -> tuple[Scheme, ...]:
    """What any sender can do whose URL is free text: `?token=SECRET`, or `user:password@` in the URL."""
    basic = Scheme(
        header="authorization",
        when="authorization",
        macs=(Mac(algorithm="none", encoding="base64", prefix="Basic "),),
    )
    return basic, token_in_url(parameter)
