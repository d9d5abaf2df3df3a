"""The admin port of a command without an edge, which may be another's."""

import logging
import socket

import pytest

from gateway.config.settings import ServerSettings
from gateway.core.errors import DependencyError
from gateway.process import supervisor


def test_workers_run_without_an_admin_port_that_is_taken_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.WARNING, "gateway.process"):
        settings = ServerSettings(admin_host="127.0.0.1", admin_port=taken.getsockname()[1])

        assert supervisor._bind_admin(settings, required=False) is None
        (told,) = caplog.records
        assert told.message == "admin.port_taken"
        assert "set server.admin_port" in vars(told)["cause"]
        with pytest.raises(DependencyError):
            supervisor._bind_admin(settings, required=True)
