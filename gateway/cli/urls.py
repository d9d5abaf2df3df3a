"""Where this machine reaches the gateway. Pure."""

from gateway.config.settings import Settings


def local_url(settings: Settings) -> str:
    """Return the URL at which this machine reaches the edge."""
    scheme = "https" if settings.server.tls else "http"
    return f"{scheme}://{host_in_url(settings.server.host)}:{settings.server.port}"


def host_in_url(host: str) -> str:
    """Return an address as a URL holds it; all addresses are reached at loopback."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read here, not bound
    return f"[{reachable}]" if ":" in reachable else reachable
