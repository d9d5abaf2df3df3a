"""From a provider's data and a source's settings to a `Source`: everything is resolved here, once."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from gateway.core.deciding import BodyStamp, Gate, Question, decide
from gateway.core.expressions import Expression, parse_expression
from gateway.core.feeds import AddressFeed
from gateway.core.identity import Naming, identifier
from gateway.core.outgoing import Ask
from gateway.core.provider import DAY, Provider, Scheme, Terms
from gateway.core.sending import sealer, sender, unsigned_sender
from gateway.core.signing import Labelled, checker, fits
from gateway.core.source import Secret, SignedRequest, SignRequest, Source, SourceOptions, Verification
from gateway.core.verifying import UNVERIFIED, Open, Stamps, hooked, signs, verifier_of

SHORTEST_WINDOW = 7 * DAY
LONGEST_DEADLINE = 2.5
DEADLINE_UNKNOWN = 0.8
PUBLISHED = "provider"
"""Stands in `allow_ips` for the addresses that the provider publishes."""
FETCHED = "fetched"
"""The label of deliveries that a fetched key proves."""

_NEVER_KEPT = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_SECRETIVE = re.compile(r"signature|secret|token|password|api-?key|credential|hmac")
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")


def compile_source(
    provider: Provider, *, name: str, secrets: tuple[Secret, ...], options: SourceOptions | None = None
) -> Source:
    """Return the source, ready to admit.

    Raises:
        ValueError: a secret, `order_by`, `keep_headers`, `tolerance` or `public_url` does not fit the provider. The
            message begins with the option's name, or names the secret by its label; it never holds a secret's value.
    """
    options = options or SourceOptions()
    provider = _with_order(provider, options.order_by)
    unverified = _unverified(provider, secrets, options)
    if unverified:
        provider = replace(provider, schemes=(Scheme(),))
    _check(provider, secrets, options)
    terms = Terms(secrets=secrets, url=options.public_url, tolerance=options.tolerance, values=options.values)
    naming = _naming(provider, name, options, unverified=unverified)
    placed = [_placed(scheme, secrets, provider.key_hint) for scheme in provider.schemes]
    gates = [
        _gate(provider, scheme, labelled, terms, naming)
        for scheme, labelled in zip(provider.schemes, placed, strict=True)
    ]
    return Source(
        name=name,
        provider=provider.name,
        methods=frozenset(provider.methods),
        max_body=provider.max_body if options.max_body is None else options.max_body,
        deadline=deadline(provider) if options.deadline is None else options.deadline,
        dedupe_window=dedupe_window(provider) if options.dedupe_window is None else options.dedupe_window,
        on_conflict=options.on_conflict,
        on_replay=options.on_replay,
        rate=options.rate,
        allow_ips=tuple(text for text in options.allow_ips if text != PUBLISHED),
        feed=_feed(provider, options),
        content_types=options.content_types,
        labels=_labels(provider, secrets, unverified=unverified),
        id_is_signed=_id_is_signed(provider, placed, gates),
        accepted=provider.accepted,
        admit=gates[0].admit if len(gates) == 1 else partial(decide, gates),
        sign=unsigned_sender(provider) if unverified else _sender(provider, placed, terms),
        verification="none" if unverified else verification(provider),
        key_request=None if provider.key_request is None else partial(_key_request, provider.key_request, terms),
        pairs=provider.secrets == "paired",
    )


def _naming(provider: Provider, name: str, options: SourceOptions, *, unverified: bool) -> Naming:
    return Naming(
        source=name,
        provider=provider.name,
        body_varies=provider.body_varies,
        max_elements=provider.max_elements,
        keep=_kept(provider, options.keep_headers),
        decode=provider.decode,
        unverified=unverified,
    )


def _id_is_signed(provider: Provider, placed: Sequence[Sequence[Labelled]], gates: Sequence[Gate]) -> bool:
    """Return whether the signature covers the id under every scheme that this source can meet."""
    schemes = zip(gates, provider.schemes, placed, strict=True)
    used = [gate for gate, scheme, labelled in schemes if labelled or scheme.prover is not None]
    return bool(used) and all(gate.identifier.id_is_signed for gate in used)


def verification(provider: Provider) -> Verification:
    """Return whether a signature proves its deliveries, a shared token alone, or nothing of its own."""
    if any(signs(scheme) and (scheme.covers or not hooked(scheme)) for scheme in provider.schemes):
        return "signature"
    return "none" if provider.secrets == "optional" else "token"


def _feed(provider: Provider, options: SourceOptions) -> AddressFeed | None:
    if PUBLISHED not in options.allow_ips:
        return None
    if provider.feed is None:
        raise ValueError(f"allow_ips: {provider.title} publishes no list of its addresses; write its networks")
    return provider.feed


def _key_request(make: Callable[[str, Terms], Ask], terms: Terms, ref: str) -> Ask:
    return make(ref, terms)


def _unverified(provider: Provider, secrets: Sequence[Secret], options: SourceOptions) -> bool:
    """Return whether deliveries are taken unproved, which an operator must have asked for."""
    if provider.secrets == "optional" and not secrets:
        if not options.allow_unverified:
            raise ValueError(
                f"secrets: {provider.title} signs nothing, so anyone could send; configure {provider.key_hint}, "
                "or set allow_unverified: true"
            )
        return True
    if options.allow_unverified:
        raise ValueError("allow_unverified: deliveries are verified by a secret here; remove it")
    return False


def _labels(provider: Provider, secrets: Sequence[Secret], *, unverified: bool) -> tuple[str, ...]:
    if unverified:
        return (UNVERIFIED,)
    if provider.secrets == "none":
        return (FETCHED,)
    return tuple(secret.label for secret in secrets)


def _check(provider: Provider, secrets: Sequence[Secret], options: SourceOptions) -> None:
    _check_secrets(provider, secrets)
    _check_settings(provider, options.values)
    _check_url(options.public_url, needed=provider.needs_public_url)
    if options.tolerance is not None and not any(scheme.timestamp for scheme in provider.schemes):
        raise ValueError(f"tolerance: {provider.title} signs no timestamp; remove it")


def _check_settings(provider: Provider, values: Mapping[str, tuple[str, ...]]) -> None:
    for name, texts in values.items():
        if name not in provider.settings:
            remedy = f"there are: {', '.join(provider.settings)}" if provider.settings else "remove it"
            raise ValueError(f"settings.{name}: {provider.title} has no such setting; {remedy}")
        setting = provider.settings[name]
        if len(texts) > 1 and not setting.many:
            raise ValueError(f"settings.{name}: one text is needed; write {setting.hint}")
        if not all(text.strip() and re.fullmatch(setting.pattern or ".+", text, re.DOTALL) for text in texts):
            raise ValueError(f"settings.{name}: does not fit; needed is {setting.hint}")
    for name, setting in provider.settings.items():
        if setting.needed and not values.get(name):
            raise ValueError(f"settings.{name}: is needed; write {setting.hint}")


def deadline(provider: Provider) -> float:
    """Return within how many seconds to answer: half the provider's timeout, and no more than 2.5 s."""
    return DEADLINE_UNKNOWN if provider.timeout is None else min(provider.timeout / 2, LONGEST_DEADLINE)


