"""The code interpreter."""

import time

import pytest
from e2b import NotFoundException, TimeoutException


def test_results_and_state(sandbox):
    assert sandbox.run_code("x = 20").text is None
    execution = sandbox.run_code("x + 22")
    assert execution.text == "42"
    assert execution.execution_count is not None
    assert sandbox.run_code("'quoted'").text == "quoted"
    assert sandbox.run_code("    y = 1\n    y + 1").text == "2"
    assert sandbox.run_code("import asyncio; await asyncio.sleep(0.01, 'done')").text == "done"


def test_output_is_streamed(sandbox):
    seen, errors = [], []
    sandbox.run_code(
        "import sys; print('\u00e9\U0001f600'); print('e', file=sys.stderr)",
        on_stdout=lambda message: seen.append(message.line),
        on_stderr=lambda message: errors.append(message.line),
    )
    assert "".join(seen) == "\u00e9\U0001f600\n"
    assert "".join(errors) == "e\n"


def test_error_is_reported(sandbox):
    error = sandbox.run_code("1/0").error
    assert (error.name, error.value) == ("ZeroDivisionError", "division by zero")
    assert "ZeroDivisionError" in error.traceback
    assert "\x1b[" not in error.traceback
    assert sandbox.run_code("1").text == "1"


def test_shell_and_magics(sandbox):
    assert "sh-ok" in "".join(sandbox.run_code("!echo sh-ok").logs.stdout)
    assert sandbox.run_code("%cd /tmp\n!pwd").error is None


def test_env_vars(sandbox):
    read = "import os; os.environ.get('CELL')"
    count = sandbox.run_code("1").execution_count
    assert sandbox.run_code(read, envs={"CELL": "it's \"x\"\n\u00e9"}).text is not None
    assert sandbox.run_code("os.environ.get('CELL', 'gone')").text == "gone"
    assert sandbox.run_code("1").execution_count == count + 3
    assert sandbox.run_code("1/0", envs={"CELL": "x"}).error is not None
    assert sandbox.run_code("os.environ.get('CELL', 'gone')").text == "gone"


def test_contexts(sandbox):
    context = sandbox.create_code_context(cwd="/tmp")
    assert sandbox.run_code("import os; os.getcwd()", context=context).text == "/tmp"
    sandbox.run_code("z = 1", context=context)
    assert sandbox.run_code("z").error is not None
    ids = [known.id for known in sandbox.list_code_contexts()]
    assert ids[-1] == context.id
    sandbox.restart_code_context(context)
    assert sandbox.run_code("z", context=context).error.name == "NameError"
    sandbox.remove_code_context(context)
    assert context.id not in [known.id for known in sandbox.list_code_contexts()]
    with pytest.raises(NotFoundException):
        sandbox.run_code("1", context=context)
    languages = [known.language for known in sandbox.list_code_contexts()]
    assert languages[:2] == ["python", "javascript"]


def test_interrupt_after_the_client_gave_up(sandbox):
    with pytest.raises(TimeoutException):
        sandbox.run_code("import time; time.sleep(300)", timeout=1)
    begin = time.monotonic()
    assert sandbox.run_code("1 + 1").text == "2"
    assert time.monotonic() - begin < 5


def test_kernel_crash(sandbox):
    context = sandbox.create_code_context()
    execution = sandbox.run_code("import os; os._exit(1)", context=context)
    assert execution.error is not None
    assert sandbox.run_code("1 + 1", context=context).text == "2"
    sandbox.remove_code_context(context)


def test_data_frames_and_json(sandbox):
    code = "import pandas as pd; pd.DataFrame({'a': [1, 2], 't': [pd.Timestamp('2024-01-02')] * 2})"
    result = sandbox.run_code(code).results[0]
    assert result.data == {"a": [1, 2], "t": ["2024-01-02T00:00:00"] * 2}
    assert result.html
    result = sandbox.run_code("{'a': [1, float('nan')], 2: 'b'}").results[0]
    assert result.json == {"a": [1, None], "2": "b"}
    assert result.is_main_result


