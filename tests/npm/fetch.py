"""Fetch the packages of `packages.json`, each by its exact version and digest, into a folder that node finds them in.

    python -m tests.npm.fetch FOLDER

They are unpacked and not installed: no script of theirs runs, and nothing comes that is not listed there.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

LISTED = Path(__file__).parent / "packages.json"


def main(folder: Path) -> None:
    listed: dict[str, dict[str, str]] = json.loads(LISTED.read_text())
    with tempfile.TemporaryDirectory() as scratch:
        wanted = [f"{name}@{listed[name]['version']}" for name in listed]
        command = ["npm", "pack", "--silent", "--json", "--pack-destination", scratch, *wanted]
        packed: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for each in packed:
            place = Path(scratch, each["filename"].replace("@", "").replace("/", "-"))
            _check(place, each["name"], listed[each["name"]]["integrity"])
            _unpack(place, folder / "node_modules" / each["name"])


def _check(place: Path, name: str, integrity: str) -> None:
    digest = hashlib.sha512(place.read_bytes()).digest()
    if integrity != "sha512-" + base64.b64encode(digest).decode():
        raise SystemExit(f"{name} is not what tests/npm/packages.json says it is")


def _unpack(place: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch, tarfile.open(place) as archive:
        archive.extractall(scratch, filter="data")
        # All of a package stands in one folder, of whatever name.
        (inner,) = Path(scratch).iterdir()
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(inner, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
