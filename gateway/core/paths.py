"""JSON paths: read a few values of a body without building the rest of it.

The paths a source needs are known when it is compiled, so they become one typed decoder that skips everything else: a
25 MiB push costs no object tree on the ack path, and a 2 KB one a third of a full parse. The price: what is skipped is
checked for its grammar alone, so a body may be identified here that a full parse later refuses (a string that is not
UTF-8, say). Such an event is kept with its id, and `Event.json` raises `ValueError` for it.
"""

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from types import GenericAlias
from typing import Any, NamedTuple

import msgspec

Path = tuple[str | int, ...]
Getter = Callable[[object], object]
Raw = bytes | bytearray | memoryview
Raws = list[msgspec.Raw]

# Signs of the expression notation stand in no name, so that a slip there is not taken for one.
_STEP = re.compile(r"\.?([^.\[\]|+'\"\\\x00-\x1f]+)|\[([0-9]{1,4})\]|\['([^'\[\]|+\"\\\x00-\x1f]+)'\]")
_EVERY, _LINES = "[*]", "lines"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse_path(text: str) -> Path:
    """Return the steps of `$.data.items[0]['a.b']`; the leading `$` may be left out, and quotes where no dot stands.

    Raises:
        ValueError: the text is no such path.
    """
    rest = text.removeprefix("$").removeprefix(".")
    steps: list[str | int] = []
    at = 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        if match is None:
            break
        name = match[1] or match[3]
        steps.append(int(match[2]) if name is None else name)
        at = match.end()
    if not steps or at < len(rest):
        message = f"{text!r} is no JSON path; write names with dots and numbers in brackets, such as data.items[0].id"
        raise ValueError(message)
    return tuple(steps)


class _Node:
    """One place in the tree of wanted paths."""

    def __init__(self) -> None:
        self.named: dict[str, _Node] = {}
        self.element: _Node | None = None

    def add(self, path: Path) -> None:
        if not path:
            return
        step, rest = path[0], path[1:]
        if isinstance(step, int):
            self.element = self.element or _Node()
            self.element.add(rest)
        else:
            self.named.setdefault(step, _Node()).add(rest)

    def type(self, leaf: Any) -> Any:
        """Return the type to decode: whatever stands at this place fits it, wanted or not."""
        if not self.named and self.element is None:
            return leaf
        fields = [(f"f{i}", node.type(leaf), None) for i, node in enumerate(self.named.values())]
        names = {f"f{i}": name for i, name in enumerate(self.named)}
        struct = msgspec.defstruct("Node", fields, rename=names, gc=False)
        element: Any = msgspec.Raw if self.element is None else self.element.type(leaf)
        # The types are made at run time, so they are put together as values.
        return reduce(operator.or_, (struct, GenericAlias(list, element), str, int, float, bool, None))


class Skim:
    """The decoder for a fixed set of paths."""

    def __init__(self, paths: Iterable[Path], leaf: Any = Any) -> None:
        self._root = _Node()
        for path in paths:
            self._root.add(path)
        empty = not self._root.named and self._root.element is None
        kind = msgspec.Raw if empty else self._root.type(leaf)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)

    def decode(self, body: bytes) -> object:
        """Return what the getters read from.

        Raises:
            ValueError: the body is not JSON, or is nested too deeply.
        """
        try:
            return self._decoder.decode(body)
        except _UNREADABLE as error:
            raise ValueError("not JSON") from error

    def getter(self, path: Path) -> Getter:
        """Return the reader of one of the paths; where nothing stands there it returns None."""
        steps = self._steps(path)
        if len(steps) == 1 and isinstance(steps[0], str):
            name = steps[0]
            return lambda tree: getattr(tree, name, None)

        def read(tree: object) -> object:
            for step in steps:
                tree = getattr(tree, step, None) if isinstance(step, str) else _element(tree, step)
            return tree

        return read

    def _steps(self, path: Path) -> Path:
        node = self._root
        steps: list[str | int] = []
        for step in path:
            if isinstance(step, int):
                steps.append(step)
                child = node.element
            else:
                steps.append(f"f{list(node.named).index(step)}")
                child = node.named[step]
            if child is None:
                raise KeyError(path)
            node = child
        return tuple(steps)


def _element(tree: object, index: int) -> object:
    if isinstance(tree, list) and index < len(tree):
        return tree[index]
    return None


class Element(NamedTuple):
    """An element of a batch with its exact bytes, and those of the outer element where array stands in array."""

    raw: Raw
    outer: Raw | None = None


class Split:
    """The reader of a batch.

    `[*]` is an array at the top, `events[*]` one below, `entry[*].changes[*]` all arrays in an array, `lines` lines or
    an array. `json:` may stand before it.
    """

    def __init__(self, text: str) -> None:
        place = text.removeprefix("json:").removeprefix("$")
        self._lines = place == _LINES
        place = _EVERY if self._lines else place
        if not place.endswith(_EVERY):
            message = f"{text!r} names no array; end it with [*], such as [*] or events[*]"
            raise ValueError(message)
        first, _, second = place.removesuffix(_EVERY).partition(_EVERY + ".")
        self._first = _Array(first)
        self._second = _Array(second) if second else None

    def elements(self, body: bytes) -> Sequence[Element] | None:
        """Return the elements, or None where there is no array.

        Raises:
            ValueError: the body is not JSON.
        """
        if self._lines and not body.lstrip().startswith(b"["):
            return [Element(line) for line in body.splitlines() if line.strip()]
        found = self._first.elements(body)
        if found is None or self._second is None:
            return None if found is None else [Element(raw) for raw in found]
        return [element for raw in found for element in _inner(self._second, bytes(raw))]


def _inner(array: "_Array", outer: bytes) -> Sequence[Element]:
    found = array.elements(outer)
    return [Element(outer)] if found is None else [Element(raw, outer) for raw in found]


class _Array:
    """The reader of one array: at the top for an empty place, else below it."""

    def __init__(self, place: str) -> None:
        place = place.removeprefix(".")
        self._list = msgspec.json.Decoder(Raws)
        self._find: Callable[[bytes], bytes | msgspec.Raw | None] = lambda body: body
        if place:
            path = parse_path(place)
            skim = Skim([path], leaf=msgspec.Raw)
            get = skim.getter(path)
            self._find = lambda body: _raw(get(skim.decode(body)))

    def elements(self, body: bytes) -> Raws | None:
        """Return the elements, each with its exact bytes, or None where there is no array.

        Raises:
            ValueError: the body is not JSON.
        """
        try:
            place = self._find(body)
            return None if place is None else self._list.decode(place)
        except msgspec.ValidationError:
            return None
        except _UNREADABLE as error:
            raise ValueError("not JSON") from error


def _raw(value: object) -> msgspec.Raw | None:
    return value if isinstance(value, msgspec.Raw) else None
