"""The edges that run on this machine, for commands that ask them."""

from collections.abc import Sequence

from gateway.config.settings import Settings
from gateway.core.errors import DependencyError
from gateway.process.control import ControlClient
from gateway.process.runtime import runtime_folder

_SECONDS = 30.0


def running_edges(settings: Settings) -> Sequence[ControlClient]:
    """Return them; a socket that nobody answers on was left by one that died.

    Raises:
        DependencyError: there is none.
    """
    sockets = sorted(runtime_folder(settings.log.path).glob("edge*.sock"))
    found = [client for client in (ControlClient(path, deadline=_SECONDS) for path in sockets) if client.answers()]
    if not found:
        raise DependencyError("no edge of this gateway runs on this machine; start it first")
    return found
