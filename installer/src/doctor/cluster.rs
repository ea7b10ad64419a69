//! What Kubernetes and the installer say.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "image-pull",
        says: &[
            &["errimagepull"],
            &["imagepullbackoff"],
            &["errimageneverpull"],
            &["failed to pull image"],
        ],
        cause: "the node has not got the image and cannot pull it",
        help: &[
            "Silica's own images: run `silica install` again with another `--images`",
            "a template's image: check name, registry and pull secret",
        ],
    },
    Case {
        id: "unschedulable",
        says: &[
            &["nodes are available"],
            &["cannot be scheduled"],
            &["failedscheduling"],
        ],
        cause: "no node has room for the pod or fits its selector",
        help: &[
            "lower the requests (`--proxy-cpu`, `--proxy-memory`) or the replicas",
            "check `--node-selector` and taints",
        ],
    },
    Case {
        id: "crash-loop",
        says: &[&["crashloopbackoff"], &["back-off restarting failed container"]],
        cause: "the container ends right after its start",
        help: &["`kubectl logs -n NAMESPACE POD --previous` says why"],
    },
    Case {
        id: "post-start",
        says: &[&["failedpoststarthook"], &["poststarthookerror"]],
        cause: "the runtime did not start in the sandbox's container",
        help: &[
            "the main container must keep running (for example `sleep infinity`) and must mount the volume of the runtime",
            "a template of your own with `envd-run.sh` needs the shell that it names",
        ],
    },
    Case {
        id: "out-of-memory",
        says: &[&["oomkilled"], &["exit code 137"]],
        cause: "the container used more memory than its limit",
        help: &["raise `resources.limits.memory` in the template"],
    },
    Case {
        id: "eviction",
        says: &[&["evicted"], &["disk pressure"], &["diskpressure"]],
        cause: "the node is short of disk or memory",
        help: &["free space on the node: `kubectl describe node NODE`"],
    },
    Case {
        id: "quota",
        says: &[&["exceeded quota"], &["must specify limits"]],
        cause: "a ResourceQuota or LimitRange of the namespace forbids the pod",
        help: &["`kubectl describe quota,limitrange -n NAMESPACE`; fit the template or the quota"],
    },
    Case {
        id: "pod-security",
        says: &[&["violates podsecurity"]],
        cause: "the namespace's Pod Security level forbids something in the template",
        help: &["adapt the template, or the label `pod-security.kubernetes.io/enforce` of the namespace"],
    },
    Case {
        id: "rights",
        says: &[
            &["is forbidden: user"],
            &["cannot get resource"],
            &["cannot create resource"],
            &["cannot patch resource"],
        ],
        cause: "the kubeconfig's user lacks a right",
        help: &["`silica rbac print --user NAME` prints the role that an administrator can apply"],
    },
    Case {
        id: "busy",
        says: &[
            &["is changing this installation"],
            &["the lock was lost to another command"],
            &["was changed by another command meanwhile"],
        ],
        cause: "two commands at once",
        help: &["wait until the other has ended; one that died loses its lock after 60 seconds"],
    },
    Case {
        id: "conflict",
        says: &[
            &["apply failed with", "conflict"],
            &["the server would refuse", "was set by"],
        ],
        cause: "another field manager changed a field that Silica sets",
        help: &[
            "`silica install --force-conflicts --dry-run` shows the difference, without `--dry-run` the field is taken back",
        ],
    },
    Case {
        id: "stuck-namespace",
        says: &[&["because it is being terminated"], &["namespace", "terminating"]],
        cause: "the namespace is still being removed, held by finalizers",
        help: &["`silica uninstall` again shows what holds it"],
    },
];
