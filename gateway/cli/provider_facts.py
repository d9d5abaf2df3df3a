"""A provider's facts in words: for `gateway providers NAME`, and for its page below `docs/providers`. Pure."""

import re
from collections.abc import Iterator, Sequence

from gateway.cli.text import span
from gateway.core.compile import deadline, dedupe_window, verification
from gateway.core.provider import Mac, Provider, Scheme

_WAYS = {
    "hmac-sha1": "HMAC-SHA1",
    "hmac-sha256": "HMAC-SHA256",
    "hmac-sha512": "HMAC-SHA512",
    "sha256": "SHA-256 of secret and message",
    "ed25519": "Ed25519",
    "ecdsa-p256-sha256": "ECDSA P-256",
    "rsa-sha256": "RSA-SHA256",
    "none": "shared token",
}
_KEY_PAIRS = {
    "ed25519": "openssl genpkey -algorithm ed25519",
    "ecdsa-p256-sha256": "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    "rsa-sha256": "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
}


def schemes(provider: Provider) -> Sequence[str]:
    """Return one line for each way to verify, without repetitions."""
    lines = [line for scheme in provider.schemes for line in _scheme(provider, scheme)]
    if provider.secrets == "optional":
        lines.append("nothing is signed: without a token of yours only with `allow_unverified: true`")
    return list(dict.fromkeys(lines))


def _scheme(provider: Provider, scheme: Scheme) -> Iterator[str]:
    if scheme.prover is not None:
        place = f"`{scheme.header}`" if scheme.header else "the body"
        key = "a fetched key" if provider.secrets == "none" else "the secret"
        what = f"a signature under {key}" if scheme.covers else "a signed token" if scheme.header else "shared token"
        yield f"{what} in {place}, {_covered(scheme)}"
    for mac in scheme.macs:
        yield _mac(scheme, mac)


def _mac(scheme: Scheme, mac: Mac) -> str:
    way = _WAYS[mac.algorithm]
    if scheme.query:
        return f"{way} in the URL's `{scheme.query}` parameter"
    place = "the body" if scheme.claims is not None else f"`{scheme.header}`"
    prefix = f" behind `{mac.prefix.strip()}`" if mac.prefix.strip() else ""
    if mac.algorithm == "none":
        return f"{way} in {place}{prefix}"
    if scheme.rule is not None or scheme.claims is not None:
        return f"{way} in {place}{prefix}, {mac.encoding}, {_covered(scheme)}"
    named = [_named(scheme, part) for part in scheme.message]
    return f"{way} in {place}{prefix}, {mac.encoding}, over {_joined(named)}"


def _named(scheme: Scheme, text: str) -> str:
    """Return a part or an expression with the headers' own names in place of the aliases."""
    return re.sub("header:@([a-z-]+)", lambda alias: f"header:{scheme.aliases[alias[1]]}", text)


def _covered(scheme: Scheme) -> str:
    # Where the query is signed by a rule of its own, it is as part of the URL.
    parts = ["URL" if part == "query" else part for part in scheme.covers]
    return f"over {_joined(parts)}" if parts else "which covers nothing of the event"


def _joined(parts: Sequence[str]) -> str:
    return " + ".join(f"`{part}`" for part in parts)


def identity(provider: Provider) -> Sequence[tuple[str, str]]:
    """Return where id, type, time and ordering key are read, each with its expressions over all shapes."""
    fields = ("id", "type", "time", "key", "split")
    found = []
    for name in fields:
        texts = dict.fromkeys(
            _named(scheme, getattr(shape, name)) for scheme in reversed(provider.schemes) for shape in provider.shapes
        )
        found.append((name, "; ".join(f"`{text}`" for text in texts if text)))
    return [(name, text) for name, text in found if text]


def answers(provider: Provider) -> Sequence[str]:
    """Return what is answered, and to which questions."""
    lines = []
    if provider.accepted is not None:
        shown = provider.accepted.body.decode("utf-8", "replace")
        lines.append(f"an accepted delivery: {provider.accepted.status}" + (f" `{shown}`" if shown else ", empty"))
    for challenge in provider.challenges:
        method = "/".join(challenge.methods) or "/".join(provider.methods)
        what = f"`{challenge.when}`" if challenge.when else "any such request"
        must = "signed" if challenge.signed else "unsigned"
        lines.append(f"a challenge ({method}, {must}) by {what}")
    return list(dict.fromkeys(lines))


def times(provider: Provider) -> Sequence[tuple[str, str]]:
    """Return the provider's times, and what the gateway makes of them."""
    return [
        ("it gives up after", span(provider.timeout) if provider.timeout else "unknown"),
        ("we answer within", span(deadline(provider))),
        ("it retries for", retries(provider)),
        ("by hand for", span(provider.redelivery_horizon) if provider.redelivery_horizon else "unknown"),
        ("ids are remembered for", span(dedupe_window(provider))),
    ]