def dedupe_window(provider: Provider) -> float:
    """Return for how many seconds an id must be remembered: as long as the event may come again, at least 7 days."""
    return max(SHORTEST_WINDOW, provider.retry_horizon + provider.redelivery_horizon)


def horizon(provider: Provider) -> float:
    """Return for how many seconds an event may come again: at least a day, and a week where nobody knows."""
    told = provider.retry_horizon + provider.redelivery_horizon
    return max(told, DAY) if told else SHORTEST_WINDOW


def _with_order(provider: Provider, order_by: str | None) -> Provider:
    if order_by is None:
        return provider
    try:
        alternatives = parse_expression(order_by)
    except ValueError as error:
        raise ValueError(f"order_by: {error}") from None
    if not alternatives:
        raise ValueError("order_by: is empty")
    if any(
        term.kind == "header" and _HEADER_NAME.fullmatch(term.name) is None for join in alternatives for term in join
    ):
        raise ValueError("order_by: names a header that there cannot be")
    return replace(provider, shapes=tuple(replace(shape, key=order_by) for shape in provider.shapes))


def _check_secrets(provider: Provider, secrets: Sequence[Secret]) -> None:
    if secrets and provider.secrets == "none":
        raise ValueError(f"secrets: {provider.title} signs with keys that are fetched; remove them")
    if not secrets and provider.secrets == "needed":
        raise ValueError(f"secrets: at least one is needed; configure {provider.key_hint}")
    if len({secret.label for secret in secrets}) < len(secrets):
        raise ValueError("secrets: two have the same label")
    macs = [mac for scheme in provider.schemes for mac in scheme.macs]
    proved = any(scheme.prover for scheme in provider.schemes)
    for secret in secrets:
        if not secret.text.strip():
            raise ValueError(f"secret {secret.label!r} is empty")
        if secret.text != secret.text.strip():
            raise ValueError(f"secret {secret.label!r} has white space around it")
        if not proved and not any(fits(mac, secret.text) for mac in macs):
            raise ValueError(f"secret {secret.label!r} is of another kind; needed is {provider.key_hint}")


