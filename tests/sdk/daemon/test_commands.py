"""Commands, input, terminals and signals."""

import threading
import time

import pytest
from e2b import (
    AuthenticationException,
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    PtySize,
    TimeoutException,
)


def test_output_and_exit_code(sandbox):
    result = sandbox.commands.run("echo out; echo err >&2")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)
    with pytest.raises(CommandExitException) as failed:
        sandbox.commands.run("echo x; exit 3")
    assert failed.value.exit_code == 3
    assert failed.value.stdout == "x\n"


def test_environment_directory_and_user(sandbox):
    run = sandbox.commands.run
    assert run("echo $X", envs={"X": "a'b\"c d"}).stdout == "a'b\"c d\n"
    assert run("echo $X").stdout == "\n"
    assert run("pwd", cwd="/tmp").stdout == "/tmp\n"
    assert run("whoami; echo $HOME", user="root").stdout == "root\n/root\n"
    assert run("id -un; id -gn").stdout == "user\nuser\n"
    assert "sudo" in run("id -Gn").stdout.split()
    assert run("sudo --non-interactive id -u").stdout == "0\n"
    with pytest.raises(InvalidArgumentException, match="cwd '/missing' does not exist"):
        run("pwd", cwd="/missing")
    with pytest.raises(AuthenticationException, match="invalid username: 'nobody-here'"):
        run("pwd", user="nobody-here")


def test_large_and_multibyte_output(sandbox):
    result = sandbox.commands.run("head -c 5000000 /dev/zero | tr '\\0' x")
    assert len(result.stdout) == 5000000
    text = "\u00e9\u20ac\U0001f600" * 20000
    sandbox.files.write("/tmp/runtime-text", text)
    assert sandbox.commands.run("cat /tmp/runtime-text").stdout == text


def test_background_input_and_list(sandbox):
    command = sandbox.commands.run("cat", background=True, stdin=True)
    assert command.pid in [process.pid for process in sandbox.commands.list()]
    sandbox.commands.send_stdin(command.pid, "hello\n")
    sandbox.commands.close_stdin(command.pid)
    assert command.wait().stdout == "hello\n"
    assert command.pid not in [process.pid for process in sandbox.commands.list()]


def test_disconnect_and_connect_again(sandbox):
    command = sandbox.commands.run("sleep 1; echo late", background=True)
    command.disconnect()
    again = sandbox.commands.connect(command.pid)
    assert again.wait().stdout == "late\n"
    ended = sandbox.commands.connect(command.pid)
    assert ended.wait().exit_code == 0


def test_kill_ends_the_whole_tree(sandbox):
    command = sandbox.commands.run("echo ready; sleep 4242 & sleep 4242; true", background=True)
    # Not before the login files are read: they may hold locks.
    assert next(iter(command))[0] == "ready\n"
    assert sandbox.commands.kill(command.pid)
    with pytest.raises(CommandExitException) as killed:
        command.wait()
    assert killed.value.exit_code == -1
    assert killed.value.error == "signal: killed"
    time.sleep(0.1)
    with pytest.raises(CommandExitException):
        sandbox.commands.run(f"kill -0 {command.pid}")
    with pytest.raises(CommandExitException):
        sandbox.commands.run("pgrep -f '^sleep 424[2]'")
    assert not sandbox.commands.kill(command.pid)


def test_timeout_kills_the_process(sandbox):
    begin = time.monotonic()
    with pytest.raises(TimeoutException):
        sandbox.commands.run("sleep 5151", timeout=1)
    assert time.monotonic() - begin < 3
    time.sleep(0.2)
    with pytest.raises(CommandExitException):
        sandbox.commands.run("pgrep -f '^sleep 515[1]'")


def test_unknown_process(sandbox):
    with pytest.raises(NotFoundException, match="process with pid 999999 not found"):
        sandbox.commands.connect(999999)


def test_background_server_does_not_block_the_command(sandbox):
    begin = time.monotonic()
    assert sandbox.commands.run("sleep 5 & echo started").stdout == "started\n"
    assert time.monotonic() - begin < 3


def test_terminal(sandbox):
    output = []
    terminal = sandbox.pty.create(PtySize(rows=24, cols=80), envs={"A": "b"})
    collector = threading.Thread(target=terminal.wait, kwargs={"on_pty": output.append})
    collector.start()
    sandbox.pty.resize(terminal.pid, PtySize(rows=33, cols=99))
    sandbox.pty.send_stdin(terminal.pid, b"stty size; echo A=$A; echo term=$TERM\n")
    sandbox.pty.send_stdin(terminal.pid, b"exit\n")
    collector.join(10)
    text = b"".join(output).decode()
    assert "33 99" in text
    assert "A=b" in text
    assert "term=xterm-256color" in text


def test_many_commands_at_once(sandbox):
    handles = [sandbox.commands.run(f"sleep 0.2; echo {n}", background=True) for n in range(40)]
    assert [handle.wait().stdout for handle in handles] == [f"{n}\n" for n in range(40)]
