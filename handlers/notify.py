"""Posts a line to a chat channel for each event: Slack, Discord or Microsoft Teams.

    NOTIFY_URL       the channel's incoming webhook; whoever has it can post, so it is a secret
    NOTIFY_TEMPLATE  the line; {source}, {provider}, {type}, {id}, {time} and {json:data.object.id} are filled in
    NOTIFY_TYPES     which event types, such as incident.*; all if left out
    NOTIFY_SOURCE    of which source; of all if left out
    NOTIFY_KIND      slack, discord or teams, where the URL does not tell

What comes from an event is shown as plain text: it can mention nobody, and hide no link behind other words. A line is
posted at least once: after a crash between the post and its mark it comes again. One line a second goes out at most,
which is what these services take; more wait.
"""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway import AnswerError, Context, Event, GiveUp, Router

TEMPLATE = "{source}: {type} ({id})"

_LINES_A_SECOND = 1.0
_LONGEST_VALUE, _LONGEST_LINE = 200, 1900
_PLACE = re.compile(r"\{(source|provider|type|id|time|json:[^{}]+)\}")
_HOSTS = {
    "hooks.slack.com": "slack",
    "hooks.slack-gov.com": "slack",
    "discord.com": "discord",
    "discordapp.com": "discord",
    "webhook.office.com": "teams",
    "logic.azure.com": "teams",
    "api.powerplatform.com": "teams",
}


def line_of(template: str, event: Event, escape: Callable[[str], str]) -> str:
    """Return the line for an event: of each value at most 200 characters, 1,900 in all."""

    def fill(place: re.Match[str]) -> str:
        value = _value(event, place[1])
        plain = "".join(character if character.isprintable() else " " for character in value)
        return escape(plain[:_LONGEST_VALUE])

    return _PLACE.sub(fill, template)[:_LONGEST_LINE]


def _value(event: Event, name: str) -> str:
    if name.startswith("json:"):
        return _json_value(event, name.removeprefix("json:"))
    if name == "time":
        return (event.time or event.received_at).isoformat(timespec="seconds")
    return str(getattr(event, name))


def _json_value(event: Event, path: str) -> str:
    try:
        found: Any = event.json()
    except ValueError:
        return "?"
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return str(found) if isinstance(found, str | int | float) else "?"


def slack_text(value: str) -> str:
    """Return a value that Slack shows as it is: without `<`, nothing is a mention or a link."""
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        value = value.replace(character, entity)
    return value


def discord_text(value: str) -> str:
    """Return a value without Markdown; mentions are switched off in the message itself."""
    return re.sub(r"([\\*_~`|>#\[\]()<@:-])", r"\\\1", value)


def slack_message(line: str) -> Mapping[str, Any]:
    """Return what Slack's incoming webhooks take; without previews, for which Slack would visit links."""
    return {"text": line, "link_names": False, "unfurl_links": False, "unfurl_media": False}


def discord_message(line: str) -> Mapping[str, Any]:
    """Return what Discord's webhooks take."""
    return {"content": line, "allowed_mentions": {"parse": []}, "flags": 4}  # 4: no previews


def teams_message(line: str) -> Mapping[str, Any]:
    """Return what Teams' workflows take: a card whose text is no Markdown, and mentions nobody."""
    text = {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]}
    card = {"type": "AdaptiveCard", "version": "1.4", "body": [text]}
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


_KINDS: Mapping[str, tuple[Callable[[str], str], Callable[[str], Mapping[str, Any]]]] = {
    "slack": (slack_text, slack_message),
    "discord": (discord_text, discord_message),
    "teams": (str, teams_message),
}


def _kind(url: str, named: str) -> str:
    host = urlsplit(url).hostname or ""
    by_host = (kind for known, kind in _HOSTS.items() if host == known or host.endswith(f".{known}"))
    kind = named or next(by_host, "")
    if kind not in _KINDS:
        raise ValueError(f"NOTIFY_KIND: write one of {', '.join(_KINDS)}; the URL does not tell")
    return kind


def notifying(environ: Mapping[str, str]) -> Router:
    """Return the router that these settings ask for.

    Raises:
        ValueError: one of them is missing or wrong.
    """
    url = environ.get("NOTIFY_URL", "")
    if not url.startswith("https://"):
        raise ValueError("NOTIFY_URL: write the https:// URL of the channel's incoming webhook")
    template = environ.get("NOTIFY_TEMPLATE") or TEMPLATE
    escape, message = _KINDS[_kind(url, environ.get("NOTIFY_KIND", ""))]

    async def post_line(event: Event, ctx: Context) -> None:
        try:
            await ctx.post(url, message(line_of(template, event, escape)))
        except AnswerError as error:  # the webhook was removed, or takes no such message
            raise GiveUp(str(error)) from error

    made = Router("notify")
    made.add(
        post_line,
        environ.get("NOTIFY_TYPES") or "*",
        name="post-line",
        source=environ.get("NOTIFY_SOURCE") or None,
        rate=_LINES_A_SECOND,
    )
    return made


router = notifying(os.environ)
