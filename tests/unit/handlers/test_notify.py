import importlib
import json
from typing import Any

import pytest

from gateway import Event
from gateway.testing import Answers, make_event, run

SLACK = "https://hooks.slack.com/services/T0/B0/secret"
DISCORD = "https://discord.com/api/webhooks/1/secret"
TEAMS = "https://prod-1.westeurope.logic.azure.com:443/workflows/x/triggers/manual/paths/invoke?sig=secret"
HOSTILE = "<!channel> <@U1> @everyone <https://evil.example|login> [a](https://evil.example) *b* & \n\x1b[31m"


@pytest.fixture
def notify(monkeypatch):
    """The module; it makes its router from the environment as it is imported."""
    monkeypatch.setenv("NOTIFY_URL", SLACK)
    return importlib.import_module("handlers.notify")


def event(**over: Any) -> Event:
    return make_event(**{"source": "shop", "id": "evt_1", "type": "order.paid", "body": {"total": 12.5}, **over})


async def message(notify: Any, url: str, of: Event, **environ: str) -> Any:
    """Return what is posted for an event."""
    answers = Answers({url: 200})
    (result,) = await run(notify.notifying({"NOTIFY_URL": url, **environ}), of, answers=answers)
    assert result.outcome == "done"
    (ask,) = answers.asked
    assert not ask.private
    return json.loads(ask.body)


async def test_slack_gets_a_line(notify):
    assert (await message(notify, SLACK, event()))["text"] == "shop: order.paid (evt_1)"


async def test_discord_gets_a_line(notify):
    found = await message(notify, DISCORD, event())

    assert found["content"] == r"shop: order.paid (evt\_1)"


async def test_teams_gets_a_card(notify):
    found = await message(notify, TEAMS, event())
    card = found["attachments"][0]["content"]

    assert card["body"] == [
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "shop: order.paid (evt_1)"}]}
    ]


async def test_the_line_is_as_the_operator_writes_it(notify):
    template = "*{source}* at {time}: {json:total} {json:nothing.here} {unknown}"
    found = await message(notify, SLACK, event(time_us=0), NOTIFY_TEMPLATE=template)

    assert found["text"] == "*shop* at 1970-01-01T00:00:00+00:00: 12.5 ? {unknown}"


async def test_an_event_mentions_nobody_on_slack(notify):
    found = await message(notify, SLACK, event(type=HOSTILE), NOTIFY_TEMPLATE="{type}")

    assert not set("<>") & set(found["text"])
    assert "&lt;!channel&gt;" in found["text"]
    assert (found["link_names"], found["unfurl_links"]) == (False, False)


async def test_an_event_mentions_nobody_on_discord(notify):
    found = await message(notify, DISCORD, event(type=HOSTILE), NOTIFY_TEMPLATE="{type}")

    assert found["allowed_mentions"] == {"parse": []}
    assert r"\[a\]\(https\://evil.example\)" in found["content"]


async def test_an_event_mentions_nobody_on_teams(notify):
    found = await message(notify, TEAMS, event(type=HOSTILE), NOTIFY_TEMPLATE="{type}")

    assert "msteams" not in found["attachments"][0]["content"]


@pytest.mark.parametrize("url", [SLACK, DISCORD, TEAMS])
async def test_a_value_is_one_short_line(notify, url):
    found = json.dumps(await message(notify, url, event(type=HOSTILE + "x" * 10_000), NOTIFY_TEMPLATE="{type}"))

    assert len(found) < 1500
    assert "\\n" not in found
    assert "\\u001b" not in found


async def test_a_line_is_no_longer_than_the_services_take(notify):
    found = await message(notify, DISCORD, event(type="x" * 200), NOTIFY_TEMPLATE="{type}" * 100)

    assert len(found["content"]) == 1900


async def test_a_template_in_a_value_is_not_filled(notify):
    found = await message(notify, SLACK, event(type="{id}", id="hidden"), NOTIFY_TEMPLATE="{type}")

    assert found["text"] == "{id}"


@pytest.mark.parametrize(
    "status, outcome", [(404, "dead"), (410, "dead"), (400, "dead"), (429, "retry"), (500, "retry")]
)
async def test_what_the_service_answers_decides(notify, status, outcome):
    (result,) = await run(notify.notifying({"NOTIFY_URL": SLACK}), event(), answers=Answers({SLACK: status}))

    assert result.outcome == outcome
    assert "secret" not in result.error
    assert "secret" not in result.trace


def test_lines_go_out_one_a_second(notify):
    (handler,) = notify.notifying({"NOTIFY_URL": SLACK}).handlers

    assert handler.rate == 1.0


def test_types_and_source_narrow_what_is_told(notify):
    router = notify.notifying({"NOTIFY_URL": SLACK, "NOTIFY_TYPES": "order.*", "NOTIFY_SOURCE": "shop"})

    assert router.match(event())
    assert not router.match(event(type="user.made"))
    assert not router.match(event(source="other"))


@pytest.mark.parametrize(
    "environ, said",
    [
        ({}, "NOTIFY_URL"),
        ({"NOTIFY_URL": "http://hooks.slack.com/x"}, "NOTIFY_URL"),
        ({"NOTIFY_URL": "https://chat.example.com/hooks/secret"}, "NOTIFY_KIND"),
        ({"NOTIFY_URL": "https://evilhooks.slack.com.example/secret"}, "NOTIFY_KIND"),
        ({"NOTIFY_URL": SLACK, "NOTIFY_KIND": "irc"}, "NOTIFY_KIND"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_shows_no_url(notify, environ, said):
    with pytest.raises(ValueError, match=said) as caught:
        notify.notifying(environ)

    assert "secret" not in str(caught.value)


def test_another_service_that_speaks_slack_is_named(notify):
    environ = {"NOTIFY_URL": "https://chat.example.com/hooks/x", "NOTIFY_KIND": "slack"}

    assert notify.notifying(environ).handlers
