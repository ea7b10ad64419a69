//! Errors as one line of a log or an answer.

use std::{error::Error, fmt};

/// An error with its causes in one line.
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Because(Option<std::num::ParseIntError>);

    impl fmt::Display for Because {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bad port")
        }
    }

    impl Error for Because {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.0.as_ref().map(|cause| cause as _)
        }
    }

    #[test]
    fn causes_follow_the_error() {
        let cause = "x".parse::<u16>().err();
        assert_eq!(
            Chain(&Because(cause)).to_string(),
            "bad port: invalid digit found in string"
        );
        assert_eq!(Chain(&Because(None)).to_string(), "bad port");
    }
}
