"""Create, get, list, time out, connect and kill through the REST API."""

import time
from datetime import datetime, timedelta, timezone

import pytest
from e2b import Sandbox, SandboxQuery, SandboxState
from e2b.exceptions import AuthenticationException, NotFoundException, SandboxException


def test_created_sandbox_is_ready_at_once():
    started = time.monotonic()
    sandbox = Sandbox.create(template="base")
    created = time.monotonic() - started
    try:
        assert sandbox.is_running()
        assert sandbox.commands.run("echo ready").stdout == "ready\n"
        assert created < 30
    finally:
        assert sandbox.kill() is True


def test_default_template_is_base():
    sandbox = Sandbox.create()
    try:
        assert sandbox.get_info().template_id == "base"
    finally:
        sandbox.kill()


def test_info_carries_metadata_and_deadline():
    metadata = {"purpose": "info", "unusual key": "v&é=ü"}
    sandbox = Sandbox.create(template="base", timeout=90, metadata=metadata)
    try:
        info = sandbox.get_info()
        assert info.sandbox_id == sandbox.sandbox_id
        assert info.metadata == metadata
        assert info.state == SandboxState.RUNNING
        left = info.end_at - datetime.now(timezone.utc)
        assert timedelta(seconds=60) < left <= timedelta(seconds=95)
    finally:
        sandbox.kill()


def test_environment_of_create_reaches_commands():
    sandbox = Sandbox.create(template="base", envs={"GREETING": "it's \"quoted\""})
    try:
        assert sandbox.commands.run("printenv GREETING").stdout == "it's \"quoted\"\n"
        assert sandbox.commands.run("printenv GREETING", envs={"GREETING": "own"}).stdout == "own\n"
        assert sandbox.commands.run("printenv E2B_SANDBOX").stdout == "true\n"
        assert sandbox.commands.run("printenv E2B_SANDBOX_ID").stdout == sandbox.sandbox_id + "\n"
    finally:
        sandbox.kill()


def test_list_filters_by_metadata_with_special_characters():
    mark = {"list mark": f"v&é {time.time_ns()}"}
    sandbox = Sandbox.create(template="base", metadata=mark)
    try:
        found = Sandbox.list(query=SandboxQuery(metadata=mark)).next_items()
        assert [item.sandbox_id for item in found] == [sandbox.sandbox_id]
        none = Sandbox.list(query=SandboxQuery(metadata={"list mark": "other"})).next_items()
        assert none == []
    finally:
        sandbox.kill()


def test_list_pages_through_all():
    mark = {"page mark": str(time.time_ns())}
    sandboxes = [Sandbox.create(template="base", metadata=mark) for _ in range(2)]
    try:
        paginator = Sandbox.list(query=SandboxQuery(metadata=mark), limit=1)
        seen = []
        while paginator.has_next:
            page = paginator.next_items()
            assert len(page) <= 1
            seen += [item.sandbox_id for item in page]
        assert sorted(seen) == sorted(sandbox.sandbox_id for sandbox in sandboxes)
    finally:
        for sandbox in sandboxes:
            sandbox.kill()


def test_killed_sandbox_is_gone_everywhere():
    sandbox = Sandbox.create(template="base")
    assert sandbox.kill() is True
    assert sandbox.is_running() is False
    assert Sandbox.kill(sandbox.sandbox_id) is False
    with pytest.raises(NotFoundException):
        Sandbox.get_info(sandbox.sandbox_id)


def test_deadline_ends_the_sandbox():
    sandbox = Sandbox.create(template="base", timeout=60)
    sandbox.set_timeout(2)
    deadline = time.monotonic() + 20
    while sandbox.is_running():
        assert time.monotonic() < deadline, "the sandbox outlived its deadline by far"
        time.sleep(0.25)
    with pytest.raises(NotFoundException):
        sandbox.get_info()


def test_connect_extends_but_never_shortens():
    sandbox = Sandbox.create(template="base", timeout=200)
    try:
        before = sandbox.get_info().end_at
        other = Sandbox.connect(sandbox.sandbox_id, timeout=10)
        assert other.get_info().end_at >= before
        assert other.commands.run("echo again").stdout == "again\n"
        longer = Sandbox.connect(sandbox.sandbox_id, timeout=600)
        assert longer.get_info().end_at > before
    finally:
        sandbox.kill()


def test_metrics_are_those_of_the_sandbox():
    sandbox = Sandbox.create(template="base")
    try:
        metrics = sandbox.get_metrics()
        assert len(metrics) >= 1
        latest = metrics[-1]
        assert latest.cpu_count >= 1 and latest.cpu_used_pct >= 0
        assert 0 < latest.mem_used <= latest.mem_total
        assert 0 < latest.disk_used <= latest.disk_total
        assert abs(datetime.now(timezone.utc) - latest.timestamp) < timedelta(minutes=5)
    finally:
        sandbox.kill()
    with pytest.raises(NotFoundException):
        Sandbox.get_metrics(sandbox.sandbox_id)


def test_wrong_key_is_an_authentication_error():
    with pytest.raises(AuthenticationException):
        Sandbox.create(template="base", api_key="e2b_" + "0" * 40)


def test_unknown_template_says_so():
    with pytest.raises(SandboxException) as error:
        Sandbox.create(template="no-such-template")
    assert "no-such-template" in str(error.value)


def test_empty_pool_fails_clearly_after_the_claim_timeout():
    started = time.monotonic()
    with pytest.raises(Exception) as error:
        Sandbox.create(
            template="empty",
            metadata={"e2b.agents.kruise.io/claim-timeout-seconds": "2"},
        )
    assert 1.5 <= time.monotonic() - started < 20
    assert "empty" in str(error.value)


def test_empty_pool_creates_at_once_when_asked():
    sandbox = Sandbox.create(
        template="empty", metadata={"e2b.agents.kruise.io/create-on-no-stock": "true"}
    )
    try:
        assert sandbox.commands.run("echo fresh").stdout == "fresh\n"
        assert "create-on-no-stock" not in str(sandbox.get_info().metadata)
    finally:
        sandbox.kill()


def test_image_without_a_shell_works():
    """The runtime is injected: the image holds one static binary and nothing else."""
    sandbox = Sandbox.create(
        template="minimal", metadata={"e2b.agents.kruise.io/create-on-no-stock": "true"}
    )
    try:
        sandbox.files.write("/tmp/a.txt", "no shell here", user="root")
        assert sandbox.files.read("/tmp/a.txt", user="root") == "no shell here"
        assert "a.txt" in [entry.name for entry in sandbox.files.list("/tmp", user="root")]
    finally:
        sandbox.kill()
