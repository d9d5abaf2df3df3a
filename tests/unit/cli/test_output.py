import io
import json
import sys

import pytest

from gateway.cli.output import Output, Row

ROWS: list[Row] = [{"name": "a", "more": [1, 2]}, {"name": "[bold]b[/] \x1b[2J", "more": None}]


def test_a_table_has_a_header_and_a_line_a_row(capsys):
    Output("table").rows(ROWS, ("name", "more"))

    assert capsys.readouterr().out.splitlines() == [
        "name                more",
        "a                   1, 2",
        "[bold]b[/] \\x1b[2J  -",
    ]


def test_a_long_cell_stays_on_one_line_in_a_pipe(capsys):
    Output("table").rows([{"name": "x" * 500}], ("name",))

    assert capsys.readouterr().out.splitlines()[1] == "x" * 500


def test_no_rows_are_said_on_stderr_alone(capsys):
    Output("table").rows([], ("name",), empty="nothing here")

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "nothing here\n")


def test_json_without_rows_is_an_empty_array(capsys):
    Output("json").rows([], ("name",))

    assert json.loads(capsys.readouterr().out) == []


def test_json_lines_hold_every_field(capsys):
    Output("jsonl").rows(ROWS, ("name",))

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


@pytest.mark.parametrize("form, lines", [("table", 0), ("json", 0), ("jsonl", 2)])
def test_progress_off_a_terminal_is_json_lines_or_nothing(capsys, form, lines):
    Output(form).follow(iter([(1, 2), (2, 2)]), "copy")

    captured = capsys.readouterr()
    assert (len(captured.out.splitlines()), captured.err) == (lines, "")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_a_bar_on_stderr(capsys, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    Output("table").follow(iter([(1, 2), (2, 2)]), "copy")

    assert "2/2" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_no_color_leaves_a_terminal_without_colours(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    Output("table").follow(iter([(1, 2), (2, 2)]), "copy")

    assert "\x1b[3" not in terminal.getvalue()
    assert "\x1b[38" not in terminal.getvalue()
