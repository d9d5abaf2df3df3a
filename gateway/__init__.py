"""A receiver for third-party webhooks. These names are the stable API for handlers."""

from gateway.api import (
    Answer,
    AnswerError,
    Backoff,
    Context,
    Event,
    GiveUp,
    Handler,
    NotFoundError,
    OutgoingError,
    Retry,
    Router,
)

__all__ = [
    "Answer",
    "AnswerError",
    "Backoff",
    "Context",
    "Event",
    "GiveUp",
    "Handler",
    "NotFoundError",
    "OutgoingError",
    "Retry",
    "Router",
]
