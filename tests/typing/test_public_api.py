"""The public API under mypy strict: what authors write passes, and their likely mistakes are found."""

import re
from pathlib import Path

import pytest
from mypy import api

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOUND = re.compile(r"^.*?:(\d+): error: .*\[([a-z-]+)\]$")
MARKED = re.compile(r"# E: ([a-z-]+)$")


def errors_in(name: str) -> set[tuple[int, str]]:
    arguments = ["--config-file", str(ROOT / "pyproject.toml"), "--enable-error-code", "unused-coroutine"]
    out, err, _ = api.run([*arguments, "--hide-error-context", str(HERE / name)])
    assert not err, err
    lines = [FOUND.match(line) for line in out.splitlines() if ": error:" in line]
    assert all(lines), out
    return {(int(line[1]), line[2]) for line in lines if line}


def marked_in(name: str) -> set[tuple[int, str]]:
    lines = enumerate((HERE / name).read_text().splitlines(), start=1)
    return {(number, found[1]) for number, line in lines if (found := MARKED.search(line))}


@pytest.mark.parametrize("name", ["good_handlers.py", "bad_handlers.py"])
def test_the_type_checker_finds_what_is_marked_and_nothing_else(name: str) -> None:
    assert errors_in(name) == marked_in(name)


def test_the_mistakes_are_marked() -> None:
    assert len(marked_in("bad_handlers.py")) >= 10
