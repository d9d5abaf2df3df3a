"""`fetch` of a source: what is made of it, who may see its credential, and what is said of a mistake in it."""

from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import Loaded, read
from gateway.config.references import FETCH
from gateway.config.secret_values import secret_values
from gateway.config.show import effective
from gateway.core.objects import FetchOptions, Final
from tests.configuration import ENVIRON, VALID, problems

KEY = "rk_canary_fetch"
WITH = {**ENVIRON, "STRIPE_API_KEY": KEY}


def text_with(fetch: str, source: str = "stripe") -> str:
    return VALID.replace(f"    provider: {source}\n", f"    provider: {source}\n    fetch: {fetch}\n")


def loaded(folder: Path, fetch: str, *, environ=WITH, source: str = "stripe", **over: Any) -> Loaded:
    path = folder / "gateway.yaml"
    path.write_text(text_with(fetch, source))
    return read(path, environ, **over)


def options(folder: Path, fetch: str, **over: Any) -> FetchOptions | None:
    settings = loaded(folder, fetch, **over).settings
    return next(source.fetch for source in settings.sources if source.fetch is not None)


def test_the_credential_is_enough_where_the_provider_knows_the_rest(tmp_path):
    found = options(tmp_path, "{credential: {env: STRIPE_API_KEY}}")

    assert found == FetchOptions(credential=KEY)


def test_everything_can_be_said(tmp_path):
    found = options(
        tmp_path,
        '{credential: {env: STRIPE_API_KEY}, hosts: ["API.acme.example", "[::1]:8443"], rate: 2/s, send: "header:x-k",'
        ' object: "/v1/{json:id}", final: {path: status, values: [done]}, headers: {X-Version: "2"}, private: true}',
        source="custom",
    )

    assert found == FetchOptions(
        credential=KEY,
        hosts=("api.acme.example", "[::1]:8443"),
        send="header:x-k",
        url="/v1/{json:id}",
        final=Final(path="status", values=("done",)),
        headers={"x-version": "2"},
        rate=2.0,
        private=True,
    )


def test_a_credential_of_digits_stays_text(tmp_path):
    found = options(tmp_path, "{credential: {env: STRIPE_API_KEY}}", environ={**WITH, "STRIPE_API_KEY": "0123"})

    assert found is not None
    assert found.credential == "0123"


def test_the_credential_is_shown_to_nobody(tmp_path):
    found = loaded(tmp_path, "{credential: {env: STRIPE_API_KEY}}")
    shown = {each.key: (each.value, each.origin) for each in effective(found)}

    assert shown["sources.stripe.fetch.credential"] == ("***", "env STRIPE_API_KEY")
    assert KEY not in str(shown)
    assert KEY not in repr(found.settings)


def test_the_log_may_hold_the_credential_in_no_form(tmp_path):
    hidden = secret_values(loaded(tmp_path, "{credential: {env: STRIPE_API_KEY}}").settings)

    assert {KEY, "cmtfY2FuYXJ5X2ZldGNoOg=="} <= hidden


def test_a_command_that_runs_no_handlers_need_not_know_the_credential(tmp_path):
    found = loaded(tmp_path, "{credential: {env: STRIPE_API_KEY}}", environ=ENVIRON, optional=[FETCH])

    assert found.compiled["stripe"].name == "stripe"


MISTAKES = [
    ("{credential: {env: OTHER_KEY}}", "sources.stripe.fetch.credential: environment variable OTHER_KEY is not set"),
    ("{}", "sources.stripe.fetch: credential is missing"),
    ("{credential: x, hosts: [https://a.example]}", "sources.stripe.fetch.hosts[0]: is no host"),
    ("{credential: x, rate: fast}", "sources.stripe.fetch.rate: must be a rate"),
    ("{credential: x, send: digest}", "sources.stripe.fetch.send: "),
    ("{credential: x, object: v1/x}", "sources.stripe.fetch.object: "),
    ('{credential: x, object: "/v1/{nothing}"}', "sources.stripe.fetch: "),
    (
        '{credential: x, object: "http://a.example/x"}',
        "sources.stripe.fetch.object: would send the credential unencrypted",
    ),
    ("{credential: x, final: {path: status}}", "sources.stripe.fetch.final: values is missing"),
    ("{credential: x, until: paid}", "sources.stripe.fetch.until: unknown key"),
]


@pytest.mark.parametrize("fetch, said", MISTAKES)
def test_a_mistake_is_said_where_it_is(tmp_path, fetch, said):
    (found,) = problems(tmp_path, text_with(fetch), WITH)

    assert said in found


def test_an_api_of_its_own_needs_its_host(tmp_path):
    (found,) = problems(tmp_path, text_with("{credential: x}", "custom"), WITH)

    assert "hosts: is needed" in found
