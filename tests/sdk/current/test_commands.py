"""Processes: run, background, stdin, signals, users, streaming."""

import pytest
from e2b import CommandExitException
from e2b.exceptions import TimeoutException


def test_output_and_exit_code(shared):
    result = shared.commands.run("echo out; echo err >&2")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)


def test_failing_command_raises_with_its_output(shared):
    with pytest.raises(CommandExitException) as error:
        shared.commands.run("echo before; exit 7")
    assert error.value.exit_code == 7
    assert error.value.stdout == "before\n"


def test_commands_run_as_user_and_as_root(shared):
    assert shared.commands.run("whoami").stdout == "user\n"
    assert shared.commands.run("pwd").stdout == "/home/user\n"
    assert shared.commands.run("whoami", user="root").stdout == "root\n"
    assert shared.commands.run("pwd", cwd="/tmp").stdout == "/tmp\n"
    assert shared.commands.run("sudo -n id -u").stdout == "0\n"


def test_output_streams_while_the_command_runs(shared):
    seen = []
    shared.commands.run("for i in 1 2 3; do echo $i; sleep 0.2; done", on_stdout=seen.append)
    assert "".join(seen) == "1\n2\n3\n"
    assert len(seen) == 3


def test_large_output_arrives_whole(shared):
    result = shared.commands.run("head -c 5000000 /dev/zero | tr '\\0' 'x'")
    assert len(result.stdout) == 5_000_000


def test_multibyte_text_is_not_damaged(shared):
    assert shared.commands.run("printf 'ä€😀%.0s' $(seq 20000)").stdout == "ä€😀" * 20000


def test_background_command_can_be_fed_listed_and_killed(shared):
    handle = shared.commands.run("cat", background=True, stdin=True)
    shared.commands.send_stdin(handle.pid, "hello\n")
    assert handle.pid in [process.pid for process in shared.commands.list()]
    for stdout, _, _ in handle:
        assert stdout == "hello\n"
        break
    assert shared.commands.kill(handle.pid) is True
    with pytest.raises(CommandExitException):
        shared.commands.run(f"kill -0 {handle.pid}", user="root")
    assert shared.commands.kill(999_999) is False


def test_command_survives_disconnect_and_can_be_joined_again(shared):
    handle = shared.commands.run("sleep 1; echo late", background=True)
    handle.disconnect()
    joined = shared.commands.connect(handle.pid)
    assert joined.wait().stdout == "late\n"


def test_command_timeout_kills_it(shared):
    with pytest.raises(TimeoutException):
        shared.commands.run("sleep 30", timeout=1)


def test_many_commands_at_once(shared):
    handles = [shared.commands.run(f"sleep 0.5; echo {n}", background=True) for n in range(20)]
    assert [handle.wait().stdout for handle in handles] == [f"{n}\n" for n in range(20)]


def test_killing_the_sandbox_ends_a_running_command(sandbox):
    handle = sandbox.commands.run("sleep 60", background=True)
    sandbox.kill()
    with pytest.raises(Exception) as error:
        handle.wait()
    assert "killed" in str(error.value) or "not found" in str(error.value).lower()


def test_pty_echoes_and_exits(shared):
    from e2b import PtySize

    output = []
    terminal = shared.pty.create(PtySize(rows=24, cols=80))
    shared.pty.send_stdin(terminal.pid, b"echo $((40 + 2)); stty size; exit\n")
    result = terminal.wait(on_pty=lambda data: output.append(bytes(data)))
    text = b"".join(output).decode()
    assert "42" in text and "24 80" in text
    assert result.exit_code == 0
