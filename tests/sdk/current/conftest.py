"""Fixtures for the newest E2B SDKs against an installed Silica.

The environment names the installation: E2B_DOMAIN, E2B_API_KEY and SSL_CERT_FILE.
"""

import os

import pytest
from e2b import Sandbox as BaseSandbox
from e2b_code_interpreter import Sandbox as CodeSandbox

NEEDED = ("E2B_DOMAIN", "E2B_API_KEY", "SSL_CERT_FILE")


def pytest_configure(config):
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        raise pytest.UsageError(
            f"{', '.join(missing)} not set: source target/silica/env after `cargo xtask up`"
        )


@pytest.fixture
def sandbox():
    """A sandbox of the `base` template, killed afterwards."""
    sandbox = BaseSandbox.create(template="base", timeout=120)
    yield sandbox
    sandbox.kill()


@pytest.fixture(scope="module")
def shared():
    """One sandbox for tests that only look."""
    sandbox = BaseSandbox.create(template="base", timeout=300)
    yield sandbox
    sandbox.kill()


@pytest.fixture(scope="module")
def interpreter():
    """A sandbox of the `code-interpreter` template, killed after the module."""
    sandbox = CodeSandbox.create(template="code-interpreter", timeout=300)
    yield sandbox
    sandbox.kill()
