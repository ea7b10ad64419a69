//! The records in the forms of tools that create them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Record, RecordKind};

/// Lines for the `D()` of dnscontrol's `dnsconfig.js`.
pub fn render_dnscontrol(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        let host = record.host.clone().unwrap_or_else(|| format!("{}.", record.name));
        let value = match record.kind {
            RecordKind::A | RecordKind::Aaaa => record.value.clone(),
            // Without the dot it would be relative to the zone.
            RecordKind::Cname | RecordKind::Alias => format!("{}.", record.value),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {}({}, {}, TTL({})),",
            record.kind,
            Value::from(host),
            Value::from(value),
            record.ttl
        );
    }
    text
}

/// A change batch of Route 53. Values of one name and type are one set, which `UPSERT`
/// replaces whole. An alias at the apex of a zone needs the zone of its target, which only
/// its owner knows: it is left out, and the comment says so.
pub fn render_route53(records: &[Record]) -> Value {
    let mut sets: Vec<(&str, RecordKind, u32, Vec<String>)> = Vec::new();
    let mut left_out = Vec::new();
    for record in records {
        let value = match record.kind {
            RecordKind::A | RecordKind::Aaaa => record.value.clone(),
            RecordKind::Cname => format!("{}.", record.value),
            RecordKind::Alias => {
                left_out.push(format!("{} as an alias of {}", record.name, record.value));
                continue;
            }
        };
        match sets
            .iter_mut()
            .find(|(name, kind, ..)| *name == record.name && *kind == record.kind)
        {
            Some((.., values)) => values.push(value),
            None => sets.push((&record.name, record.kind, record.ttl, vec![value])),
        }
    }
    let changes: Vec<Value> = sets
        .into_iter()
        .map(|(name, kind, ttl, values)| {
            let values: Vec<Value> = values.into_iter().map(|value| json!({"Value": value})).collect();
            json!({"Action": "UPSERT", "ResourceRecordSet": {
                "Name": format!("{name}."), "Type": kind.to_string(), "TTL": ttl, "ResourceRecords": values}})
        })
        .collect();
    let comment = if left_out.is_empty() {
        "silica".to_owned()
    } else {
        format!("silica; to be added by hand: {}", left_out.join(", "))
    };
    json!({"Comment": comment, "Changes": changes})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{records::records_to_create, verdict::Expected};

    fn addresses() -> Vec<Record> {
        let ip = |text: &str| Expected::Ip(text.parse().unwrap());
        records_to_create(
            "x.corp.test",
            &[ip("192.0.2.1"), ip("192.0.2.2")],
            Some("corp.test"),
        )
    }

    fn hostname() -> Vec<Record> {
        records_to_create(
            "x.test",
            &[Expected::Hostname("lb.example".into())],
            Some("x.test"),
        )
    }

    #[test]
    fn dnscontrol_gets_calls_with_names_relative_to_the_zone() {
        assert_eq!(
            render_dnscontrol(&addresses()),
            "  A(\"x\", \"192.0.2.1\", TTL(300)),\n  A(\"x\", \"192.0.2.2\", TTL(300)),\n  \
             A(\"*.x\", \"192.0.2.1\", TTL(300)),\n  A(\"*.x\", \"192.0.2.2\", TTL(300)),\n"
        );
        assert_eq!(
            render_dnscontrol(&hostname()),
            "  ALIAS(\"@\", \"lb.example.\", TTL(300)),\n  CNAME(\"*\", \"lb.example.\", TTL(300)),\n"
        );
    }

    #[test]
    fn route_53_gets_one_set_for_each_name_and_type() {
        let batch = render_route53(&addresses());
        let changes = batch["Changes"].as_array().unwrap();
        assert_eq!(changes.len(), 2);
        assert_eq!(
            changes[0],
            json!({"Action": "UPSERT", "ResourceRecordSet": {"Name": "x.corp.test.", "Type": "A", "TTL": 300,
                "ResourceRecords": [{"Value": "192.0.2.1"}, {"Value": "192.0.2.2"}]}})
        );
        let batch = render_route53(&hostname());
        assert_eq!(batch["Changes"].as_array().unwrap().len(), 1);
        assert!(
            batch["Comment"]
                .as_str()
                .unwrap()
                .contains("x.test as an alias of lb.example")
        );
    }
}
