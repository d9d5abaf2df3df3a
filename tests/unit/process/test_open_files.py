"""The limit on open files: raised as far as need be, and kept within."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from gateway.process.server import connections_allowed
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
print(connections_allowed(1000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    "soft, hard, allowed, limit",
    [(256, 4000, 1000, 1512), (2000, 4000, 1000, 2000), (256, 1200, 688, 1200), (256, 600, 300, 600)],
    ids=["raised", "enough as it is", "raised as far as it goes", "half of very few"],
)
def test_connections_stay_within_the_open_files_that_can_be_had(soft: int, hard: int, allowed: int, limit: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(soft), str(hard)], capture_output=True, text=True, check=True, timeout=30
    )

    assert ran.stdout.split() == [str(allowed), str(limit)]
