"""Traffic to a sandbox: ports by host name, access tokens, WebSocket, asyncio."""

import asyncio
import os
import socket
import ssl
import time

import httpx
import pytest
from e2b import AsyncSandbox, Sandbox


def https():
    """A client that reaches the public names of the installation on loopback."""
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    return httpx.Client(transport=Loopback(verify=context), timeout=30)


class Loopback(httpx.HTTPTransport):
    """Connects to 127.0.0.1 but keeps Host and SNI: the C library resolves no `*.localhost`."""

    def handle_request(self, request):
        host = request.url.host
        if host.endswith(".localhost"):
            request.extensions = {**request.extensions, "sni_hostname": host}
            request.url = request.url.copy_with(host="127.0.0.1")
        return super().handle_request(request)


def test_port_is_reachable_by_host_name(shared):
    shared.files.write("/tmp/www/index.html", "<p>served</p>")
    server = shared.commands.run("python3 -m http.server 8123 --directory /tmp/www", background=True)
    try:
        url = f"https://{shared.get_host(8123)}/index.html"
        with https() as client:
            deadline = time.monotonic() + 10
            while (response := client.get(url)).status_code == 502:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert response.text == "<p>served</p>"
    finally:
        server.kill()


def test_server_on_the_loopback_interface_is_reachable(shared):
    port = 8124
    shared.files.write("/tmp/local/index.html", "<p>local</p>")
    command = f"python3 -m http.server {port} --bind 127.0.0.1 --directory /tmp/local"
    server = shared.commands.run(command, background=True)
    try:
        with https() as client:
            deadline = time.monotonic() + 10
            while (response := client.get(f"https://{shared.get_host(port)}/")).status_code == 502:
                assert time.monotonic() < deadline, response.text
                time.sleep(0.1)
            assert response.text == "<p>local</p>"
    finally:
        server.kill()


ECHO_AFTER_UPGRADE = """
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


def test_upgraded_connection_carries_bytes_both_ways(shared):
    shared.files.write("/tmp/echo.py", ECHO_AFTER_UPGRADE)
    server = shared.commands.run("python3 /tmp/echo.py", background=True)
    host = shared.get_host(8125)
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    request = (
        f"GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            plain = socket.create_connection(("127.0.0.1", 443), timeout=10)
            with context.wrap_socket(plain, server_hostname=host) as stream:
                stream.sendall(request.encode())
                answer = b""
                while b"\r\n\r\n" not in answer and (piece := stream.recv(4096)):
                    answer += piece
                if answer.startswith(b"HTTP/1.1 101 "):
                    for text in (b"one", b"two"):
                        stream.sendall(text)
                        assert stream.recv(4096) == text.upper()
                    break
            # The server may not listen yet.
            assert answer.startswith(b"HTTP/1.1 502 ") and time.monotonic() < deadline, answer
            time.sleep(0.1)
    finally:
        server.kill()


def test_closed_port_and_unknown_sandbox_say_which(shared):
    with https() as client:
        closed = client.get(f"https://{shared.get_host(8999)}/")
        assert closed.status_code == 502 and "port is not open" in closed.json()["message"]
        unknown = client.get(f"https://8999-default--nothing.{os.environ['E2B_DOMAIN']}/")
        assert unknown.status_code == 502 and "was not found" in unknown.json()["message"]


def test_daemon_refuses_without_its_token(shared):
    with https() as client:
        host = shared.get_host(49983)
        assert client.get(f"https://{host}/health").status_code == 204
        assert client.get(f"https://{host}/files", params={"path": "/etc/passwd"}).status_code == 401
        init = client.post(f"https://{host}/init", json={"accessToken": "mine"})
        assert init.status_code in (401, 403, 404)


def test_signed_url_downloads_without_a_token(shared):
    shared.files.write("signed.txt", "by signature")
    url = shared.download_url("signed.txt", use_signature_expiration=60)
    with https() as client:
        assert client.get(url).text == "by signature"
        assert client.get(url.replace("signed.txt", "other.txt")).status_code == 401


def test_async_sdk():
    async def scenario():
        sandbox = await AsyncSandbox.create(template="base")
        try:
            results = await asyncio.gather(*(sandbox.commands.run(f"echo {n}") for n in range(10)))
            assert [result.stdout for result in results] == [f"{n}\n" for n in range(10)]
            await sandbox.files.write("async.txt", "text")
            assert await sandbox.files.read("async.txt") == "text"
        finally:
            await sandbox.kill()

    asyncio.run(scenario())


def test_api_errors_are_json():
    base = f"https://api.{os.environ['E2B_DOMAIN']}"
    headers = {"X-API-KEY": os.environ["E2B_API_KEY"]}
    with https() as client:
        for method, path, body, status in [
            ("POST", "/v2/sandboxes", b"{not json", 400),
            ("POST", "/v2/sandboxes", b"{}", 400),
            ("POST", "/v2/sandboxes", b'{"templateID": 5}', 400),
            ("GET", "/sandboxes/no-such-id", None, 404),
            ("GET", "/no/such/route", None, 404),
            ("PATCH", "/v2/sandboxes", None, 405),
        ]:
            response = client.request(method, base + path, content=body, headers=headers)
            assert response.status_code == status, (method, path, response.text)
            answer = response.json()
            assert answer["code"] == status and answer["message"]
        refused = client.get(base + "/v2/sandboxes")
        assert refused.status_code == 401 and refused.json()["code"] == 401


@pytest.mark.parametrize("count", [8])
def test_concurrent_creates_never_share_a_sandbox(count):
    async def scenario():
        made = await asyncio.gather(
            *(
                AsyncSandbox.create(
                    template="base", metadata={"e2b.agents.kruise.io/create-on-no-stock": "true"}
                )
                for _ in range(count)
            )
        )
        try:
            assert len({sandbox.sandbox_id for sandbox in made}) == count
        finally:
            await asyncio.gather(*(sandbox.kill() for sandbox in made))

    asyncio.run(scenario())


def test_sandbox_object_can_be_shared_by_id(shared):
    other = Sandbox.connect(shared.sandbox_id)
    other.files.write("/tmp/shared.txt", "seen by both")
    assert shared.files.read("/tmp/shared.txt") == "seen by both"
