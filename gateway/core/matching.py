"""Patterns over event types: a literal, or a text that ends in `*` (`invoice.*`, `orders/*`, `*`). Pure.

There are no regular expressions and no `*` elsewhere: what a pattern matches can be read off it, and a match costs one
comparison.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern: `stem` is matched whole, or as a prefix when `open_ended`."""

    stem: str
    open_ended: bool

    def matches(self, event_type: str) -> bool:
        """Return whether the event type fits."""
        return event_type.startswith(self.stem) if self.open_ended else event_type == self.stem

    def meet(self, other: "Pattern") -> "Pattern | None":
        """Return the pattern of the event types that fit both, None if there are none."""
        narrow, wide = (self, other) if len(self.stem) >= len(other.stem) else (other, self)
        if narrow.stem == wide.stem:
            return narrow if wide.open_ended else wide
        return narrow if wide.matches(narrow.stem) else None

    def __str__(self) -> str:
        return self.stem + "*" if self.open_ended else self.stem


def compile_pattern(text: str) -> Pattern:
    """Return the compiled pattern.

    Raises:
        ValueError: no event type can ever match it; the message says why.
    """
    stem, open_ended = (text[:-1], True) if text.endswith("*") else (text, False)
    if "*" in stem:
        raise ValueError(f"pattern {text!r}: `*` may stand at the end only")
    if not text:
        raise ValueError('an empty pattern matches nothing; "*" matches every type')
    if stem != stem.strip() or not stem.isprintable():
        raise ValueError(f"pattern {text!r}: blanks around it or control characters match no event type")
    return Pattern(stem, open_ended)
