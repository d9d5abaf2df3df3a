"""The error tree. Who is at fault decides the branch; a closed reason says what went wrong.

    GatewayError
      ConfigError                  start-up only; lists every problem; exit status 2
      DependencyError              something outside cannot be reached or is held by another; exit status 3
      DamagedError                 a file of ours cannot be understood; names it and the remedy
      Unavailable(reason)          our fault, the sender should retry: 503 + Retry-After
      TooLargeError                an event larger than the log takes: 413
      EnvelopeError                a stored record that cannot be decoded: a dead letter
      PluginError                  a wrong registration; start-up only
      PoisonedError                an I/O error on commit: the process must end, never retry the fsync

A refused delivery is a value (`gateway.core.admission.Rejected`), and a duplicate is an outcome:
neither is an exception.
"""

from typing import Literal

UnavailableReason = Literal["overloaded", "deadline", "log_down", "disk_full", "draining", "store_down"]


class GatewayError(Exception):
    """Something in the gateway went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])


class ConfigError(GatewayError):
    """The configuration is wrong."""


class DependencyError(GatewayError):
    """Something the command needs cannot be reached, or is held by another process."""


class DamagedError(GatewayError):
    """A file cannot be understood. It stops what needs it, and nothing else."""

    def __init__(self, path: object) -> None:
        super().__init__(f"{path} is damaged or no database; restore a backup of it, or move it away")


class EnvelopeError(GatewayError):
    """A stored record cannot be decoded."""


class PluginError(GatewayError):
    """A router or handler is registered wrongly."""


class PoisonedError(GatewayError):
    """An I/O error on commit: what is on disk is unknown, so the process must end."""


class Unavailable(GatewayError):  # noqa: N818 - it names an answer, as the glossary does
    """The event cannot be stored now; the sender should retry.

    `written` tells what is known of the append: False means certainly not, None means the outcome is unknown.
    """

    def __init__(self, reason: UnavailableReason, *, written: Literal[False] | None = False) -> None:
        super().__init__(reason)
        self.reason: UnavailableReason = reason
        self.written = written


class TooLargeError(GatewayError):
    """An event is larger than the log takes; nothing of its delivery was written."""
