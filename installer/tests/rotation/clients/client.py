"""A client of the API that never stops asking, with the HTTP stack of an E2B SDK.

Arguments: httpx (the SDK until 2.37, OpenSSL) or pyqwest (the SDK since 2.38, rustls); fresh or kept
connections; host; ports with commas between. SSL_CERT_FILE names the CA file, as for the SDK.
Each line on standard input is answered with the counts since the last one: succeeded, failed and the
first error, with tabs between.
"""

import os
import sys
import threading
import time

stack, connections, host, ports = sys.argv[1:]
ports = ports.split(",")
fresh = connections == "fresh"
lock = threading.Lock()
counts = [0, 0, ""]


def open_httpx():
    import httpx

    client = httpx.Client(verify=context, timeout=10)

    def get(port):
        # The name is not resolved: as with a DNS record, only the address is another.
        answer = client.get(
            f"https://127.0.0.1:{port}/health",
            headers={"host": f"{host}:{port}"},
            extensions={"sni_hostname": host},
        )
        answer.raise_for_status()

    return get, client.close


def open_pyqwest():
    import pyqwest

    transport = pyqwest.SyncHTTPTransport(
        tls_include_system_certs=True, dns_overrides={host: ["127.0.0.1"]}, timeout=10
    )
    client = pyqwest.SyncClient(transport)

    def get(port):
        answer = client.get(f"https://{host}:{port}/health")
        if answer.status not in (200, 204):
            raise RuntimeError(f"status {answer.status}")

    return get, lambda: None


def work():
    get = close = None
    turn = 0
    while True:
        if get is None:
            get, close = opened()
        try:
            get(ports[turn % len(ports)])
            failure = None
        except Exception as error:  # whatever it is, it is a failed request
            failure = f"{type(error).__name__}: {error}".replace("\n", " ").replace("\t", " ")
        with lock:
            if failure is None:
                counts[0] += 1
            else:
                counts[1] += 1
                counts[2] = counts[2] or failure
        if fresh:
            close()
            get = None
            turn += 1
        time.sleep(0.03)


if stack == "httpx":
    import ssl

    # The SDK's own: it reads the file once, at its start.
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
opened = {"httpx": open_httpx, "pyqwest": open_pyqwest}[stack]
threading.Thread(target=work, daemon=True).start()
for _ in sys.stdin:
    with lock:
        said, counts = counts, [0, 0, ""]
    print(*said, sep="\t", flush=True)
