"""An agent that never stops.

It asks the API, runs commands and reads files, and it holds a command, a download and a WebSocket.
Each line of its input is answered with SUCCEEDED<tab>FAILED<tab>FIRST ERROR since the last one.
"""

import os
import socket
import ssl
import sys
import threading
import time

from e2b import Sandbox

PAUSE = 0.02
SIZE = 4 << 20
ECHO = """
import socketserver

class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n")
        while data := self.connection.recv(4096):
            self.connection.sendall(data.upper())

socketserver.ThreadingTCPServer(("", 8125), Echo).serve_forever()
"""


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.succeeded, self.failed, self.error = 0, 0, ""

    def succeed(self):
        with self.lock:
            self.succeeded += 1

    def fail(self, what, error):
        text = f"{what}: {type(error).__name__}: {error}".replace("\t", " ").replace("\n", " ")
        with self.lock:
            self.failed += 1
            self.error = self.error or text

    def take(self):
        with self.lock:
            line = f"{self.succeeded}\t{self.failed}\t{self.error}"
            self.succeeded, self.failed, self.error = 0, 0, ""
        return line


def listing(sandbox):
    # The pool of a busy installation may have more pages than one.
    Sandbox.list().next_items()


def information(sandbox):
    assert sandbox.get_info().sandbox_id == sandbox.sandbox_id


def command(sandbox):
    assert sandbox.commands.run("echo -n said").stdout == "said"


def reading(sandbox):
    assert len(sandbox.files.read("/tmp/large", format="bytes")) == SIZE


def ask(counts, sandbox, what):
    """One request after the other."""
    while True:
        try:
            what(sandbox)
            counts.succeed()
        except Exception as error:
            counts.fail(what.__name__, error)
        time.sleep(PAUSE)


def hold_command(counts, sandbox):
    """One command that never ends; each number has to arrive, in order."""
    script = "i=0; while :; do echo $i; i=$((i + 1)); sleep 0.05; done"
    handle = sandbox.commands.run(script, background=True, timeout=0)
    expected, rest = 0, ""
    for stdout, _, _ in handle:
        *lines, rest = (rest + (stdout or "")).split("\n")
        for line in lines:
            assert line == str(expected), f"{line} in place of {expected}"
            expected += 1
            counts.succeed()
    raise EOFError("the command ended")


def hold_download(counts, sandbox):
    """One download after the other, each read so slowly that it outlasts a replacement."""
    while True:
        size = 0
        for piece in sandbox.files.read("/tmp/large", format="stream"):
            size += len(piece)
            counts.succeed()
            time.sleep(PAUSE)
        assert size == SIZE, f"{size} bytes"


def hold_socket(counts, sandbox):
    """One connection; what is sent has to come back in capital letters."""
    host = sandbox.get_host(8125)
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    request = (
        f"GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    plain = socket.create_connection(("127.0.0.1", 443), timeout=20)
    with context.wrap_socket(plain, server_hostname=host) as stream:
        stream.sendall(request.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = stream.recv(4096)
            assert piece, answer
            answer += piece
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        while True:
            stream.sendall(b"text")
            assert stream.recv(4096) == b"TEXT"
            counts.succeed()
            time.sleep(PAUSE)


def hold(counts, sandbox, what):
    try:
        what(counts, sandbox)
    except Exception as error:
        counts.fail(what.__name__, error)


def work_alone(counts, sandbox_id, how, what):
    # The pinned SDK gives each thread an HTTP/2 connection of its own, but a sandbox object keeps that of
    # the thread that made it, where the HTTP library mixes up what two threads wait for.
    how(counts, Sandbox.connect(sandbox_id, timeout=900), what)


def main():
    counts = Counts()
    sandbox = Sandbox.create(template="base", timeout=900)
    try:
        sandbox.files.write("/tmp/large", b"x" * SIZE)
        sandbox.files.write("/tmp/echo.py", ECHO)
        sandbox.commands.run("python3 /tmp/echo.py", background=True, timeout=0)
        probe = "for i in $(seq 100); do (echo > /dev/tcp/127.0.0.1/8125) 2>/dev/null && exit; sleep 0.1; done; exit 1"
        sandbox.commands.run(probe)
        work = [(ask, what) for what in (listing, information, command, reading)]
        work += [(hold, what) for what in (hold_command, hold_download, hold_socket)]
        for how, what in work:
            threading.Thread(target=work_alone, args=(counts, sandbox.sandbox_id, how, what), daemon=True).start()
        for _ in sys.stdin:
            print(counts.take(), flush=True)
    finally:
        sandbox.kill()
    # Threads that hold something have nothing to end in good order.
    os._exit(0)


if __name__ == "__main__":
    main()
