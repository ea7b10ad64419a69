"""A TLS server of OpenSSL's for keys that ring does not load: chain and key are its arguments.

Prints its port, and ends each connection after the handshake; ends itself with its standard input.
"""

import socket
import ssl
import sys
import threading

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
# Whether the key is good enough is the clients' to say.
context.set_ciphers("DEFAULT@SECLEVEL=0")
context.load_cert_chain(*sys.argv[1:])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)


def serve(plain):
    plain.settimeout(10)
    try:
        with context.wrap_socket(plain, server_side=True) as secure:
            secure.unwrap()
    except OSError:
        pass  # a client that refuses goes away


def listen():
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


threading.Thread(target=listen, daemon=True).start()
sys.stdin.read()
