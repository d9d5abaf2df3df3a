"""The text of a configuration: plain YAML 1.2 values, and where each key and value stands.

Of YAML only mappings, lists and plain values are read: no tags, anchors, aliases, merge keys or directives, and no key
twice. Nothing is constructed from the file but text, numbers, booleans, lists and mappings.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from gateway.config.problems import ConfigProblems, KeyPath, Problem, key_text

_LARGEST = 2**20
_DEEPEST = 20
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = {_TAG + kind for kind in ("str", "timestamp", "binary", "value")}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)

# What the parser says, and what a person needs to hear. Its own words are not passed on: they can quote a value.
_SYNTAX = (
    ("'\\t'", "a tab in the indentation", "indent with spaces"),
    ("undefined alias", "an alias (*) is not supported", "put a text that begins with * in quotes"),
    (
        "mapping values are not allowed",
        "a ':' that does not fit here",
        "check the indentation, or put the text in quotes",
    ),
    ("expected <block end>", "wrong indentation", "let the keys of one mapping begin in the same column"),
    ("expected ',' or", "a bracket that is not closed", "close the [ or { that begins before here"),
    ("unexpected end of stream", "a quoted text that is not closed", "close the quotes"),
    ("another document", "a second document", "remove the line ---"),
    ("could not find expected ':'", "a key without ':'", "write key: value"),
    ("cannot start any token", "a character that begins no value", "put the text in quotes"),
)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the file, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a file, and the place of each key and each value."""

    file: Path
    tree: dict[str, Any]
    keys: Mapping[KeyPath, Mark]
    values: Mapping[KeyPath, Mark]

    def value_mark(self, path: KeyPath) -> Mark:
        """Return where the value of `path` stands, or of the nearest part of it that is written."""
        return _nearest(self.values, path)

    def key_mark(self, path: KeyPath) -> Mark:
        """Return where the key of `path` stands, or of the nearest part of it that is written."""
        return _nearest(self.keys, path)


def _nearest(marks: Mapping[KeyPath, Mark], path: KeyPath) -> Mark:
    for length in range(len(path), 0, -1):
        if path[:length] in marks:
            return marks[path[:length]]
    return Mark(1, 1)


def read(file: Path) -> Document:
    """Read and parse a configuration file.

    Raises:
        ConfigProblems: it cannot be read, is not the YAML we take, or is no mapping.
    """
    text = _text(file)
    if directive := _DIRECTIVE.search(text):
        mark = Mark(text.count("\n", 0, directive.start()) + 1, 1)
        raise _failure(file, mark, "a YAML directive is not supported", "remove the line that begins with %")
    return _document(file, _compose(file, text))


def plain_value(text: str) -> str | int | float | bool:
    """Return what `text` means as a plain YAML 1.2 value."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return _integer(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _failure(file: Path, mark: Mark | None, message: str, remedy: str) -> ConfigProblems:
    line, column = (mark.line, mark.column) if mark else (0, 0)
    return ConfigProblems([Problem(file=file, line=line, column=column, key="", message=message, remedy=remedy)])


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            raw = opened.read(_LARGEST + 1)
    except FileNotFoundError:
        raise _failure(file, None, "no such file", "`gateway init` writes one, --config names another") from None
    except OSError as error:
        raise _failure(file, None, f"cannot be read ({error.strerror})", "name a readable file by --config") from None
    if len(raw) > _LARGEST:
        raise _failure(file, None, "larger than 1 MiB", "this is hardly a configuration; name another by --config")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _failure(file, Mark(line, 1), "not UTF-8", "save the file as UTF-8") from None


def _compose(file: Path, text: str) -> Node:
    empty = ("is empty", "`gateway init` writes an example; it needs at least `sources:`")
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Mark(mark.line + 1, mark.column + 1) if mark else None
        raise _failure(file, place, *_syntax(str(error.problem))) from None
    except ReaderError as error:
        place = Mark(text.count("\n", 0, error.position) + 1, 1)
        raise _failure(file, place, "a control character", "remove it") from None
    except (YAMLError, RecursionError):
        raise _failure(file, None, "not valid YAML", "see docs/configuration.md for an example") from None
    if node is None or (isinstance(node, ScalarNode) and not node.value):
        raise _failure(file, None, *empty)
    if not isinstance(node, MappingNode):
        raise _failure(file, _mark(node), "must be a mapping", "begin with `sources:`")
    return node


def _syntax(problem: str) -> tuple[str, str]:
    for words, message, remedy in _SYNTAX:
        if words in problem:
            return message, remedy
    return "not valid YAML", "check the indentation and the quotes on this line and the one before"


def _mark(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


@dataclass
class _Walk:
    """Turns nodes into values; notes the places, and what is refused."""

    file: Path
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, node: Node, path: KeyPath, message: str, remedy: str) -> None:
        mark = _mark(node)
        self.problems.append(
            Problem(
                file=self.file, line=mark.line, column=mark.column, key=key_text(path), message=message, remedy=remedy
            )
        )

    def value(self, node: Node, path: KeyPath) -> Any:
        self.values[path] = _mark(node)
        if node.anchor is not None:
            return self.refuse(node, path, "an anchor (&) or alias (*) is not supported", "write the value out")
        if len(path) > _DEEPEST:
            return self.refuse(node, path, "nested too deeply", "nothing in a configuration needs this")
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self.scalar(node, path)

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        if node.tag != _TAG + "map":
            self.refuse(node, path, "a tag (!) is not supported", "remove it")
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self.refuse(key_node, path, "a key must be a word", "write key: value")
                continue
            key = (*path, key_node.value)
            if key_node.tag == _TAG + "merge":
                self.refuse(key_node, path, "a merge key (<<) is not supported", "write the keys out")
            elif key_node.value in result:
                first = self.keys[key]
                self.refuse(key_node, key, f"is already set on line {first.line}", "remove one of the two")
            else:
                self.keys[key] = _mark(key_node)
                result[key_node.value] = self.value(value_node, key)
        return result

    def scalar(self, node: Node, path: KeyPath) -> Any:
        if node.tag in _TEXT_TAGS:
            return node.value
        convert = _SCALARS.get(str(node.tag))
        if convert is None:
            return self.refuse(node, path, "a tag (!) is not supported", "put a text that begins with ! in quotes")
        return convert(node.value)


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    bases = {"0x": 16, "0o": 8, "0b": 2}
    return int(digits, bases.get(digits.lstrip("+-")[:2].lower(), 10))


def _float(text: str) -> float:
    special = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
    return special[text.lower()] if text.lower() in special else float(text.replace("_", ""))


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    _TAG + "int": _integer,
    _TAG + "float": _float,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "null": lambda _: None,
}


def _document(file: Path, node: Node) -> Document:
    walk = _Walk(file)
    tree = walk.value(node, ())
    if walk.problems:
        raise ConfigProblems(walk.problems)
    return Document(file, tree, walk.keys, walk.values)