def _check_url(url: str | None, *, needed: bool) -> None:
    if url is None and not needed:
        return
    if not url:
        raise ValueError("public_url: is needed, for it is signed; write the URL as it is registered with the provider")
    if not url.isascii() or re.fullmatch(r"https?://[^\s/?#@:]+(:[0-9]{1,5})?(/[^\s]*)?", url) is None:
        raise ValueError("public_url: write it in full, such as https://hooks.example.com/webhooks/twilio")


def private_header(provider: Provider | None, name: str) -> bool:
    """Return whether a header may hold a credential, by its name or because the provider proves deliveries by it."""
    schemes = () if provider is None else provider.schemes
    proofs = {proof.lower() for scheme in schemes for proof in (scheme.header, *scheme.also)}
    header = name.lower()
    return header in _NEVER_KEPT or header in proofs or _SECRETIVE.search(header) is not None


def _kept(provider: Provider, wanted: Sequence[str]) -> tuple[tuple[bytes, str], ...]:
    names = dict.fromkeys(provider.keep_headers)
    for asked in wanted:
        header = asked.lower()
        if _HEADER_NAME.fullmatch(header) is None:
            raise ValueError(f"keep_headers: {asked!r} is no header name")
        if header not in names and private_header(provider, header):
            raise ValueError(f"keep_headers: {asked!r} may hold a secret, so it is never stored")
        names[header] = None
    return tuple((header.encode("latin-1"), header) for header in names)


def _placed(scheme: Scheme, secrets: Sequence[Secret], hint: str) -> tuple[Labelled, ...]:
    """Return the secrets that are meant for the scheme, in the operator's order."""
    placed = []
    for secret in secrets:
        for mac in scheme.macs:
            if fits(mac, secret.text):
                try:
                    placed.append(Labelled(secret.label, mac.prefix.encode(), checker(mac, secret.text)))
                except ValueError as error:
                    raise ValueError(f"secret {secret.label!r} {error}; needed is {hint}") from None
    return tuple(placed)


def _gate(provider: Provider, scheme: Scheme, placed: Sequence[Labelled], terms: Terms, naming: Naming) -> Gate:
    stamp = scheme.timestamp
    in_body = f"json:{stamp.json}" if stamp is not None and stamp.json else ""
    asked = [text for challenge in provider.challenges for text in (challenge.when, challenge.answer)]
    named = identifier(scheme, provider.shapes, naming, [*asked, in_body])
    return Gate(
        applies=_applies(scheme.when),
        verifier=Open() if naming.unverified else verifier_of(scheme, placed, terms),
        identifier=named,
        questions=tuple(
            Question(
                challenge=challenge,
                when=Expression(challenge.when, named.scope) if challenge.when else None,
                answer=Expression(challenge.answer, named.scope) if challenge.answer else None,
                terms=terms,
            )
            for challenge in provider.challenges
        ),
        body_stamp=BodyStamp(Expression(in_body, named.scope), Stamps(stamp, terms.tolerance))
        if stamp is not None and in_body
        else None,
    )


def _applies(when: str | Callable[[Mapping[bytes, bytes]], bool]) -> Callable[[Mapping[bytes, bytes]], bool]:
    if not isinstance(when, str):
        return when
    header = when.lower().encode("latin-1")
    return lambda headers: not header or header in headers


def _sender(
    provider: Provider, placed: Sequence[Sequence[Labelled]], terms: Terms
) -> Callable[[SignRequest], SignedRequest] | None:
    """Return the signer with the first secret that can sign; of its schemes the last, which is the usual one."""
    for scheme in reversed(provider.schemes):
        if scheme.seal is not None:
            return sealer(provider, scheme, scheme.seal, terms)
    for secret in terms.secrets:
        for scheme, labelled in zip(reversed(provider.schemes), reversed(placed), strict=True):
            for candidate in labelled:
                sign = sender(provider, scheme, candidate, terms) if candidate.label == secret.label else None
                if sign is not None:
                    return sign
    return None
