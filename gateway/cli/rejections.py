"""`rejections`: what was refused, and the reason that the sender was not told."""

import click

from gateway.cli.options import SOURCE, Common, common, limit
from gateway.cli.output import Row
from gateway.cli.text import moment
from gateway.config.references import DSN
from gateway.receive.rejections import RING, Rejection, read_rejections

_COLUMNS = ("at", "source", "reason", "status", "client", "method", "path", "body_bytes", "signature_age", "cause")


@click.command()
@click.option("--source", type=SOURCE, help="Of this source; `unknown` for requests that name none.")
@limit(50)
@common
def rejections(context: Common, *, source: str | None, limit: int) -> None:
    """List deliveries that were refused, and why.

    The newest come first; bodies are not kept. The last few thousand are there; the newest second may be missing.
    For about one unverified delivery a second of each source the gateway works out what would have to be different.
    """
    found = read_rejections(context.settings(optional=[DSN]).log.path, limit=limit if source is None else 100 * RING)
    fitting = [item for item in found if source in (None, item.source)][:limit]
    context.output.rows(
        (_row(item) for item in fitting), _COLUMNS, empty="nothing was refused (the newest second may be missing)"
    )


def _row(item: Rejection) -> Row:
    return {
        "at": moment(item.at_us),
        "source": item.source,
        "reason": item.reason,
        "status": item.status,
        "client": item.client,
        "method": item.method,
        "path": item.path,
        "body_bytes": item.body_bytes,
        "signature_age": item.signature_age,
        "cause": item.cause,
        "delivery_id": item.delivery_id,
        "header_names": list(item.header_names),
    }
