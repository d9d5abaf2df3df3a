"""The providers' pages: the configuration that each shows is one that loads."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.cli import provider_facts
from gateway.core.provider import Provider
from gateway.providers import PROVIDERS
from tests.admitting import SETTINGS, secret_of, source
from tests.configuration import loaded, problems

SERVER = "server: {public_url: https://hooks.example.com}\n"


def shown(provider: Provider) -> str:
    """Return the configuration of the page, with the places that it leaves open filled in."""
    found = re.search(r"```yaml\n(.*?)```", provider_facts.page(provider), re.DOTALL)
    assert found is not None
    text = found[1]
    for name, (value, *_) in SETTINGS.get(provider.name, {}).items():
        text = re.sub(rf"(?m)^( +{name}: \[?)\.\.\.", lambda open_, value=value: f'{open_[1]}"{value}"', text)
    return text


def environment(provider: Provider) -> Mapping[str, str]:
    """Return the variables that the page names."""
    prefix = f"{provider.name.upper()}_"
    values = {f"{prefix}{name.upper()}": value for name, (value, *_) in SETTINGS.get(provider.name, {}).items()}
    return {f"{prefix}SECRET": secret_of(provider.name), **values}


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_the_configuration_of_a_page_loads(provider: Provider, tmp_path: Path) -> None:
    text = SERVER + shown(provider)

    assert "..." not in text
    assert problems(tmp_path, text, environment(provider)) == []
    (read,) = loaded(tmp_path, text, environment(provider)).sources
    assert read.provider == provider.name


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_a_page_tells_who_can_sign_a_test_delivery(provider: Provider) -> None:
    page = provider_facts.page(provider)

    assert ("cannot sign one" in page) == (source(provider).sign is None)
    assert "header:@" not in page


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_a_page_names_each_setting_and_what_is_not_settled(provider: Provider) -> None:
    page = provider_facts.page(provider)

    assert all(f"- `{name}`" in page for name in provider.settings)
    assert all(f"- {sentence}\n" in page for sentence in provider.unsettled)


def test_the_list_counts_what_is_not_settled() -> None:
    rows = provider_facts.table(list(PROVIDERS.values())).splitlines()

    for provider in PROVIDERS.values():
        (row,) = [row for row in rows if f"]({provider.name}.md)" in row]
        assert row.endswith(f"| {len(provider.unsettled) or ''} |")
