//! What TLS clients say.

use super::Case;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "unknown-ca",
        says: &[
            &["unable to get local issuer certificate"],
            &["self-signed certificate in certificate chain"],
            &["self_signed_cert_in_chain"],
            &["unknownissuer"],
            &["signed by unknown authority"],
            &["unable_to_verify_leaf_signature"],
            &["unable_to_get_issuer_cert_locally"],
            &["unable to verify the first certificate"],
            &["pkix path building failed"],
        ],
        cause: "the client does not know the CA of this installation",
        help: &[
            "`silica env --ca-file ca.pem` writes it and prints the variables for each client",
            "Python and curl read `SSL_CERT_FILE`, Node `NODE_EXTRA_CA_CERTS`; set them before the process starts",
            "a certificate from a public CA needs none of it: `silica certs import`",
        ],
    },
    Case {
        id: "default-certificate",
        says: &[
            &["kubernetes ingress controller fake certificate"],
            &["traefik default cert"],
            &["certificate is valid for ingress.local"],
            &["traefik.default"],
        ],
        cause: "the ingress controller serves its own certificate: it does not see the TLS Secret or not this host",
        help: &[
            "`silica status` tells what is served",
            "the controller must watch namespace `sandbox-system`; the class must be its own: `--ingress-class NAME`",
            "`--expose direct` goes without an ingress controller",
        ],
    },
    Case {
        id: "wrong-name",
        says: &[
            &["notvalidforname"],
            &["hostname mismatch"],
            &["err_tls_cert_altname_invalid"],
            &["certificate is not valid for"],
            &["doesn't match either of"],
            &["x509: certificate is valid for", "not "],
        ],
        cause: "the certificate has no such name: a wildcard covers one label only, and other domains need their own",
        help: &[
            "`silica certs inspect HOST` shows the names",
            "`E2B_DOMAIN` must be a domain of the installation; add one with `silica install --domain A --domain B`",
        ],
    },
    Case {
        id: "expired",
        says: &[
            &["certificate has expired"],
            &["cert_has_expired"],
            &["peer certificate: expired"],
            &["certificate has expired or is not yet valid"],
        ],
        cause: "the certificate's time is over, or the client's clock is wrong",
        help: &[
            "`silica status` shows the days left",
            "`silica rotate-certs` makes a new one at once",
        ],
    },
    Case {
        id: "not-yet-valid",
        says: &[&["not yet valid"], &["cert_not_yet_valid"], &["notvalidyet"]],
        cause: "the client's clock is more than an hour late",
        help: &["set its clock; compare `date -u` on both sides"],
    },
    Case {
        id: "old-ca",
        says: &[
            &["badsignature"],
            &["certificate signature failure"],
            &["bad signature"],
        ],
        cause: "the client holds a CA of an earlier generation under the same name",
        help: &["fetch the bundle again: `silica env --ca-file ca.pem`"],
    },
    Case {
        id: "name-constraint",
        says: &[
            &["nameconstraintviolation"],
            &["permitted subtree violation"],
            &["not permitted by any constraint"],
        ],
        cause: "the CA is limited to the domains of the installation, and the name is outside of them",
        help: &[
            "use names below the installation's domain",
            "`silica install --domain ...`, then `silica rotate-certs --ca`",
        ],
    },
    Case {
        id: "no-authority-key",
        says: &[&["missing authority key identifier"]],
        cause: "Python 3.13 and newer refuse certificates without that extension; the certificate is not one of Silica's",
        help: &["`silica rotate-certs`, or `silica certs import` a complete one"],
    },
    Case {
        id: "plain-http",
        says: &[
            &["wrong version number"],
            &["invalidcontenttype"],
            &["first record does not look like a tls handshake"],
            &["http request to an https server"],
        ],
        cause: "one side speaks HTTP and the other HTTPS on this port",
        help: &[
            "check scheme and port of `E2B_API_URL` and `E2B_SANDBOX_URL`",
            "the plain port is 7788, TLS is on 443",
        ],
    },
];
