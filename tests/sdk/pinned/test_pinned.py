"""e2b 2.28.0 with e2b-code-interpreter 2.4.1: wildcard TLS, v1 routes, httpx."""

import pytest
from e2b.exceptions import AuthenticationException, NotFoundException
from e2b_code_interpreter import Sandbox


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox.create(template="code-interpreter", timeout=300, metadata={"suite": "pinned"})
    yield sandbox
    sandbox.kill()


def test_run_code(sandbox):
    execution = sandbox.run_code("print('hello, world')\n6 * 7")
    assert execution.logs.stdout == ["hello, world\n"]
    assert execution.text == "42"
    assert execution.error is None


def test_default_template_of_the_interpreter():
    sandbox = Sandbox.create()
    try:
        assert sandbox.run_code("1 + 1").text == "2"
    finally:
        sandbox.kill()


def test_contexts(sandbox):
    context = sandbox.create_code_context(cwd="/tmp")
    assert sandbox.run_code("import os; os.getcwd()", context=context).text == "/tmp"


def test_files_and_commands(sandbox):
    sandbox.files.write("text.txt", "pinned")
    assert sandbox.files.read("text.txt") == "pinned"
    assert sandbox.commands.run("cat text.txt").stdout == "pinned"
    assert [entry.name for entry in sandbox.files.list("/home/user") if entry.name == "text.txt"] == ["text.txt"]


def test_info_list_and_connect(sandbox):
    assert sandbox.get_info().metadata == {"suite": "pinned"}
    assert sandbox.sandbox_id in [item.sandbox_id for item in Sandbox.list().next_items()]
    assert Sandbox.connect(sandbox.sandbox_id).is_running()


def test_kill_and_errors(sandbox):
    other = Sandbox.create(template="code-interpreter")
    assert other.kill() is True
    assert other.is_running() is False
    with pytest.raises(NotFoundException):
        Sandbox.connect(other.sandbox_id)
    with pytest.raises(AuthenticationException):
        Sandbox.create(api_key="e2b_" + "0" * 40)
