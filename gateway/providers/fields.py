"""Reading a mapping of the configuration field by field: each mistake names its place and the nearest valid word."""

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


class SchemeError(ValueError):
    """A field of a custom scheme is wrong; `path` leads to it, from `scheme` or `event` on."""

    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(f"{'.'.join(path)}: {message}")
        self.path = path
        self.message = message


class Fields:
    """A mapping at its place. Every reader raises `SchemeError` for a value of another kind."""

    def __init__(self, values: object, path: tuple[str, ...], known: Sequence[str]) -> None:
        if not isinstance(values, Mapping):
            raise SchemeError(path, f"a mapping is needed, with {_listed(known)}")
        self._values = values
        self.path = path
        for name in values:
            if name not in known:
                raise SchemeError((*path, str(name)), f"unknown key{_nearest(str(name), known)}")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def at(self, name: str) -> tuple[str, ...]:
        """Return the path of a field."""
        return (*self.path, name)

    def raw(self, name: str) -> object:
        """Return the value as it is, None if absent."""
        return self._values.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise SchemeError(self.at(name), "a text is needed")
        return value

    def choice(self, name: str, words: Collection[T], default: T) -> T:
        """Return one of `words`."""
        value = self._values.get(name, default)
        for word in words:
            if word == value:
                return word
        raise SchemeError(self.at(name), f"one of {_listed(words)} is needed{_nearest(str(value), words)}")

    def seconds(self, name: str, default: float) -> float:
        """Return a number of seconds, more than 0."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST:
            raise SchemeError(self.at(name), "a number of seconds is needed, more than 0")
        return float(value)

    def count(self, name: str, default: int) -> int:
        """Return a whole number, at least 1."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SchemeError(self.at(name), "a whole number is needed, at least 1")
        return value

    def flag(self, name: str) -> bool | None:
        """Return true or false, None if absent."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, bool):
            raise SchemeError(self.at(name), "true or false is needed")
        return value

    def texts(self, name: str, default: Sequence[str]) -> tuple[str, ...]:
        """Return a list of texts; a single text is a list of one."""
        value = self._values.get(name, default)
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) and item for item in items):
            raise SchemeError(self.at(name), "a list of texts is needed")
        return tuple(items)

    def checked(self, name: str, check: Callable[[str], object]) -> str:
        """Return a text that passes `check`, empty if absent; a list is its texts joined by " + "."""
        text = " + ".join(self.texts(name, ())) if isinstance(self.raw(name), list | tuple) else self.text(name)
        try:
            if text:
                check(text)
        except ValueError as error:
            raise SchemeError(self.at(name), str(error)) from None
        return text


_LONGEST = 10 * 366 * 86_400


def _listed(words: Collection[object]) -> str:
    return ", ".join(str(word) for word in words)


def _nearest(word: str, words: Collection[object]) -> str:
    close = get_close_matches(word, [str(known) for known in words], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
