"""README.md as a script: its fenced blocks, word for word."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"

_HEADING = re.compile(r"^#+ (.*)$")
_FENCE = re.compile(r"^(\s*)```(\w*)$")
_COMMENT = re.compile(r"\s+#\s.*$")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text without the fence, and the heading it stands below."""

    language: str
    text: str
    heading: str

    @property
    def commands(self) -> list[str]:
        """The commands of a console block: what follows `$ `, continued lines joined, comments cut off."""
        joined = self.text.replace("\\\n", " ")
        return [_COMMENT.sub("", line[2:]) for line in joined.splitlines() if line.startswith("$ ")]


def blocks(language: str, *, heading: str | None = None, text: str | None = None) -> list[Block]:
    """Return README's blocks of one language in order, those below `heading` alone if one is given."""
    found = _parsed((README.read_text() if text is None else text).splitlines())
    return [block for block in found if block.language == language and heading in (None, block.heading)]


def _parsed(lines: Sequence[str]) -> list[Block]:
    found: list[Block] = []
    heading, language, indent = "", "", ""
    inside: list[str] | None = None
    for line in lines:
        fence = _FENCE.match(line)
        if inside is not None and fence:
            found.append(Block(language, "".join(f"{each.removeprefix(indent)}\n" for each in inside), heading))
            inside = None
        elif inside is not None:
            inside.append(line)
        elif fence:
            indent, language = fence.groups()
            inside = []
        elif title := _HEADING.match(line):
            heading = title[1]
    return found
