import dataclasses
from pathlib import Path

import pytest

from gateway.config.load import load, read
from gateway.config.problems import ConfigProblems
from gateway.config.settings import LogSettings, ServerSettings, StoreSettings, TlsSettings
from gateway.core.source import Secret
from tests.configuration import ENVIRON, VALID, loaded, problems

MINIMAL = "sources: {github: {provider: github, secrets: [{env: GITHUB_SECRET}]}}\n"


def test_the_valid_configuration_has_no_mistakes(tmp_path):
    assert problems(tmp_path, VALID) == []


def test_what_is_left_out_is_what_the_settings_say_by_default(tmp_path):
    settings = loaded(tmp_path, MINIMAL)

    assert settings.server == ServerSettings()
    assert settings.log == LogSettings()
    assert settings.store == StoreSettings()
    assert settings.routers == ()


def test_a_section_whose_keys_are_all_commented_out_is_left_out(tmp_path):
    settings = loaded(tmp_path, MINIMAL + "server:\n  # port: 1\nrouters:\n")

    assert settings.server == ServerSettings()
    assert settings.routers == ()


def test_every_key_reaches_the_settings(tmp_path):
    text = """
server:
  host: 127.0.0.9
  port: 1
  admin_host: 127.0.0.8
  admin_port: 2
  public_url: http://localhost:9/hooks/
  trusted_proxies: [10.0.0.0/8, "::1"]
  tls: {cert: c.pem, key: k.pem}
  max_connections: 3
  max_buffered: 4KiB
  max_buffered_per_client: 5kB
  drain: 1.5m
log:
  {engine: sqlite, path: /data, retention: 2d, max_bytes: 6MB, min_free: 7B, max_queued_events: 8, max_queued_bytes: 9B}
store: {engine: sqlite, marks: 30w}
sources: {github: {provider: github, secrets: [{env: GITHUB_SECRET}]}}
routers: {billing: {use: some-installed-router, concurrency: 5}}
"""
    settings = loaded(tmp_path, text)

    assert settings.server == ServerSettings(
        host="127.0.0.9",
        port=1,
        admin_host="127.0.0.8",
        admin_port=2,
        public_url="http://localhost:9/hooks",
        trusted_proxies=("10.0.0.0/8", "::1/128"),
        tls=TlsSettings(cert=Path("c.pem"), key=Path("k.pem")),
        max_connections=3,
        max_buffered=4096,
        max_buffered_per_client=5000,
        drain=90.0,
    )
    assert settings.log == LogSettings(
        path=Path("/data"), retention=172800.0, max_bytes=6_000_000, min_free=7, max_queued_events=8, max_queued_bytes=9
    )
    assert settings.store.marks == 30 * 7 * 86400.0
    assert [(router.name, router.use, router.concurrency) for router in settings.routers] == [
        ("billing", "some-installed-router", 5)
    ]


def test_every_option_of_a_source_reaches_the_settings(tmp_path):
    text = """
sources:
  github:
    provider: stripe
    secrets: [{env: STRIPE_SECRET}]
    tolerance: 100s
    dedupe_window: 10d
    max_body: 1MiB
    deadline: 700ms
    rate: 120/m
    order_by: "json:a.b"
    on_conflict: run
    on_replay: refuse
    public_url: http://127.0.0.1:1/x
    allow_ips: [192.0.2.1]
    content_types: [Application/JSON]
    keep_headers: [X-Extra]
    settings: {}
    allow_unverified: false
"""
    (source,) = loaded(tmp_path, text).sources

    assert dataclasses.asdict(source.options) == {
        "public_url": "http://127.0.0.1:1/x",
        "tolerance": 100.0,
        "dedupe_window": 864000.0,
        "max_body": 2**20,
        "deadline": 0.7,
        "rate": 2.0,
        "order_by": "json:a.b",
        "on_conflict": "run",
        "on_replay": "refuse",
        "allow_ips": ("192.0.2.1/32",),
        "content_types": ("application/json",),
        "keep_headers": ("x-extra",),
        "allow_unverified": False,
        "values": {},
    }


