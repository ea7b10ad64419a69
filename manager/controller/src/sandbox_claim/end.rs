//! How a claim ends without all that it asked for.

/// Why nothing more is claimed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// The claim cannot be carried out.
    Invalid(String),
    /// There is no pool.
    NoSet(String),
    /// One sandbox after the other fails.
    Failures,
    /// The time is over.
    Timeout,
}
