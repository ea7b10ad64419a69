"""The unmodified SDK against the daemon itself: its debug mode talks to localhost directly,
where `cargo xtask test daemon` has started one in the root of a sandbox's image."""

import os
import urllib.request

import pytest
from e2b_code_interpreter import Sandbox

os.environ.setdefault("E2B_API_KEY", "e2b_" + "0" * 40)
HEALTH = "http://localhost:49983/health"


def pytest_configure(config):
    if os.environ.get("E2B_DEBUG") != "true":
        raise pytest.UsageError("E2B_DEBUG is not true: run this suite with `cargo xtask test daemon`")
    try:
        urllib.request.urlopen(HEALTH, timeout=5)
    except OSError as error:
        raise pytest.UsageError(
            f"{HEALTH} does not answer ({error}): run this suite with `cargo xtask test daemon`"
        ) from error


@pytest.fixture
def sandbox():
    return Sandbox.create()
