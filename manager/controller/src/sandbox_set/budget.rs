//! Limits given as a number or a percentage; no IO.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A text that is neither a number nor a percentage.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field} {text:?} is neither a number nor a percentage such as \"20%\"")]
pub(crate) struct Error {
    pub(super) field: &'static str,
    pub(super) text: String,
}

/// The absolute value; a percentage is of `whole`, rounded up. Negative numbers
/// count as zero.
pub(super) fn absolute(field: &'static str, limit: &IntOrString, whole: usize) -> Result<usize, Error> {
    match limit {
        IntOrString::Int(number) => Ok(usize::try_from(*number).unwrap_or(0)),
        IntOrString::String(text) => {
            let malformed = || Error {
                field,
                text: text.clone(),
            };
            match text.strip_suffix('%') {
                Some(percent) => {
                    let percent: usize = percent.parse().map_err(|_| malformed())?;
                    Ok(whole.saturating_mul(percent).div_ceil(100))
                }
                None => text.parse().map_err(|_| malformed()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_up() {
        let limit = |text: &str| absolute("f", &IntOrString::String(text.to_owned()), 7);
        assert_eq!(
            (limit("20%"), limit("0%"), limit("100%"), limit("3")),
            (Ok(2), Ok(0), Ok(7), Ok(3))
        );
        assert_eq!(absolute("f", &IntOrString::Int(500), 7), Ok(500));
        assert_eq!(absolute("f", &IntOrString::Int(-1), 7), Ok(0));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "%", "x%", "-1%", "1.5"] {
            assert!(
                absolute("f", &IntOrString::String(text.to_owned()), 7).is_err(),
                "{text:?}"
            );
        }
    }
}
