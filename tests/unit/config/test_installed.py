"""Providers of installed packages: found by their entry point, and never in place of the gateway's own."""

import sys

import pytest

from gateway.config import installed
from gateway.core.errors import PluginError
from tests.configuration import loaded, problems

MODULE = """
from gateway.core.provider import Provider, Shape
from gateway.providers.families import signed_body

ACME = Provider(
    name="acme", title="Acme", category="other", schemes=(signed_body("x-acme-signature"),),
    shapes=(Shape(id="json:id", type="json:type"),), key_hint="the signing key of Acme's settings",
)
NAMELESS = 5
"""
CONFIGURATION = "sources: {a: {provider: %s, secrets: [{dev: s}]}}\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Install a package with these entry points, for one test."""

    def install(**points: str) -> None:
        info = tmp_path / "acme_webhooks-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-webhooks\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[gateway.providers]", *lines]) + "\n")
        (tmp_path / "acme_webhooks.py").write_text(MODULE)

    monkeypatch.syspath_prepend(str(tmp_path))
    installed._points.cache_clear()
    installed._loaded.cache_clear()
    yield install
    installed._points.cache_clear()
    installed._loaded.cache_clear()
    sys.modules.pop("acme_webhooks", None)


def test_a_source_can_name_the_provider_of_an_installed_package(tmp_path, package) -> None:
    package(acme="acme_webhooks:ACME")

    assert loaded(tmp_path, CONFIGURATION % "acme").sources[0].provider == "acme"
    assert "acme" in list(installed.PROVIDERS)
    assert installed.PROVIDERS["acme"].title == "Acme"


def test_a_package_cannot_take_the_name_of_the_gateway_s_own(package) -> None:
    package(stripe="acme_webhooks:ACME", custom="acme_webhooks:ACME")

    assert installed.PROVIDERS["stripe"].title == "Stripe"
    assert "custom" not in installed.PROVIDERS
    assert len(installed.PROVIDERS) == len(list(installed.PROVIDERS))


@pytest.mark.parametrize(
    "value, words",
    [
        ("acme_webhooks:NAMELESS", "is a int, not a Provider"),
        ("acme_webhooks:MISSING", "failed with AttributeError"),
        ("no_such_module:ACME", "failed with ModuleNotFoundError"),
    ],
)
def test_a_broken_entry_point_says_which(package, value, words) -> None:
    package(acme=value)

    with pytest.raises(PluginError, match=words):
        installed.PROVIDERS["acme"]


def test_a_provider_under_another_name_is_refused(package) -> None:
    package(other="acme_webhooks:ACME")

    with pytest.raises(PluginError, match="calls itself 'acme'"):
        installed.PROVIDERS["other"]


def test_an_unknown_provider_names_the_nearest_installed_one(tmp_path, package) -> None:
    package(acme="acme_webhooks:ACME")

    (problem,) = problems(tmp_path, CONFIGURATION % "acmee")

    assert "did you mean" in problem
    assert "acme" in problem
