import subprocess
import sys

import pytest

from gateway.core.outgoing import Ask, OutgoingError
from gateway.wiring.outgoing import Outgoing


async def test_the_client_is_made_at_the_first_request_and_closed_with_its_owner():
    outgoing = Outgoing()

    with pytest.raises(OutgoingError, match="only https"):
        await outgoing.fetch(Ask(url="http://api.example.com/"), 1.0)
    await outgoing.close()


async def test_what_was_never_asked_is_closed_at_once():
    await Outgoing().close()


def test_a_process_at_rest_has_not_loaded_the_client():
    program = "import gateway.wiring.outgoing, gateway.wiring.embedded, sys; assert 'httpcore2' not in sys.modules"

    subprocess.run([sys.executable, "-c", program], check=True)
