"""The addresses that providers publish: taken whole or not at all, the last good list kept over restarts."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.feeds import AddressFeed, json_list
from gateway.providers import PROVIDERS
from gateway.receive import feeds
from gateway.receive.clients import parse_address
from gateway.receive.feeds import AddressList, sane_networks
from tests.asgi import call
from tests.edge import CountingMeter, DecidedLog, build_edge, make_source, until
from tests.outside import Host, answer, housed

URL = "https://api.github.com/meta"
FEED = AddressFeed(URL, json_list("hooks"))
GITHUB = b'{"verifiable_password_authentication": false, "hooks": ["192.30.252.0/22", "2606:50c0::/32"], "web": []}'
INSIDE, OUTSIDE = "192.30.252.41", "203.0.113.9"


def body_of(*networks: str) -> bytes:
    return json.dumps({"hooks": list(networks)}).encode()


@pytest.fixture
def host() -> Host:
    return Host({URL: answer(GITHUB)})


@pytest.fixture
def meter() -> CountingMeter:
    return CountingMeter()


def make_list(folder: Path | None) -> AddressList:
    return AddressList("github", FEED, folder)


def admits(addresses: AddressList, text: str) -> bool | None:
    return addresses.admits(parse_address(text))


def keep(folder: Path, content: Any, name: str = "github") -> Path:
    path = folder / feeds.FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


async def test_the_published_addresses_may_send_and_no_others(host, tmp_path):
    addresses = make_list(tmp_path)

    assert await addresses.refresh(host.fetch)

    assert [admits(addresses, text) for text in (INSIDE, "2606:50c0::1", OUTSIDE, "")] == [True, True, False, False]
    assert addresses.age(time.time()) < 60


async def test_until_there_is_a_list_nobody_can_tell(tmp_path, caplog):
    addresses = make_list(tmp_path)

    assert [admits(addresses, INSIDE), admits(addresses, OUTSIDE)] == [None, None]
    assert addresses.age(time.time()) == math.inf
    assert [record.msg for record in caplog.records] == ["addresses.unknown"]


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(None, id="down"),
        pytest.param(answer(GITHUB, 403), id="refused"),
        pytest.param(answer(GITHUB, 302, location="https://elsewhere.example"), id="redirecting"),
        pytest.param(answer(b"<html>"), id="an error page"),
        pytest.param(answer(b"[]"), id="another shape"),
        pytest.param(answer(b'{"hooks": "192.30.252.0/22"}'), id="no array"),
        pytest.param(answer(b'{"hooks": [["192.30.252.0/22"]]}'), id="nested"),
        pytest.param(answer(b"[" * 100_000), id="deep"),
        pytest.param(answer(body_of()), id="empty"),
        pytest.param(answer(body_of("192.30.252.0/22", "x")), id="one that is none"),
        pytest.param(answer(body_of("0.0.0.0/0")), id="everyone"),
        pytest.param(answer(body_of("::/0")), id="everyone by IPv6"),
        pytest.param(answer(body_of("0.0.0.0/1", "128.0.0.0/1")), id="everyone in halves"),
        pytest.param(answer(body_of(*(f"{octet}.0.0.0/8" for octet in (11, 12, 13)))), id="too many"),
        pytest.param(answer(body_of("10.0.0.0/24")), id="private"),
        pytest.param(answer(body_of("127.0.0.1")), id="this machine"),
        pytest.param(answer(body_of("224.0.1.0/24")), id="multicast"),
        pytest.param(
            answer(body_of(*(f"8.8.{number % 250}.{number // 250}" for number in range(2_001)))), id="endless"
        ),
    ],
)
async def test_the_last_good_list_outlives_what_is_none(host, tmp_path, told):
    kept = {"fetched_at": time.time() - 3 * feeds.DAY, "addresses": ["192.30.252.0/22"]}
    path = keep(tmp_path, kept)
    addresses = make_list(tmp_path)
    host.answers = {} if told is None else {URL: told}

    assert not await addresses.refresh(host.fetch)

    assert [admits(addresses, INSIDE), admits(addresses, OUTSIDE)] == [True, False]
    assert addresses.age(time.time()) > 2 * feeds.DAY
    assert json.loads(path.read_bytes()) == kept


async def test_a_list_outlives_a_restart_without_its_host(host, tmp_path):
    await make_list(tmp_path).refresh(host.fetch)

    restarted = make_list(tmp_path)

    assert [admits(restarted, INSIDE), admits(restarted, OUTSIDE)] == [True, False]
    assert await restarted.refresh(Host().fetch), "it is of today"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"fetched_at": 1, "addr', id="torn"),
        pytest.param({"fetched_at": 1, "addresses": ["0.0.0.0/0"]}, id="absurd"),
        pytest.param({"fetched_at": "x", "addresses": ["192.30.252.0/22"]}, id="no time"),
        pytest.param({"addresses": ["192.30.252.0/22"]}, id="a key missing"),
        pytest.param({"fetched_at": 1, "addresses": [1]}, id="numbers"),
        pytest.param([], id="another shape"),
        pytest.param(b"[" * 200_000, id="deep"),
        pytest.param(b" " * (feeds.LARGEST + 1), id="huge"),
    ],
)
async def test_a_damaged_file_is_no_list_and_is_mended(host, tmp_path, content):
    keep(tmp_path, content)
    addresses = make_list(tmp_path)

    assert admits(addresses, OUTSIDE) is None

    assert await addresses.refresh(host.fetch)
    assert admits(make_list(tmp_path), OUTSIDE) is False


async def test_a_list_from_the_future_is_fetched_anew(host, tmp_path):
    keep(tmp_path, {"fetched_at": time.time() + 10 * feeds.DAY, "addresses": ["192.0.32.0/24"]})
    addresses = make_list(tmp_path)

    assert await addresses.refresh(host.fetch)

    assert host.asked == {URL: 1}
    assert admits(addresses, INSIDE)
    assert addresses.age(time.time()) < 60


async def test_what_another_edge_fetched_today_is_not_fetched_again(host, tmp_path):
    first, second = make_list(tmp_path), make_list(tmp_path)
    await first.refresh(host.fetch)

    assert await second.refresh(host.fetch)

    assert host.asked == {URL: 1}
    assert admits(second, INSIDE)


async def test_a_disk_that_takes_nothing_costs_no_list(host, tmp_path, monkeypatch):
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(feeds, "replace_durably", full)
    addresses = make_list(tmp_path)

    assert await addresses.refresh(host.fetch)
    assert admits(addresses, OUTSIDE) is False


async def test_a_running_edge_fetches_and_admits_by_the_list(host, meter, tmp_path, monkeypatch):
    monkeypatch.setattr(feeds, "_START_JITTER", 0.0)
    source = make_source(feed=FEED, allow_ips=("198.51.100.0/24",))
    async with housed(DecidedLog(), meter, source, fetch=host.fetch, kept=tmp_path) as edge:
        await until(lambda: edge.address_list_ages()["acme"] < 60)

        answered = [await call(edge, client=(text, 1)) for text in (INSIDE, "198.51.100.7", OUTSIDE)]

    assert [made.status for made in answered] == [200, 200, 401]
    assert meter.counts["acme", "refused", "address"] == 1


async def test_without_a_list_the_signature_decides(host, meter):
    edge = build_edge(DecidedLog(), meter, make_source(feed=FEED))

    answered = [await call(edge, client=(OUTSIDE, 1)), await call(edge, headers=[], client=(INSIDE, 1))]

    assert [made.status for made in answered] == [200, 401]


async def test_without_a_list_a_source_that_nothing_else_proves_is_closed_for_now(meter):
    source = make_source(feed=FEED, verification="none", allow_ips=("198.51.100.0/24",))
    edge = build_edge(DecidedLog(), meter, source)

    answered = [await call(edge, client=(OUTSIDE, 1)), await call(edge, client=("198.51.100.7", 1))]

    assert [made.status for made in answered] == [503, 200]
    assert meter.counts["acme", "refused", "addresses_unknown"] == 1


async def test_the_list_looks_behind_trusted_proxies(host, meter, tmp_path):
    keep(tmp_path, {"fetched_at": time.time(), "addresses": ["192.30.252.0/22"]}, "custom")
    edge = build_edge(DecidedLog(), meter, make_source(feed=FEED), kept=tmp_path, trusted_proxies=("10.0.0.0/8",))
    claim = (b"x-forwarded-for", INSIDE.encode())

    proxied = await call(edge, headers=[claim], client=("10.0.0.1", 1))
    direct = await call(edge, headers=[claim], client=(OUTSIDE, 1))

    assert meter.counts["acme", "refused", "signature_missing"] == 1
    assert meter.counts["acme", "refused", "address"] == 1
    assert (proxied.status, direct.status) == (401, 401)


@given(st.lists(st.one_of(st.text(max_size=20), st.ip_addresses().map(str)), max_size=5))
def test_any_texts_are_a_sane_list_or_a_value_error(texts):
    try:
        found = sane_networks(texts)
    except ValueError:
        return
    assert found


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_a_value_error(body):
    try:
        assert all(isinstance(text, str) for text in FEED.parse(body))
    except ValueError:
        return


STRIPE = b'{"WEBHOOKS": ["3.18.12.63", "3.130.192.231"], "x": 1}'


@pytest.mark.parametrize("name,body,count", [("github", GITHUB, 2), ("stripe", STRIPE, 2)])
def test_the_lists_of_providers_are_read_as_they_publish_them(name, body, count):
    feed = PROVIDERS[name].feed
    assert feed is not None
    assert feed.url.startswith("https://")
    assert len(sane_networks(feed.parse(body))) == count
