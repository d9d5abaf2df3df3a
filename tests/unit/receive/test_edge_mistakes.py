"""What other receivers get wrong between the request and the log."""

import asyncio

from tests.asgi import call
from tests.edge import BODY, CountingMeter, DecidedLog, build_edge, until


async def test_an_unverified_copy_of_a_known_event_never_reaches_the_log() -> None:
    log, meter = DecidedLog(), CountingMeter()
    edge = build_edge(log, meter)
    await call(edge)
    asked = log.appends

    copy = await call(edge, headers=[])
    other = await call(edge, [BODY.replace(b"evt_1", b"evt_2")], headers=[])

    assert (copy.status, other.status) == (401, 401)
    assert log.appends == asked


async def test_deliveries_of_one_source_are_appended_at_once_and_not_one_after_the_other() -> None:
    log, meter = DecidedLog(automatic=False), CountingMeter()
    edge = build_edge(log, meter)
    sent = [asyncio.create_task(call(edge, [b'[{"id":"%d"}]' % number])) for number in range(20)]

    await until(lambda: len(log.undecided) == 20)
    log.store()

    assert {answer.status for answer in await asyncio.gather(*sent)} == {200}
