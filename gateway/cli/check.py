"""`check`: will it start?"""

import dataclasses
import sys
from collections import Counter
from pathlib import Path

import click

from gateway.cli.check_result import Check
from gateway.cli.checks import all_checks
from gateway.cli.options import Common, common
from gateway.config.problems import ConfigProblems

_COLUMNS = ("check", "state", "detail", "remedy")


@click.command()
@common
def check(context: Common) -> int:
    """Check all that a start needs, and say what to do.

    Exit status 2 for mistakes in the configuration, 1 if another check fails.
    """
    sys.path.insert(0, str(Path.cwd()))  # routers are imported with the current directory on the path
    try:
        loaded = context.loaded(secrets=True, handlers=True)
    except ConfigProblems as error:
        found = [_of_problem(problem.key, str(problem)) for problem in error.problems]
        context.output.rows([dataclasses.asdict(each) for each in found], _COLUMNS)
        return 2
    checks = [Check(check="configuration", state="ok", detail=str(context.config)), *all_checks(loaded)]
    context.output.rows([dataclasses.asdict(each) for each in checks], _COLUMNS)
    count = Counter(each.state for each in checks)
    context.output.note(f"{len(checks)} checks: {count['failed']} failed, {count['warning']} with a warning")
    return 1 if count["failed"] else 0


def _of_problem(key: str, text: str) -> Check:
    detail, _, remedy = text.partition("; ")
    return Check(check=f"configuration {key}".strip(), state="failed", detail=detail, remedy=remedy)