def test_a_source_lives_below_the_public_url_of_the_server(tmp_path):
    settings = loaded(tmp_path, "server: {public_url: https://h.example/a}\n" + MINIMAL)

    assert settings.sources[0].options.public_url == "https://h.example/a/webhooks/github"


def test_secrets_come_from_the_environment_from_files_and_in_order(tmp_path):
    (tmp_path / "mounted.txt").write_bytes(b"from-file\r\n")
    secrets = f"[{{label: new, file: {tmp_path}/mounted.txt}}, {{env: OLD}}, {{file: {tmp_path}/mounted.txt}}]"
    text = f"sources: {{github: {{provider: github, secrets: {secrets}}}}}\n"

    (source,) = loaded(tmp_path, text, {"OLD": "from-env\n"}).sources

    expected = (Secret("new", "from-file"), Secret("OLD", "from-env"), Secret("mounted.txt", "from-file"))
    assert source.secrets == expected


@pytest.mark.parametrize(
    "environ, expected",
    [
        pytest.param({}, Secret("dev", "inline"), id="not set"),
        pytest.param({"X": ""}, Secret("dev", "inline"), id="empty"),
        pytest.param({"X": "real"}, Secret("X", "real"), id="set"),
    ],
)
def test_a_development_secret_is_used_only_where_the_variable_gives_none(tmp_path, environ, expected):
    text = "sources: {github: {provider: github, secrets: [{env: X, dev: inline}]}}\n"

    (source,) = loaded(tmp_path, text, environ).sources

    assert source.secrets == (expected,)


@pytest.mark.parametrize(
    "value, expected",
    [
        pytest.param("{env: PORT}", 9090, id="set"),
        pytest.param("{env: PORT, default: 7}", 9090, id="set, with a default"),
        pytest.param("{env: NOT_SET, default: 7}", 7, id="default"),
        pytest.param("{file: port.txt, default: 8}", 8, id="no such file, default"),
    ],
)
def test_a_plain_value_may_stand_elsewhere(tmp_path, value, expected):
    settings = loaded(tmp_path, f"server: {{port: {value}}}\n{MINIMAL}", {**ENVIRON, "PORT": "9090"})

    assert settings.server.port == expected


def test_without_secrets_a_configuration_loads_where_they_cannot_be_had(tmp_path):
    (tmp_path / "gateway.yaml").write_text(MINIMAL)

    settings = load(tmp_path / "gateway.yaml", {}, secrets=False)

    assert settings.sources[0].secrets == ()


def test_without_secrets_a_development_secret_is_no_mistake_beyond_loopback(tmp_path):
    (tmp_path / "gateway.yaml").write_text(VALID.replace("127.0.0.1", "0.0.0.0"))

    settings = load(tmp_path / "gateway.yaml", {}, secrets=False)

    assert settings.server.host == "0.0.0.0"


def test_a_missing_file_names_the_file_and_the_remedy(tmp_path):
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path / "none.yaml", {})

    assert str(caught.value) == f"{tmp_path}/none.yaml: no such file; `gateway init` writes one, --config names another"


def test_sources_are_compiled_once_they_are_complete(tmp_path):
    (tmp_path / "gateway.yaml").write_text(VALID)

    assert sorted(read(tmp_path / "gateway.yaml", ENVIRON).compiled) == ["acme", "github", "stripe"]
    assert sorted(read(tmp_path / "gateway.yaml", {}, secrets=False).compiled) == ["acme"]


def test_marks_outlive_the_longest_window_unless_they_are_written(tmp_path):
    paddle = 'sources: {paddle: {provider: paddle, secrets: [{dev: "pdl_ntfset_x"}]}}\n'

    usual = loaded(tmp_path, MINIMAL).store.marks
    longer = loaded(tmp_path, paddle).store.marks
    asked = loaded(tmp_path, "store: {marks: 200d}\n" + paddle).store.marks

    assert usual == 90 * 86400
    assert usual < longer < asked == 200 * 86400
