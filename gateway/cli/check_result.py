"""What one check found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at: what was seen, and where that is not well, what to do."""

    check: str
    state: State
    detail: str
    remedy: str = ""
