"""What still needs stored events: the cursors and running replays in `state/*.db`, read beside their owners."""

import logging
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from gateway.core.errors import DamagedError, DependencyError
from gateway.keep.sqlite import state_reader
from gateway.keep.sqlite.schema import STATE_FOLDER

log = logging.getLogger("gateway.keep")


class Pin(NamedTuple):
    """What one router needs: everything after `needed_after`; it has not handled what comes after `cursor`."""

    needed_after: int
    cursor: int


def read_pins(folder: Path, log_id: str) -> dict[str, Pin | None]:
    """Return what each registered router needs. A router whose cursor belongs to another log needs everything.

    None stands for a state file that cannot be read now: what it needs is what it was last known to need.
    """
    pins: dict[str, Pin | None] = {}
    for path in sorted((folder / STATE_FOLDER).glob("*.db")):
        try:
            pin = _pin(path, log_id)
        except (apsw.Error, DamagedError, DependencyError, msgspec.DecodeError) as error:
            log.warning("log.state_unreadable", extra={"router": path.stem, "error": type(error).__name__})
            pins[path.stem] = None
            continue
        if pin is not None:
            pins[path.stem] = pin
    return pins


def _pin(path: Path, log_id: str) -> Pin | None:
    found = state_reader.summary(path)
    if found.cursor is None:
        return None
    if found.log_id != log_id:
        return Pin(0, 0)
    needed_after = state_reader.needed_after(path)
    return Pin(found.cursor if needed_after is None else needed_after, found.cursor)
