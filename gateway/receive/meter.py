"""What the edge counts. `gateway.admin` keeps the numbers; the edge only knows these methods."""

from typing import Literal, Protocol

DeliveryOutcome = Literal["accepted", "duplicate", "handshake", "refused"]
KeyOutcome = Literal["fetched", "failed", "unusable", "limited"]
VisitOutcome = Literal["done", "failed", "dropped"]
ReadmitOutcome = Literal["accepted", "duplicate", "handshake", "refused", "unavailable"]


class SourceMeter(Protocol):
    """The numbers of one source, or of all requests that name no source (`unknown`). Called on the ack path: cheap."""

    def answered(self, outcome: DeliveryOutcome, reason: str, seconds: float, body_bytes: int) -> None:
        """Count one answer; `reason` is empty unless refused; `seconds` from the request's first byte."""
        ...

    def verified(self, seconds: float, secret: str | None, age: float | None) -> None:
        """Count one admission decision: its cost, the label that matched, the signature's age in seconds."""
        ...

    def flagged(self, flag: str) -> None:
        """Count an oddity of identity: a flag of the event, or `body_differs`."""
        ...

    def appended(self, seconds: float) -> None:
        """Observe how long the log took to make one delivery durable."""
        ...

    def key_fetched(self, outcome: KeyOutcome) -> None:
        """Count a fetch of a key: it is here, there was no answer, none that is a key, or it was not allowed."""
        ...

    def visited(self, outcome: VisitOutcome) -> None:
        """Count a visit that confirms a subscription: it went well, it did not, or too many were waiting."""
        ...

    def quarantine_lost(self) -> None:
        """Count a refused delivery that should have been kept, and could not be."""
        ...

    def readmitted(self, outcome: ReadmitOutcome) -> None:
        """Count what became of a delivery that was tried again out of quarantine."""
        ...


class EdgeMeter(Protocol):
    """All sources."""

    def source(self, name: str) -> SourceMeter:
        """Return the meter of a configured source; any other name gives that of `unknown`."""
        ...

    def append_error(self, reason: str) -> None:
        """Count an append that failed."""
        ...
