"""`store`: the gateway's own tables in Postgres."""

import click

from gateway.cli.options import Common, common
from gateway.core.errors import ConfigError

_STATUS = ("server", "database", "user", "version", "newest", "state")


@click.group()
def store() -> None:
    """Look at, and bring up to date, the tables in Postgres."""


@store.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@common
def migrate(context: Common, *, dry_run: bool) -> None:
    """Create the gateway's tables in Postgres, or bring them up to date.

    They are all in the schema `gateway`. Each step is one transaction, and two runs at a time wait for one another.
    Stop the workers first if a release says so; there is no way back to an older gateway.
    """
    from gateway.keep.postgres import migrations  # noqa: PLC0415 - no other gateway loads the driver

    dsn = _dsn(context)
    if dry_run:
        with migrations.session(dsn, "store migrate") as connection:
            steps = migrations.pending(connection)
    else:
        steps = migrations.apply(dsn)
    state = "would be applied" if dry_run else "applied"
    rows = [{"version": step, "state": state} for step in steps]
    context.output.rows(rows, ("version", "state"), empty=f"version {migrations.NEWEST}: nothing to do")


@store.command()
@common
def status(context: Common) -> int:
    """Show where the tables are and which version they have. Exit status 1 if `gateway store migrate` is needed."""
    from gateway.keep.postgres import migrations  # noqa: PLC0415 - as above

    with migrations.session(_dsn(context), "store status") as connection:
        version = migrations.version(connection)
        facts = connection.info
        where = f"{facts.host}:{facts.port}" if facts.port else facts.host
        current = version == migrations.NEWEST
        state = "current" if current else "to be migrated" if version < migrations.NEWEST else "of a newer gateway"
        values = (where, facts.dbname, facts.user, version, migrations.NEWEST, state)
        context.output.item(dict(zip(_STATUS, values, strict=True)))
    return 0 if current else 1


def _dsn(context: Common) -> str:
    """Return the store's DSN.

    Raises:
        ConfigError: the store is not Postgres.
    """
    settings = context.settings().store
    if settings.dsn is None:
        raise ConfigError(f"store.engine is {settings.engine}, which is migrated by each start; this is for postgres")
    return settings.dsn
