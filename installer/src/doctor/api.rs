//! What the REST API and the data-plane proxy answer.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "api-key",
        says: &[
            &["invalid api key"],
            &["401: unauthorized"],
            &["api key is required"],
        ],
        cause: "the key is none of the installation's",
        help: &["`silica env` prints the administrator's key"],
    },
    Case {
        id: "template-unknown",
        says: &[&["template '", "' not found"], &["template", "not found"]],
        cause: "no SandboxSet has this name",
        help: &["`kubectl get sandboxsets -A` lists them; the name of the set is the name of the template"],
    },
    Case {
        id: "pool-empty",
        says: &[&["the pool is empty"], &["became available"]],
        cause: "more sandboxes are asked for than the pool holds, or new ones do not become ready",
        help: &[
            "`silica doctor` tells why they do not become ready",
            "raise `spec.replicas` of the SandboxSet",
            "metadata `e2b.agents.kruise.io/create-on-no-stock: \"true\"` creates one beyond the pool",
        ],
    },
    Case {
        id: "sandbox-gone",
        says: &[
            &["sandbox", "doesn't exist or you don't have access"],
            &["the sandbox was not found"],
            &["sandbox is probably not running anymore"],
        ],
        cause: "it was killed, it passed its timeout (300 seconds unless asked for more), or another key owns it",
        help: &[
            "give `timeout` at creation, or call `set_timeout`",
            "`kubectl get sandboxes -A` shows what exists",
        ],
    },
    Case {
        id: "port-closed",
        says: &[&["running but port is not open"]],
        cause: "nothing listens on that port in the sandbox",
        help: &["start the server there and ask again; it takes a moment until it listens"],
    },
    Case {
        id: "runtime-silent",
        says: &[&["the runtime of sandbox", "did not start"]],
        cause: "the daemon in the sandbox does not answer",
        help: &[
            "`kubectl describe pod` of the sandbox; `kubectl logs POD -c runtime`",
            "the image must allow running a static executable",
        ],
    },
    Case {
        id: "create-timeout",
        says: &[&["the sandbox was not ready within"]],
        cause: "a sandbox beyond the pool, or one that gets another image, took longer than the call may wait",
        help: &[
            "raise `e2b.agents.kruise.io/wait-ready-timeout-seconds`, or keep warm ones: `spec.replicas`",
        ],
    },
    Case {
        id: "start-failed",
        says: &[&["the sandbox failed to start"]],
        cause: "its container does not start, for the reason behind the colon: often an image that cannot be pulled",
        help: &[
            "correct the image: metadata `e2b.agents.kruise.io/image`, else the SandboxSet's template",
            "metadata `e2b.agents.kruise.io/reserve-failed-sandbox: \"true\"` keeps the pod for a look",
        ],
    },
    Case {
        id: "traffic-token",
        says: &[&["traffic access token is missing or wrong"]],
        cause: "the sandbox was created with `allowPublicTraffic: false`",
        help: &["send the header `E2b-Traffic-Access-Token` with the token of the creation"],
    },
    Case {
        id: "access-token",
        says: &[&["provide a valid access token"]],
        cause: "the sandbox's own token is missing or old",
        help: &["connect through the SDK again: `Sandbox.connect(id)`"],
    },
    Case {
        id: "host-unknown",
        says: &[&["invalid host"]],
        cause: "the request's host is none of the installation's",
        help: &[
            "`E2B_DOMAIN` must be one of `silica status`",
            "a proxy in front must keep the Host header",
        ],
    },
    Case {
        id: "gateway-timeout",
        says: &[
            &["504 gateway time-out"],
            &["upstream request timeout"],
            &["upstream timed out"],
        ],
        cause: "the ingress controller gave up waiting for a long call",
        help: &[
            "`--ingress-annotation` with its read timeout, one hour",
            "`--expose ingress,direct` goes round it",
        ],
    },
    Case {
        id: "body-too-large",
        says: &[
            &["413 request entity too large"],
            &["client intended to send too large body"],
        ],
        cause: "the ingress controller limits the size of uploads",
        help: &["for ingress-nginx: `--ingress-annotation nginx.ingress.kubernetes.io/proxy-body-size=0`"],
    },
];
