"""The families that most schemes belong to (one line of a provider's file each). Pure."""

import hmac

from gateway.core.admission import Handshake, Request
from gateway.core.forms import form_fields
from gateway.core.provider import (
    Algorithm,
    Challenge,
    Encoding,
    Key,
    Mac,
    Reply,
    Scheme,
    Setting,
    StampUnit,
    Terms,
    Timestamp,
)
from gateway.core.source import Ack

FOREVER = 3650 * 86_400.0
"""A tolerance for timestamps that are signed and that nobody checks."""

_UTF8 = Key()


def signed_body(
    header: str, *, prefix: str = "", encoding: Encoding = "hex", algorithm: Algorithm = "hmac-sha256", key: Key = _UTF8
) -> Scheme:
    """The raw body, signed alone."""
    return Scheme(header=header, macs=(Mac(algorithm=algorithm, key=key, encoding=encoding, prefix=prefix),))


def stamped_list(
    header: str,
    *,
    unit: StampUnit = "s",
    tolerance: float = 300.0,
    encoding: Encoding = "hex",
    version: str = "v1",
    split: str = ",",
) -> Scheme:
    """One header `t=TIME,v1=SIGNATURE`, over the time, a dot and the body."""
    return Scheme(
        header=header,
        split=split,
        message=("timestamp", ".", "body"),
        timestamp=Timestamp(header=header, split=split, prefix="t=", unit=unit, past=tolerance, future=tolerance),
        macs=(Mac(prefix=f"{version}=", encoding=encoding),),
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


VERIFY_TOKEN = Setting(hint="the verify token, a text of your own that is entered at the subscription too", secret=True)
"""For `Provider.settings` beside `hub_challenge`, as `verify_token`."""

_NOSNIFF = (("x-content-type-options", "nosniff"),)


def hub_challenge(*modes: str) -> Challenge:
    """The GET that asks whether a subscription is ours (WebSub, section 5.3): echoed if it brings the verify token."""
    return Challenge(methods=("GET",), signed=False, reply=_hub_reply(frozenset(mode.encode() for mode in modes)))


def _hub_reply(modes: frozenset[bytes]) -> Reply:
    def reply(request: Request, terms: Terms) -> Handshake | None:
        fields = dict(form_fields(request.query) or ())
        token = terms.value("verify_token").encode()
        ours = bool(token) and hmac.compare_digest(fields.get(b"hub.verify_token", b""), token)
        challenge = fields.get(b"hub.challenge", b"")
        if not ours or not challenge or fields.get(b"hub.mode") not in modes:
            return None
        return Handshake(Ack(body=challenge, content_type="text/plain", headers=_NOSNIFF))

    return reply


def any_authorization(parameter: str = "token") -> tuple[Scheme, ...]:
    """What a sender can do whose headers are free text, too: Bearer or Basic credentials, or `?token=SECRET`."""
    macs = (
        Mac(algorithm="none", encoding="base64", prefix="Basic "),
        Mac(algorithm="none", encoding="raw", prefix="Bearer "),
    )
    return Scheme(header="authorization", when="authorization", macs=macs), token_in_url(parameter)


def bare_or_bearer() -> Scheme:
    """The Authorization header holds the secret alone, or behind `Bearer`."""
    macs = tuple(Mac(algorithm="none", encoding="raw", prefix=prefix) for prefix in ("Bearer ", ""))
    return Scheme(header="authorization", macs=macs)