def test_charts(sandbox):
    execution = sandbox.run_code(
        "import matplotlib.pyplot as plt\n"
        "plt.plot([1, 2, 3], [4, 5, 6], label='l'); plt.title('t'); plt.show()"
    )
    result = execution.results[0]
    assert result.png
    assert result.chart.type == "line"
    assert result.chart.title == "t"
    assert result.chart.elements[0].points == [(1, 4), (2, 5), (3, 6)]
    assert not result.is_main_result


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("plt.boxplot([[1, 2, 3, 4], [2, 3, 9]], tick_labels=['a', 'b'])", "box_and_whisker"),
        ("plt.boxplot([[1, 2, 3, 4], [2, 3, 9]], tick_labels=['a', 'b'], patch_artist=True)", "box_and_whisker"),
        ("plt.bar(['a', 'b'], [1, 2], yerr=[0.1, 0.2], capsize=3)", "bar"),
        ("plt.plot(np.arange(3), np.arange(3))", "line"),
        ("plt.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0])", "line"),
        ("plt.errorbar([1, 2], [1, 3], yerr=[0.1, 0.2], capsize=3)", "line"),
    ],
)
def test_kinds_of_charts(sandbox, code, kind):
    execution = sandbox.run_code(f"import matplotlib.pyplot as plt, numpy as np\n{code}; plt.show()")
    assert execution.error is None
    assert execution.logs.stderr == []
    assert execution.results[0].chart.type == kind
    assert execution.results[0].chart.elements


@pytest.mark.parametrize("surrogate", ["\\udcff", "\\ud800"])
def test_text_that_is_not_unicode(sandbox, surrogate):
    error = sandbox.run_code(f"raise ValueError('bad {surrogate} name')").error
    assert (error.name, error.value) == ("ValueError", "bad \ufffd name")
    assert "".join(sandbox.run_code(f"print('bad {surrogate} name')").logs.stdout) == "bad \ufffd name\n"


def test_failures_that_ipython_only_prints(sandbox):
    group = (
        "import asyncio\n"
        "async def fail(): raise ValueError('inner')\n"
        "async with asyncio.TaskGroup() as group: group.create_task(fail())"
    )
    # In a kernel of its own: the first failure of a kernel is the one that got no reply.
    context = sandbox.create_code_context()
    error = sandbox.run_code(group, context=context, timeout=20).error
    assert error.name == "ExceptionGroup"
    assert "ValueError: inner" in error.traceback
    sandbox.remove_code_context(context)
    error = sandbox.run_code("%nothing").error
    assert (error.name, "%nothing" in error.value) == ("UsageError", True)


def test_display_and_html(sandbox):
    execution = sandbox.run_code(
        "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\n5"
    )
    assert execution.results[0].html == "<b>x</b>"
    assert execution.results[1].text == "5"


def test_javascript_and_typescript(sandbox):
    sandbox.run_code("const answer = 42; console.log('from js')", language="js")
    execution = sandbox.run_code("import { join } from 'path'\n({answer, path: join('a', 'b')})", language="javascript")
    assert execution.error is None
    assert execution.results[0].json == {"answer": 42, "path": "a/b"}
    typed = "interface P { a: number }\nenum E { A = 4 }\nconst p: P = {a: 3}\nawait Promise.resolve(p.a + E.A)"
    assert sandbox.run_code(typed, language="ts").text == "7"
    error = sandbox.run_code("const q: number = null.x", language="typescript").error
    assert (error.name, "reading 'x'" in error.value) == ("TypeError", True)
    with pytest.raises(TimeoutException):
        sandbox.run_code("while (true);", language="js", timeout=1)
    assert sandbox.run_code("answer", language="js").text == "42"


def test_bash(sandbox):
    assert sandbox.run_code("X=1; echo in $BASH", language="bash").logs.stdout
    assert "".join(sandbox.run_code("echo $((X + 1))", language="bash").logs.stdout).strip() == "2"
