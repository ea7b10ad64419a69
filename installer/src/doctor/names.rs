//! What resolvers and sockets say.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "name-unknown",
        says: &[
            &["name or service not known"],
            &["nodename nor servname"],
            &["enotfound"],
            &["no such host"],
            &["could not resolve host"],
            &["no records found"],
            &["temporary failure in name resolution"],
            &["eai_again"],
            &["dns error"],
        ],
        cause: "the name has no DNS record where the client asks, often the wildcard one",
        help: &[
            "`silica verify-dns` prints the records to create",
            "`*.localhost` is resolved by newer E2B SDKs themselves, not by the system's resolver",
            "without wildcard DNS, use one host for all: `E2B_API_URL` and `E2B_SANDBOX_URL` of `silica env`",
        ],
    },
    Case {
        id: "refused",
        says: &[&["econnrefused"], &["connection refused"]],
        cause: "nothing listens at that address and port",
        help: &[
            "`silica status` shows the addresses that serve",
            "`silica verify-dns` tells whether the name leads to one",
        ],
    },
    Case {
        id: "no-route",
        says: &[
            &["etimedout"],
            &["connect timeout"],
            &["connection timed out"],
            &["no route to host"],
            &["network is unreachable"],
        ],
        cause: "the address does not answer: a firewall, a load balancer without targets, or a stale DNS record",
        help: &[
            "`silica verify-dns` compares the record with the installation's address",
            "open port 443 to it",
        ],
    },
    Case {
        id: "stream-cut",
        says: &[
            &["incomplete chunked read"],
            &["peer closed connection"],
            &["econnreset"],
            &["connection reset by peer"],
            &["terminated: other side closed"],
            &["server disconnected without sending"],
        ],
        cause: "the sandbox ended while a stream was open, or something in front of the manager ends silent streams",
        help: &[
            "did it pass its timeout? give `timeout` at creation, or extend it",
            "raise idle timeouts of load balancer and ingress to one hour",
        ],
    },
];
