"""The pinned SDKs resolve names through the C library and speak httpx and OpenSSL:
this suite runs where /etc/resolv.conf names the project's own DNS server."""

import os
import socket

import pytest


def pytest_configure(config):
    for name in ("E2B_DOMAIN", "E2B_API_KEY", "SSL_CERT_FILE"):
        if not os.environ.get(name):
            raise pytest.UsageError(f"{name} is not set: run this suite with `cargo xtask test pinned`")
    name = f"api.{os.environ['E2B_DOMAIN']}"
    try:
        socket.getaddrinfo(name, 443)
    except OSError as error:
        raise pytest.UsageError(
            f"{name} does not resolve ({error}): run this suite with `cargo xtask test pinned`"
        ) from error
