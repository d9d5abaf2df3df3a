import pytest

from gateway.cli.text import cell, moment, printable, span


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain ünïcode 漢字 🎉", "plain ünïcode 漢字 🎉"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\rc\td\x00", "a\\x0ab\\x0dc\\x09d\\x00"),
        ("\x7f\x9b", "\\x7f\\x9b"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\ud800", "\\ud800"),
        ("[bold]no markup[/]", "[bold]no markup[/]"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    "value, shown",
    [
        (None, "-"),
        ("", "-"),
        (0, "0"),
        (True, "yes"),
        (False, "no"),
        ([], "-"),
        (["a", "\x1b"], "a, \\x1b"),
        (["a, b", "c"], "a, b; c"),
        ({"k": 1}, "k=1"),
    ],
)
def test_cells(value, shown):
    assert cell(value) == shown


def test_times_are_iso_8601_in_utc():
    assert moment(1_790_000_000_000_001) == "2026-09-21T14:13:20.000001Z"
    assert moment(None) is None


@pytest.mark.parametrize("seconds, shown", [(0.25, "0.2s"), (90.0, "1.5m"), (3600.0, "1h"), (1_209_600.0, "14d")])
def test_lengths_of_time(seconds, shown):
    assert span(seconds) == shown
