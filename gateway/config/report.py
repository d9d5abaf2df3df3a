"""Collects what is wrong with one document, so that all of it is told at once."""

from dataclasses import dataclass, field

from gateway.config.document import Document
from gateway.config.problems import KeyPath, Problem, key_text


@dataclass
class Report:
    """The problems found so far, each placed in the document."""

    document: Document
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: KeyPath, message: str, remedy: str = "", *, at_key: bool = False) -> None:
        """Note a mistake in the value of `path`, or in the key itself."""
        mark = self.document.key_mark(path) if at_key else self.document.value_mark(path)
        self.problems.append(
            Problem(
                file=self.document.file,
                line=mark.line,
                column=mark.column,
                key=key_text(path),
                message=message,
                remedy=remedy,
            )
        )

    def place(self, path: KeyPath) -> str:
        """Return `file:line` of the value of `path`."""
        return f"{self.document.file}:{self.document.value_mark(path).line}"


class Unread(Exception):  # noqa: N818 - a reason with its remedy; it never leaves this room
    """A value that stands elsewhere cannot be had."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy
