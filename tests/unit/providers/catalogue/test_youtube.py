"""YouTube: WebSub's challenge with a verify token, Atom signed by SHA-1."""

import hashlib

import pytest

from gateway.core.admission import Rejected
from gateway.providers.youtube import YOUTUBE
from tests.admitting import request
from tests.provider_shape import Asked, Known, ProviderShape

ATOM = "application/atom+xml"
VIDEO = b"""<?xml version='1.0' encoding='UTF-8'?>
<feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns="http://www.w3.org/2005/Atom">
  <link rel="hub" href="https://pubsubhubbub.appspot.com"/>
  <title>YouTube video feed</title>
  <updated>2015-04-01T19:05:24.552394234+00:00</updated>
  <entry>
    <id>yt:video:VIDEO_ID</id>
    <yt:videoId>VIDEO_ID</yt:videoId>
    <yt:channelId>CHANNEL_ID</yt:channelId>
    <title>Video title &amp; more</title>
    <author><name>Channel title</name><uri>http://www.youtube.com/channel/CHANNEL_ID</uri></author>
    <published>2015-03-06T21:40:57+00:00</published>
    <updated>2015-03-09T19:05:24.552394234+00:00</updated>
  </entry>
</feed>
"""
DELETED = (
    b'<feed xmlns:at="http://purl.org/atompub/tombstones/1.0" xmlns="http://www.w3.org/2005/Atom"><at:deleted-entry '
    b'ref="yt:video:VIDEO_ID" when="2015-03-09T19:05:24+00:00"><at:by><name>Channel title</name>'
    b"<uri>http://www.youtube.com/channel/CHANNEL_ID</uri></at:by></at:deleted-entry></feed>"
)
QUERY = b"hub.topic=https%3A%2F%2Fwww.youtube.com%2Ffeeds&hub.challenge=123456789&hub.lease_seconds=432000&hub.mode="


def _asked(mode: bytes, token: bytes = b"vt") -> bytes:
    return QUERY + mode + b"&hub.verify_token=" + token


class TestYouTube(ProviderShape):
    provider = YOUTUBE
    settings = {"verify_token": ("vt",)}
    known = (
        Known(VIDEO, "VIDEO_ID:2015-03-09T19:05:24.552394234+00:00", "video", 1_425_927_924_552_394, "CHANNEL_ID",
              content_type=ATOM),
        Known(DELETED, "sha256:" + hashlib.sha256(DELETED).hexdigest(), "video.deleted", None,
              "http://www.youtube.com/channel/CHANNEL_ID", content_type=ATOM, name="a deletion"),
    )  # fmt: skip
    asked = (
        Asked(
            method="GET", query=_asked(b"subscribe"), answer=b"123456789", answer_type="text/plain", name="subscribe"
        ),
        Asked(method="GET", query=_asked(b"unsubscribe"), answer=b"123456789", name="unsubscribe"),
    )

    @pytest.mark.parametrize("query", [_asked(b"subscribe", b""), _asked(b"subscribe", b"x"), _asked(b"denied"), QUERY])
    def test_a_subscription_that_is_not_ours_is_refused(self, query: bytes) -> None:
        assert isinstance(self.admit(self.source(), request(method="GET", query=query)), Rejected)
