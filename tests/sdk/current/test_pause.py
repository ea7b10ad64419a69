"""Pause and resume: by hand, at the timeout, and by traffic."""

import time

import pytest
from e2b import Sandbox, SandboxState
from e2b.exceptions import SandboxException

WITH_TRAFFIC = {"on_timeout": "pause", "auto_resume": True}


def wait_for_state(sandbox, state, limit=60):
    end = time.monotonic() + limit
    while sandbox.get_info().state != state:
        assert time.monotonic() < end, f"not {state} within {limit} s"
        time.sleep(0.2)


def test_connect_resumes_with_the_same_id_and_environment():
    sandbox = Sandbox.create(template="base", envs={"GREETING": "still here"})
    try:
        sandbox.pause()
        assert sandbox.get_info().state == SandboxState.PAUSED
        assert not sandbox.is_running()
        resumed = Sandbox.connect(sandbox.sandbox_id, timeout=60)
        assert resumed.sandbox_id == sandbox.sandbox_id
        assert resumed.commands.run("printenv GREETING").stdout == "still here\n"
        # The object from before the pause goes on working too.
        assert sandbox.commands.run("echo again").stdout == "again\n"
    finally:
        sandbox.kill()


def test_a_paused_sandbox_stays_so_unless_traffic_may_resume_it():
    sandbox = Sandbox.create(template="base", timeout=60, lifecycle={"on_timeout": "pause"})
    try:
        sandbox.pause()
        with pytest.raises(SandboxException):
            sandbox.commands.run("true")
        info = sandbox.get_info()
        assert info.state == SandboxState.PAUSED
        assert info.lifecycle == {"on_timeout": "pause", "auto_resume": False}
        # A timeout that ends at once pauses; it is paused already.
        sandbox.set_timeout(0)
        assert sandbox.get_info().state == SandboxState.PAUSED
        assert sandbox.pause() is False
    finally:
        sandbox.kill()


def test_traffic_resumes_a_sandbox_that_wants_it():
    sandbox = Sandbox.create(
        template="base", timeout=60, envs={"GREETING": "awake"}, lifecycle=WITH_TRAFFIC
    )
    try:
        info = sandbox.get_info()
        assert info.lifecycle == {"on_timeout": "pause", "auto_resume": True}
        sandbox.pause()
        assert sandbox.commands.run("printenv GREETING").stdout == "awake\n"
        info = sandbox.get_info()
        assert info.state == SandboxState.RUNNING
        assert (info.end_at - info.started_at).total_seconds() > 0
    finally:
        sandbox.kill()


def test_a_timeout_pauses_and_traffic_resumes():
    sandbox = Sandbox.create(template="base", timeout=2, lifecycle=WITH_TRAFFIC)
    try:
        for note in ("after the first pause", "after the second"):
            wait_for_state(sandbox, SandboxState.PAUSED)
            assert sandbox.get_info().lifecycle == {"on_timeout": "pause", "auto_resume": True}
            sandbox.files.write("/tmp/note", note)
            assert sandbox.files.read("/tmp/note") == note
            # Traffic wakes it for at least five minutes, whatever its first timeout was.
            info = sandbox.get_info()
            assert (info.end_at - info.started_at).total_seconds() > 240
            sandbox.set_timeout(2)
        wait_for_state(sandbox, SandboxState.PAUSED)
    finally:
        sandbox.kill()
