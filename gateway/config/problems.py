"""What is wrong with a configuration: every mistake at once, each with its place and its remedy.

No message quotes a value: any value may be a secret in the wrong place. Keys are quoted, but not those below
`secrets` and the like, where a secret may have become a key by a slip of indentation.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.core.errors import ConfigError

KeyPath = tuple[str | int, ...]

SECRET_KEYS = ("label", "env", "file", "dev")
SECRET_PLACES = ("secrets", "password", "client_secret", "dsn")

_PLAIN_KEY = re.compile(r"(?=.)[A-Za-z0-9_.-]{0,63}\*?")  # event types may end in *


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake. `line` and `column` count from 1; `line` is 0 where the file as a whole is meant."""

    file: Path
    line: int
    column: int
    key: str
    message: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else str(self.file)
        key = f"{self.key}: " if self.key else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{place}: {key}{self.message}{remedy}"


class ConfigProblems(ConfigError):  # noqa: N818 - it is a list of them
    """The configuration is wrong; `problems` lists every mistake, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def key_text(path: KeyPath) -> str:
    """Return `sources.github.secrets[1].env`; what could be a secret, or is no plain word, becomes `?`."""
    text = ""
    below_secrets = False
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        known = part in SECRET_KEYS if below_secrets else _PLAIN_KEY.fullmatch(part)
        text += ("." if text else "") + (part if known else "?")
        below_secrets = below_secrets or part in SECRET_PLACES
    return text


def nearest(word: object, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `word` is most like, if it is like any."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1) if isinstance(word, str) else []
    return near[0] if near else None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return the question after the nearest of `known`, or the list of them; never quotes `word`."""
    words = sorted(known)
    near = nearest(word, words)
    if near is not None:
        return f'did you mean "{near}"?'
    return f"known: {', '.join(words)}" if words else ""
