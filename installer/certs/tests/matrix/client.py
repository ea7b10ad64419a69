"""A TLS client on CPython's ssl: tells what it says to each server of the matrix.

Lines on standard input: name, port, host and CA file, with tabs between. One line out for each:
name, tab, "ok" or the reason. The argument "strict" sets the checks that CPython has by default from 3.13 on, "lenient" leaves them out; without one
the interpreter's own defaults hold.
"""

import socket
import ssl
import sys

SINCE_3_13 = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN

wanted = sys.argv[1:]
for line in sys.stdin:
    name, port, host, ca = line.rstrip("\n").split("\t")
    context = ssl.create_default_context(cafile=ca)
    if wanted == ["strict"]:
        context.verify_flags |= SINCE_3_13
    elif wanted == ["lenient"]:
        context.verify_flags &= ~SINCE_3_13
    try:
        with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as plain:
            with context.wrap_socket(plain, server_hostname=host):
                verdict = "ok"
    except (ssl.SSLError, OSError) as error:
        verdict = str(error).replace("\n", " ")
    print(f"{name}\t{verdict}", flush=True)
