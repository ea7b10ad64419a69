//! Findings that are no faults here. Everything else that a linter reports as a
//! warning or worse fails the test.

/// Name of a finding, and why it is no fault.
pub(crate) const IGNORED: [(&str, &str); 14] = [
    (
        "e_dnsname_not_valid_tld",
        "names of Services end in .svc and cluster.local: no public CA signs them, a private one may",
    ),
    (
        "e_missing_crl_distrib_point",
        "CA/Browser Forum, public CAs only: a private CA is replaced, not asked for revocations",
    ),
    (
        "e_sub_cert_aia_missing",
        "CA/Browser Forum, public CAs only: there is no responder, and the chain is sent whole",
    ),
    (
        "w_sub_cert_aia_does_not_contain_issuing_ca_url",
        "CA/Browser Forum, public CAs only: there is no responder, and the chain is sent whole",
    ),
    (
        "e_sub_cert_cert_policy_empty",
        "CA/Browser Forum, public CAs only: the policy would say how a public CA has validated",
    ),
    (
        "e_sub_cert_certificate_policies_missing",
        "CA/Browser Forum, public CAs only: the policy would say how a public CA has validated",
    ),
    (
        "e_invalid_ca_certificate_policies",
        "CA/Browser Forum, public CAs only: the policy would say how a public CA has validated",
    ),
    (
        "e_sub_ca_certificate_policies_missing",
        "CA/Browser Forum, public CAs only: the policy would say how a public CA has validated",
    ),
    (
        "e_sub_ca_crl_distribution_points_missing",
        "CA/Browser Forum, public CAs only: a private CA is replaced, not asked for revocations",
    ),
    (
        "w_sub_ca_aia_missing",
        "CA/Browser Forum, public CAs only: there is no responder, and the chain is sent whole",
    ),
    (
        "e_ca_country_name_missing",
        "CA/Browser Forum, public CAs only: whose CA it is stands in the name, not where",
    ),
    (
        "w_root_ca_basic_constraints_path_len_constraint_field_present",
        "CA/Browser Forum, public CAs only: one CA below, for rotations, is what this root may have",
    ),
    (
        "w_ext_subject_key_identifier_not_recommended_subscriber",
        "against RFC 5280 section 4.2.1.2, which recommends it: people tell keys apart by it",
    ),
    (
        "pkix.invalid_domain_name_syntax",
        "reported for every wildcard, which RFC 6125 section 6.4.3 allows as the whole first label",
    ),
];
