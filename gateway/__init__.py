"""A receiver for third-party webhooks. These names are the stable API for handlers."""

from gateway.api import Backoff, Context, Event, GiveUp, Handler, Retry, Router

__all__ = ["Backoff", "Context", "Event", "GiveUp", "Handler", "Retry", "Router"]
