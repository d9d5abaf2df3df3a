"""YouTube's push notifications: WebSub with a secret, Atom signed by SHA-1."""

from gateway.core.decoders import xml_json
from gateway.core.provider import DAY, Example, MiB, Provider, Shape
from gateway.providers.families import VERIFY_TOKEN, hub_challenge, signed_body

_ATOM = "application/atom+xml"


def _feed(body: bytes, _: str) -> bytes | None:
    return xml_json(body)


YOUTUBE = Provider(
    name="youtube",
    title="YouTube (WebSub)",
    category="other",
    schemes=(signed_body("x-hub-signature", prefix="sha1=", algorithm="hmac-sha1"),),
    shapes=(
        Shape(
            when="json:feed.deleted-entry.by.uri",
            id="body:sha256",
            type="'video.deleted'",
            key="json:feed.deleted-entry.by.uri",
        ),
        Shape(
            id="json:feed.entry.videoId + ':' + json:feed.entry.updated | body:sha256",
            type="'video'",
            time="json:feed.entry.updated | json:feed.updated",
            key="json:feed.entry.channelId",
        ),
    ),
    key_hint="the hub.secret that you gave when subscribing",
    settings={"verify_token": VERIFY_TOKEN},
    decode=_feed,
    challenges=(hub_challenge("subscribe", "unsubscribe"),),
    methods=("POST", "GET"),
    retry_horizon=DAY,
    max_body=MiB,
    sends={"user-agent": "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)"},
    examples={
        "video": Example(
            '<feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns="http://www.w3.org/2005/Atom">'
            '<link rel="hub" href="https://pubsubhubbub.appspot.com"/><title>YouTube video feed</title>'
            "<updated>$time</updated><entry><id>yt:video:$id</id><yt:videoId>$id</yt:videoId>"
            "<yt:channelId>UCtest</yt:channelId><title>Video title</title><published>$time</published>"
            "<updated>$time</updated></entry></feed>",
            _ATOM,
        ),
    },
    setup=(
        "Choose a secret and a verify token, and configure both.",
        "At https://pubsubhubbub.appspot.com/subscribe enter the channel's feed, the source's URL, token and secret.",
        "Subscribe again before the lease ends (10 days at most): nothing here does it for you.",
    ),
    traps=(
        "Without a hub.secret nothing is signed, and every notification is refused.",
        "A subscription ends with its lease, without a word.",
        "The body is Atom: handlers parse `event.body`; titles are as their authors wrote them.",
        "A new title and a new video look the same: compare `published` and `updated`.",
    ),
    unsettled=(
        "How long the hub retries, and whether it ever puts two videos into one notification; such a one is one event.",
    ),
    docs="https://developers.google.com/youtube/v3/guides/push_notifications",
)
