//! Size of a sandbox as the API reports it, from its pod template.

use serde_json::Value;

/// Size of a sandbox.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Resources {
    /// Processors, at least 1.
    pub cpu_count: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in MiB.
    pub disk_mib: u64,
}

impl Default for Resources {
    /// What a sandbox without limits and requests is said to have; the same
    /// numbers as a default E2B sandbox.
    fn default() -> Self {
        Self {
            cpu_count: 2,
            memory_mib: 512,
            disk_mib: 10 * 1024,
        }
    }
}

impl Resources {
    /// Sums limits, else requests, over the containers of a pod template.
    pub fn of_template(template: &Value) -> Self {
        let containers = template.pointer("/spec/containers").and_then(Value::as_array);
        let sum = |resource: &str| {
            let quantities = containers?.iter().filter_map(|container| {
                let of = |kind: &str| container.pointer(&format!("/resources/{kind}/{resource}"));
                parse_quantity(of("limits").or_else(|| of("requests"))?)
            });
            quantities.reduce(|sum, quantity| sum + quantity)
        };
        let default = Self::default();
        let mib = |value: Option<f64>, default| value.map_or(default, |bytes| truncate(bytes / 1_048_576.0));
        Self {
            cpu_count: sum("cpu").map_or(default.cpu_count, |cpus| {
                u32::try_from(truncate(cpus.ceil())).unwrap_or(u32::MAX).max(1)
            }),
            memory_mib: mib(sum("memory"), default.memory_mib),
            disk_mib: mib(sum("ephemeral-storage"), default.disk_mib),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate"
)]
fn truncate(value: f64) -> u64 {
    value as u64
}

/// A Kubernetes quantity, written as a string or a bare number.
fn parse_quantity(value: &Value) -> Option<f64> {
    let Some(text) = value.as_str() else {
        return value.as_f64();
    };
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    // `1e3` is a number as a whole.
    if let Ok(number) = text.parse::<f64>() {
        return Some(number);
    }
    let number: f64 = text[..digits].parse().ok()?;
    let factor = match &text[digits..] {
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_win_over_requests_and_containers_add_up() {
        let template = json!({"spec": {"containers": [
            {"resources": {"requests": {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "30Gi"}}},
            {"resources": {"limits": {"cpu": "500m", "memory": "512Mi"}, "requests": {"cpu": "100m"}}},
        ]}});
        let expected = Resources {
            cpu_count: 2,
            memory_mib: 1536,
            disk_mib: 30720,
        };
        assert_eq!(Resources::of_template(&template), expected);
    }

    #[test]
    fn a_template_without_sizes_gets_the_default() {
        assert_eq!(
            Resources::of_template(&json!({"spec": {"containers": [{}]}})),
            Resources::default()
        );
        assert_eq!(Resources::of_template(&json!({})), Resources::default());
    }

    #[test]
    fn odd_quantities_do_not_break_the_answer() {
        let template =
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "10m", "memory": "lots"}}}]}});
        let resources = Resources::of_template(&template);
        assert_eq!((resources.cpu_count, resources.memory_mib), (1, 512));
    }
}
