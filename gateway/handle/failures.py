"""What is kept of a failed run.

Texts of exceptions may hold a payload, so they go to the parked pair or the dead letter, which an operator asks for,
and never to a log line.
"""

import traceback

MOST_ERROR = 2048
MOST_TRACE = 16384


def error_text(error: BaseException) -> str:
    """Return the type and message, at most 2,048 characters, whatever the exception's own methods do."""
    return _capped("".join(traceback.format_exception_only(error)).strip(), MOST_ERROR)


def trace_text(error: BaseException) -> str:
    """Return the trace, its last 16,384 characters."""
    return "".join(traceback.format_exception(error))[-MOST_TRACE:]


def _capped(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
