"""The shortest useful program: needs `pip install e2b-code-interpreter` and the
variables of `silica env` (or of target/silica/env for a local cluster)."""

from e2b_code_interpreter import Sandbox

with Sandbox.create(template="code-interpreter") as sandbox:
    print("sandbox id:", sandbox.sandbox_id)
    execution = sandbox.run_code("import math; print('hello from', math.pi); 6 * 7")
    print("stdout:", execution.logs.stdout, "result:", execution.text)
    sandbox.files.write("text.txt", "some text")
    print("command:", sandbox.commands.run("cat text.txt && whoami").stdout)
