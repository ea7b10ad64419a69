//! Certificates for people and for programs.

use serde_json::{Value, json};
use silica_certs::inspect::Inspected;
use time::OffsetDateTime;

use super::Group;

pub(super) fn describe(group: &Group, now: OffsetDateTime) -> String {
    let mut lines = vec![group.title.clone()];
    for (index, certificate) in group.certificates.iter().enumerate() {
        lines.push(format!("\n  certificate {}", index + 1));
        let rows = rows(certificate, now);
        lines.extend(
            rows.into_iter()
                .map(|(name, value)| format!("    {name:<12} {value}")),
        );
    }
    if let Some(Ok(verdict) | Err(verdict)) = &group.verdict {
        lines.push(format!("\n  verdict: {verdict}"));
    }
    lines.join("\n")
}

fn rows(one: &Inspected, now: OffsetDateTime) -> Vec<(&'static str, String)> {
    let or_none = |text: &str| {
        if text.is_empty() {
            "(none)".to_owned()
        } else {
            text.to_owned()
        }
    };
    let mut rows = vec![
        ("subject", or_none(&one.subject)),
        ("issuer", or_none(&one.issuer)),
    ];
    let addresses = one.addresses.iter().map(ToString::to_string);
    let names: Vec<String> = one.names.iter().cloned().chain(addresses).collect();
    if !names.is_empty() {
        rows.push(("names", names.join(", ")));
    }
    rows.push((
        "valid",
        format!(
            "{} to {} ({})",
            one.not_before,
            one.not_after,
            remaining(one, now)
        ),
    ));
    rows.push(("key", one.key.to_string()));
    rows.push(("signature", one.signature.clone()));
    rows.push(("serial", one.serial.clone()));
    rows.push((
        "key id",
        one.subject_key_id.clone().unwrap_or_else(|| "(none)".into()),
    ));
    rows.push((
        "issuer key",
        one.authority_key_id.clone().unwrap_or_else(|| "(none)".into()),
    ));
    let authority = match (one.is_ca, one.path_length) {
        (false, _) => "no".to_owned(),
        (true, None) => "yes".to_owned(),
        (true, Some(length)) => format!("yes, path length {length}"),
    };
    rows.push(("CA", authority));
    // Its absence is a finding of strict clients, so it is shown, too.
    let key_usage = one.key_usage.map(|usage| usage.names().join(", "));
    rows.push(("key usage", or_none(&key_usage.unwrap_or_default())));
    if let Some(usage) = &one.extended_key_usage {
        rows.push(("usage", usage.join(", ")));
    }
    if let Some(permitted) = &one.permitted_names {
        rows.push(("permitted", permitted.join(", ")));
    }
    if !one.excluded_names.is_empty() {
        rows.push(("excluded", one.excluded_names.join(", ")));
    }
    rows.push(("SHA-256", one.display_fingerprint()));
    rows
}

fn remaining(one: &Inspected, now: OffsetDateTime) -> String {
    let left = one.not_after - now;
    if now < one.not_before {
        "not yet valid".to_owned()
    } else if left.is_negative() {
        format!("expired {} days ago", -left.whole_days())
    } else {
        format!("{} days left", left.whole_days())
    }
}

pub(super) fn to_json(group: &Group, now: OffsetDateTime) -> Value {
    let certificates: Vec<Value> = group
        .certificates
        .iter()
        .map(|one| {
            json!({
                "subject": one.subject,
                "issuer": one.issuer,
                "names": one.names,
                "addresses": one.addresses,
                "notBefore": rfc3339(one.not_before),
                "notAfter": rfc3339(one.not_after),
                "daysLeft": (one.not_after - now).whole_days(),
                "serial": one.serial,
                "key": one.key.to_string(),
                "signature": one.signature,
                "subjectKeyId": one.subject_key_id,
                "authorityKeyId": one.authority_key_id,
                "isCa": one.is_ca,
                "pathLength": one.path_length,
                "keyUsage": one.key_usage.map(|usage| usage.names()),
                "extendedKeyUsage": one.extended_key_usage,
                "permittedNames": one.permitted_names,
                "excludedNames": one.excluded_names,
                "fingerprint": one.fingerprint,
            })
        })
        .collect();
    let verdict = group.verdict.as_ref().map(|verdict| match verdict {
        Ok(text) => json!({"accepted": true, "text": text}),
        Err(text) => json!({"accepted": false, "text": text}),
    });
    json!({"source": group.title, "certificates": certificates, "verdict": verdict})
}

fn rfc3339(moment: OffsetDateTime) -> String {
    moment
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap_or_default()
}
