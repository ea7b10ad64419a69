"""Runs the unmodified SDK against a daemon on this machine.

``SANDBOX_RUNTIME_BIN`` names the daemon's executable. The SDK's debug mode
talks to localhost directly, so the daemon needs its real ports.
"""

import os
import subprocess
import time
import urllib.request

import pytest

os.environ["E2B_DEBUG"] = "true"
os.environ.setdefault("E2B_API_KEY", "e2b_" + "0" * 40)


@pytest.fixture(scope="session")
def daemon():
    binary = os.environ.get("SANDBOX_RUNTIME_BIN")
    if not binary:
        pytest.skip("SANDBOX_RUNTIME_BIN is not set")
    process = subprocess.Popen([binary, "serve"])
    for _ in range(200):
        try:
            urllib.request.urlopen("http://localhost:49983/health", timeout=1)
            break
        except OSError:
            assert process.poll() is None, "the daemon ended at once"
            time.sleep(0.02)
    yield process
    process.terminate()
    process.wait(10)


@pytest.fixture
def sandbox(daemon):
    from e2b_code_interpreter import Sandbox

    return Sandbox.create()
