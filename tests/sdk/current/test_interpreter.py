"""Code interpreter: results, errors, contexts, charts, interruption."""

import time

import pytest
from e2b.exceptions import TimeoutException


def test_stdout_result_and_state(interpreter):
    first = interpreter.run_code("x = 20; print('hello, world')")
    assert first.logs.stdout == ["hello, world\n"] and first.error is None and first.results == []
    second = interpreter.run_code("x + 22")
    assert second.text == "42"
    assert second.execution_count == first.execution_count + 1


def test_error_carries_name_value_and_traceback(interpreter):
    execution = interpreter.run_code("def f():\n    return 1 / 0\nf()")
    assert execution.error.name == "ZeroDivisionError"
    assert execution.error.value == "division by zero"
    assert "return 1 / 0" in execution.error.traceback
    assert "\x1b[" not in execution.error.traceback
    assert interpreter.run_code("1 + 1").text == "2"


def test_output_streams(interpreter):
    seen = []
    interpreter.run_code(
        "import time\nfor i in range(3):\n    print(i, flush=True); time.sleep(0.2)",
        on_stdout=lambda message: seen.append(message.line),
    )
    assert "".join(seen) == "0\n1\n2\n"


def test_environment_of_one_call_does_not_stay(interpreter):
    code = "import os; print(os.environ.get('ONLY_HERE'))"
    assert interpreter.run_code(code, envs={"ONLY_HERE": "it's \"here\""}).logs.stdout == ["it's \"here\"\n"]
    assert interpreter.run_code(code).logs.stdout == ["None\n"]


def test_contexts_are_separate(interpreter):
    context = interpreter.create_code_context(cwd="/tmp")
    assert interpreter.run_code("import os; os.getcwd()", context=context).text == "/tmp"
    interpreter.run_code("only = 'in context'", context=context)
    assert interpreter.run_code("only").error.name == "NameError"
    assert interpreter.run_code("only", context=context).text == "in context"
    assert context.id in [known.id for known in interpreter.list_code_contexts()]
    interpreter.restart_code_context(context)
    assert interpreter.run_code("only", context=context).error.name == "NameError"
    interpreter.remove_code_context(context)
    assert context.id not in [known.id for known in interpreter.list_code_contexts()]


def test_timeout_interrupts_the_kernel(interpreter):
    with pytest.raises(TimeoutException):
        interpreter.run_code("import time; time.sleep(300)", timeout=3)
    time.sleep(1)
    started = time.monotonic()
    assert interpreter.run_code("1 + 1").text == "2"
    assert time.monotonic() - started < 10


def test_dead_kernel_is_replaced(interpreter):
    execution = interpreter.run_code("import os; os._exit(1)")
    assert execution.error is not None
    assert interpreter.run_code("'alive'").text == "alive"


def test_figure_and_chart(interpreter):
    execution = interpreter.run_code(
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2, 3], [4, 5, 6])\nplt.title('growth')\nplt.xlabel('x')\nplt.show()"
    )
    result = execution.results[0]
    assert result.png.startswith("iVBOR")
    assert result.chart.title == "growth" and result.chart.type.value == "line"
    assert result.chart.elements[0].points == [(1, 4), (2, 5), (3, 6)] or [
        list(point) for point in result.chart.elements[0].points
    ] == [[1, 4], [2, 5], [3, 6]]


def test_data_frame(interpreter):
    execution = interpreter.run_code("import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})")
    result = execution.results[0]
    assert result.data == {"a": [1, 2], "b": ["x", "y"]}
    assert "<table" in result.html


def test_non_ascii_is_not_damaged(interpreter):
    assert interpreter.run_code("print('ä€😀' * 5000)").logs.stdout[0][:3] == "ä€😀"
    joined = "".join(interpreter.run_code("print('ä€😀' * 5000)").logs.stdout)
    assert joined == "ä€😀" * 5000 + "\n"


def test_files_of_code_belong_to_the_user(interpreter):
    interpreter.run_code("open('/home/user/made.txt', 'w').write('by code')")
    assert interpreter.commands.run("stat -c %U made.txt && cat made.txt").stdout == "user\nby code"


def test_javascript_and_typescript(interpreter):
    interpreter.run_code("const answer = 42; console.log('from js')", language="js")
    execution = interpreter.run_code("import { join } from 'path'\n({answer, path: join('a', 'b')})", language="javascript")
    assert execution.error is None
    assert execution.results[0].json == {"answer": 42, "path": "a/b"}
    typed = "interface P { a: number }\nenum E { A = 4 }\nconst p: P = {a: 3}\nawait Promise.resolve(p.a + E.A)"
    assert interpreter.run_code(typed, language="ts").text == "7"
    error = interpreter.run_code("const q: number = null.x", language="typescript").error
    assert (error.name, "reading 'x'" in error.value) == ("TypeError", True)
    with pytest.raises(TimeoutException):
        interpreter.run_code("while (true);", language="js", timeout=1)
    assert interpreter.run_code("answer", language="js").text == "42"


def test_bash(interpreter):
    assert interpreter.run_code("X=1; echo in $BASH", language="bash").logs.stdout
    assert "".join(interpreter.run_code("echo $((X + 1))", language="bash").logs.stdout).strip() == "2"
