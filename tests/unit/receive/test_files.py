"""The edge's own small files: whole or not at all."""

import os
from pathlib import Path

import pytest

from gateway.receive.files import read_small, replace_durably


def test_what_is_put_there_is_there(tmp_path):
    path = tmp_path / "below" / "file"

    replace_durably(path, b"first")
    replace_durably(path, b"second")

    assert read_small(path, most=100) == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_leaves_the_former_file_and_nothing_beside_it(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    replace_durably(path, b"first")

    def broken(*arguments: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[step], broken)
    with pytest.raises(OSError, match="space"):
        replace_durably(path, b"second")

    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_too_large_is_not_taken_in(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 101)

    with pytest.raises(ValueError, match="too large"):
        read_small(tmp_path / "file", most=100)
