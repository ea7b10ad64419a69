"""Templates: their names, and the product document's own form of one, unchanged."""

from e2b import Template
from e2b_code_interpreter import Sandbox


def test_seed_template_runs_code_commands_and_files():
    sandbox = Sandbox.create(
        template="seed-template", metadata={"e2b.agents.kruise.io/create-on-no-stock": "true"}
    )
    try:
        assert sandbox.run_code("print('hello, world')").logs.stdout == ["hello, world\n"]
        sandbox.files.write("text.txt", "seed")
        assert sandbox.commands.run("cat text.txt").stdout == "seed"
    finally:
        sandbox.kill()


def test_a_template_exists_by_its_names():
    assert Template.exists("base") is True
    assert Template.exists("code-interpreter-v1") is True
    assert Template.exists("no-such-template") is False