def retries(provider: Provider) -> str:
    """Return for how long it tries a delivery again. No span is also what a provider has of which nobody knows."""
    return span(provider.retry_horizon) if provider.retry_horizon else "none known"


def tests(provider: Provider) -> Sequence[str]:
    """Return which test deliveries there are, and what is needed to sign them."""
    command = f"`gateway send {provider.name.replace('_', '-')} TYPE`"
    if not _macs(provider) and not _sealed(provider) and provider.secrets != "optional":
        return [f"{command} cannot sign one: only {provider.title} can."]
    lines = [f"{command} knows {', '.join(f'`{name}`' for name in provider.examples)}."] if provider.examples else []
    if needs_private_key(provider):
        made = _KEY_PAIRS[_macs(provider)[0].algorithm]
        lines.append(f"It signs with a private key of yours, configured as the secret while you test: `{made}`.")
    return lines


def needs_private_key(provider: Provider) -> bool:
    """Return whether a test delivery is signed with a private key, where real ones are verified with the public one."""
    macs = _macs(provider)
    return bool(macs) and not _sealed(provider) and all(mac.algorithm in _KEY_PAIRS for mac in macs)


def _macs(provider: Provider) -> Sequence[Mac]:
    return [mac for scheme in provider.schemes if scheme.claims is None for mac in scheme.macs]


def _sealed(provider: Provider) -> bool:
    return any(scheme.seal is not None for scheme in provider.schemes)


def configuration(provider: Provider) -> str:
    """Return a source of this provider as it is written in the configuration. A secret that is sent is not in it."""
    variable = f"{provider.name.upper()}_SECRET"
    lines = ["sources:", f"  {provider.name.replace('_', '-')}:", f"    provider: {provider.name}"]
    if provider.secrets not in {"none", "paired"}:
        lines.append(f"    secrets: [{{env: {variable}}}]")
    needed = [(name, setting) for name, setting in provider.settings.items() if setting.needed]
    if needed:
        lines.append("    settings:")
    for name, setting in needed:
        value = f"{{env: {provider.name.upper()}_{name.upper()}}}" if setting.secret else "..."
        lines.append(f"      {name}: {f'[{value}]' if setting.many else value}")
    if provider.needs_public_url:
        lines.append(f"    public_url: https://hooks.example.com/webhooks/{provider.name.replace('_', '-')}")
    return "\n".join(lines) + "\n"


def page(provider: Provider) -> str:
    """Return the provider's page, in Markdown."""
    source = provider.name.replace("_", "-")
    text = f"# {provider.title}\n\nGenerated from `gateway/providers/{provider.name}.py` by `make docs`.\n\n"
    text += f"```yaml\n{configuration(provider)}```\n\n"
    text += f"The source's URL is then `https://YOUR_HOST/webhooks/{source}`.\n\n"
    text += _listed("Set-up", provider.setup, numbered=True)
    if provider.secrets != "none":
        text += f"The secret: {provider.key_hint}.\n\n"
    if provider.settings:
        rows = [
            f"`{name}`{'' if setting.needed else ' (optional)'}: {setting.hint}."
            for name, setting in provider.settings.items()
        ]
        text += _listed("Settings", rows)
    text += _listed("Verification", schemes(provider))
    text += "## Identity\n\n| | read from |\n|---|---|\n"
    text += "".join(f"| {name} | {value.replace('|', chr(92) + '|')} |\n" for name, value in identity(provider)) + "\n"
    text += _listed("Answers", answers(provider))
    text += (
        "## Times\n\n| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in times(provider)) + "\n"
    )
    text += _listed("Traps", provider.traps)
    text += _listed("Not settled", provider.unsettled)
    text += _listed("Test deliveries", tests(provider))
    return text + f"Documented at <{provider.docs}>.\n"


def table(providers: Sequence[Provider]) -> str:
    """Return the page that lists them all, in Markdown."""
    text = (
        "# Providers\n\nGenerated from `gateway/providers` by `make docs`. `gateway providers NAME` shows the same.\n\n"
        f"{len(providers)} providers, and `custom` for any other sender (see [configuration](../configuration.md)); "
        "[adding.md](adding.md) tells how to add one.\n"
        "Verified by: a **signature**, a shared **token** alone, or **none** (a token of yours in the URL, or "
        "`allow_unverified: true`).\n\n"
        "| provider | kind | verified by | retries for | not settled |\n|---|---|---|---|---|\n"
    )
    for provider in sorted(providers, key=lambda each: each.title.lower()):
        text += (
            f"| [{provider.title}]({provider.name}.md) | {provider.category} | {verification(provider)} "
            f"| {retries(provider)} | {len(provider.unsettled) or ''} |\n"
        )
    return text


def _listed(title: str, lines: Sequence[str], *, numbered: bool = False) -> str:
    if not lines:
        return ""
    marks = [f"{index}." if numbered else "-" for index in range(1, len(lines) + 1)]
    return f"## {title}\n\n" + "".join(f"{mark} {line}\n" for mark, line in zip(marks, lines, strict=True)) + "\n"
