"""Shared by all tests: what may be skipped, and only on a user's own machine."""

import os

import pytest


def missing(what: str, remedy: str) -> None:
    """Skip for want of a service on a user's machine; fail where nothing may be skipped (`CI` is set)."""
    message = f"{what} is missing: {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
