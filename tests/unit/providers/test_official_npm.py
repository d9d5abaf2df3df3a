"""The official libraries that npm has: they verify what we sign, and we what they sign."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.admission import Events, Rejected
from gateway.core.source import SignedRequest
from tests.admitting import JSON, NOW_US, URL, request
from tests.catalogue import shapes
from tests.conftest import missing
from tests.keys import ED25519, ed25519_raw
from tests.npm import fetch
from tests.provider_shape import ProviderShape

FOLDER = Path(__file__).parents[3] / ".cache" / "npm"
VERIFY = (
    "aws_sns", "contentful", "discord", "discord_events", "github", "line", "linear", "mux", "paddle",
    "sanity", "standard_webhooks", "workos",
)  # fmt: skip
SIGN = ("contentful", "github", "mux", "sanity", "standard_webhooks", "workos")
BODY = '{"id": "evt_1", "type": "thing.created", "note": "héllo ☃ \\u00e9"}\n'
# Contentful's library takes no other length.
LONG = "contentful-test-" * 4


@dataclass(frozen=True)
class Answers:
    """What the libraries said: of each provider's delivery, of it with one letter changed; and what they signed."""

    genuine: Mapping[str, bool]
    altered: Mapping[str, bool]
    signed: Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def answers() -> Answers:
    if shutil.which("node") is None or not (FOLDER / "node_modules").exists():
        missing("node and the official libraries of npm", "install node and npm, and run `make .cache/npm`")
    genuine = [_asked(name, _signed(name)) for name in VERIFY]
    altered = [_asked(name, _altered(_signed(name))) for name in VERIFY]
    to_sign = [{"provider": name, "secret": _secret(name), "body": BODY, "path": "/webhooks/test"} for name in SIGN]
    asked = {"now": NOW_US // 1000, "verify": genuine + altered, "sign": to_sign}
    # Where it stands is where node looks for packages.
    script = shutil.copy(fetch.LISTED.with_name("official.mjs"), FOLDER)
    command = ["node", str(script)]
    told = json.loads(
        subprocess.run(command, input=json.dumps(asked).encode(), stdout=subprocess.PIPE, check=True, timeout=60).stdout
    )
    verdicts = told["verify"]
    return Answers(
        dict(zip(VERIFY, verdicts[: len(VERIFY)], strict=True)),
        dict(zip(VERIFY, verdicts[len(VERIFY) :], strict=True)),
        dict(zip(SIGN, told["sign"], strict=True)),
    )


def _shape(name: str) -> ProviderShape:
    return shapes()[name]


def _secret(name: str) -> str:
    return LONG if name == "contentful" else _shape(name).secret or ""


def _signed(name: str) -> SignedRequest:
    shape = _shape(name)
    return shape.sign(shape.example(at_us=NOW_US), *([LONG] if name == "contentful" else []))


def _altered(sent: SignedRequest) -> SignedRequest:
    word = b"Hello" if b"Hello" in sent.body else b"e"
    return replace(sent, body=sent.body.replace(word, b"f", 1))


def _asked(name: str, sent: SignedRequest) -> dict[str, Any]:
    key = next((document.decode() for document in _shape(name).keys.values()), ed25519_raw(ED25519).hex())
    return {
        "provider": name,
        "secret": _secret(name),
        "key": key,
        "path": "/webhooks/test",
        "headers": dict(sent.headers),
        "body": sent.body.decode(),
    }


@pytest.mark.npm
@pytest.mark.parametrize("name", VERIFY)
def test_the_official_library_verifies_what_we_sign_and_nothing_else(answers: Answers, name: str) -> None:
    assert answers.genuine[name] is True
    assert answers.altered[name] is False


@pytest.mark.npm
@pytest.mark.parametrize("name", SIGN)
def test_what_the_official_library_signs_is_admitted_and_nothing_else(answers: Answers, name: str) -> None:
    target = _shape(name).source(_secret(name), public_url=URL)
    sent = request(BODY.encode(), {"content-type": JSON, **answers.signed[name], "x-contentful-topic": "a.b"})

    assert isinstance(target.admit(sent, NOW_US), Events)
    altered = msgspec.structs.replace(sent, body=sent.body + b" ")
    assert isinstance(target.admit(altered, NOW_US), Rejected)


def test_every_package_is_pinned_by_version_and_digest() -> None:
    for name, listed in _listed():
        assert listed["version"].replace(".", "").isdigit(), name
        assert listed["integrity"].startswith("sha512-"), name


def _listed() -> Iterator[tuple[str, Mapping[str, str]]]:
    yield from json.loads(fetch.LISTED.read_text()).items()
