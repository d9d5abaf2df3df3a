from pathlib import Path

from gateway.config.load import read
from gateway.config.show import effective
from gateway.config.values import size_text
from gateway.providers import PROVIDERS
from tests.configuration import ENVIRON, VALID


def shown(folder: Path, text: str = VALID, environ: dict[str, str] = ENVIRON) -> dict[str, tuple[object, str]]:
    path = folder / "gateway.yaml"
    path.write_text(text)
    values = effective(read(path, environ, secrets=False))
    return {each.key: (each.value, each.origin.removeprefix(f"{folder}/")) for each in values}


def test_each_value_names_its_origin(tmp_path):
    text = VALID.replace("port: 8080", "port: {env: PORT}\n  admin_port: {env: NOT_SET, default: 81}")

    found = shown(tmp_path, text, {**ENVIRON, "PORT": "80"})

    assert found["server.host"] == ("127.0.0.1", "gateway.yaml:2")
    assert found["server.port"] == (80, "env PORT")
    assert found["server.admin_port"] == (81, "gateway.yaml:4")
    assert found["server.drain"] == ("20s", "default")
    assert found["routers.billing.use"] == ("handlers.billing:router", "gateway.yaml:29")


def test_what_the_provider_decides_is_shown_as_compiled(tmp_path):
    found = shown(tmp_path)

    assert found["sources.github.max_body"] == (size_text(PROVIDERS["github"].max_body), "provider's default")
    assert found["sources.github.tolerance"] == (None, "provider's default")


def test_secrets_are_masked_with_their_label_and_origin(tmp_path):
    found = shown(tmp_path)

    assert found["sources.stripe.secrets[0] (STRIPE_SECRET)"] == ("***", "env STRIPE_SECRET")
    assert found["sources.github.secrets[0] (new)"] == ("***", "env GITHUB_SECRET")
    assert found["sources.acme.secrets[0] (dev)"] == ("***", "gateway.yaml:22")
    assert not any("canary" in str(each) for each in found.items())


def test_a_custom_scheme_is_shown_as_written(tmp_path):
    found = shown(tmp_path)

    assert found["sources.acme.scheme.signature.prefix"] == ("sha256=", "gateway.yaml:24")
    assert found["sources.acme.event.id"] == ("header:x-acme-id", "gateway.yaml:25")


def test_what_goes_with_fetches_is_masked(tmp_path):
    fetch = "fetch: {credential: canary1, hosts: [api.example.com], headers: {x-api-key: canary2}}"
    found = shown(tmp_path, VALID.replace("provider: stripe", f"provider: stripe\n    {fetch}"))

    assert found["sources.stripe.fetch.credential"][0] == "***"
    assert found["sources.stripe.fetch.headers"][0] == {"x-api-key": "***"}
    assert not any("canary" in str(each) for each in found.items())
