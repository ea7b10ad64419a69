"""The product document's example program, step by step, path style over plain http."""

import pytest
from e2b_code_interpreter import Sandbox
from kruise_agents.patch_e2b import patch_e2b

patch_e2b(https=False)


@pytest.fixture(scope="module")
def sbx():
    sbx = Sandbox.create(template="code-interpreter")
    yield sbx
    Sandbox.kill(sbx.sandbox_id)


def test_sandbox_id_names_namespace_and_pool(sbx):
    assert sbx.sandbox_id.startswith("default--code-interpreter-")


def test_run_code(sbx):
    result = sbx.run_code("print('hello, world')")
    assert str(result) == (
        "Execution(Results: [], Logs: Logs(stdout: ['hello, world\\n'], stderr: []), Error: None)"
    )


def test_files_and_commands_see_the_same_file(sbx):
    sbx.files.write("text.txt", "ack agent sandbox")
    assert sbx.files.read("text.txt") == "ack agent sandbox"
    result = sbx.commands.run("cat text.txt")
    assert (result.stdout, result.stderr, result.exit_code) == ("ack agent sandbox", "", 0)


def test_kill(sbx):
    assert sbx.kill() is True
    assert sbx.kill() is False
