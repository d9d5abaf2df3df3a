"""A real Postgres server for tests, and databases of a test's own, made as copies of a template."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from deploy.local.postgres import Postgres
from deploy.local.processes import free_ports
from gateway.keep.postgres import migrations

PASSWORD = "canary-of-postgres"  # no output of ours may contain it
_NUMBERS = count(1)
_MIGRATED = "gateway_migrated"


class PostgresServer(Postgres):
    """A server in a folder that is removed with it; its databases belong to a role that is no superuser."""

    def __init__(self) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="gateway-postgres-"))
        self._place.chmod(0o711)  # the server may run as another user than we do
        super().__init__(self._place / "server", free_ports(1)[0], role="gateway", password=PASSWORD)

    def mend(self) -> None:
        """Undo what a test did: the server runs and answers."""
        self.thaw()
        if not self.server.running:
            self.start()

    def end(self) -> None:
        """Leave nothing behind."""
        self.kill()
        super().end()
        shutil.rmtree(self._place, ignore_errors=True)

    @contextmanager
    def fresh(self, *, template: str = "template0") -> Iterator[str]:
        """Yield the DSN of a database of one's own, and remove it afterwards, whoever still uses it."""
        name = f"test_{next(_NUMBERS)}"
        try:
            yield self.create(name, template=template)
        finally:
            self.mend()
            self.drop(name)

    def migrated(self) -> str:
        """Return the template with the gateway's tables; it is made at the first call."""
        if not self.has(_MIGRATED):
            migrations.apply(self.create(_MIGRATED))
        return _MIGRATED
