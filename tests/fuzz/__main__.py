"""Fuzz readers of unverified bytes by coverage: python -m tests.fuzz SECONDS [READER ...], by default all hot ones.

The first byte of an input chooses the reader. It ends with status 0, or with the input that made a reader raise, or
take longer than `_LONGEST` seconds or too much memory.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore] # see test_fuzz

with atheris.instrument_imports(include=["gateway"]):
    from tests.parsers import PARSERS

from tests.hostile import BODIES, GROWING, HEADER_VALUES

_LONGEST, _MEGABYTES, _BYTES = 10, 2_048, 65_536


def main(seconds: int, names: list[str]) -> None:
    parsers = [PARSERS[name] for name in names] or [parser for parser in PARSERS.values() if parser.hot]

    def read(data: bytes) -> None:
        if not data:
            return
        parser = parsers[data[0] % len(parsers)]
        with contextlib.suppress(*parser.raises):
            parser.call(data[1:])

    with tempfile.TemporaryDirectory() as corpus:
        _seed(Path(corpus), len(parsers))
        limits = [f"-max_total_time={seconds}", f"-timeout={_LONGEST}", f"-rss_limit_mb={_MEGABYTES}"]
        atheris.Setup([sys.argv[0], *limits, f"-max_len={_BYTES}", "-verbosity=0", corpus], read)
        atheris.Fuzz()


def _seed(corpus: Path, parsers: int) -> None:
    texts = [*BODIES, *HEADER_VALUES, *(made(1_024) for made in GROWING.values())]
    for number, text in enumerate(texts):
        for parser in range(parsers):
            (corpus / f"{number}-{parser}").write_bytes(bytes([parser]) + text)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
