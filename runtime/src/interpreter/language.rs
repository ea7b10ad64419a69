//! The languages of the interpreter.

/// A language that code can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    Javascript,
    Typescript,
    R,
    Java,
    Bash,
}

impl Language {
    /// Recognises a name or alias in any case.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "python" | "python3" | "py" => Self::Python,
            "javascript" | "js" => Self::Javascript,
            "typescript" | "ts" => Self::Typescript,
            "r" => Self::R,
            "java" => Self::Java,
            "bash" | "sh" => Self::Bash,
            _ => return None,
        })
    }

    /// The name that clients see.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Javascript => "javascript",
            Self::Typescript => "typescript",
            Self::R => "r",
            Self::Java => "java",
            Self::Bash => "bash",
        }
    }

    /// Names of the kernel specifications that can run it, the best first.
    pub(super) fn kernel_names(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3"],
            Self::Javascript | Self::Typescript => &["javascript", "jslab", "deno"],
            Self::R => &["ir", "r"],
            Self::Java => &["java"],
            Self::Bash => &["bash"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_known_in_any_case() {
        assert_eq!(Language::parse("JS"), Some(Language::Javascript));
        assert_eq!(Language::parse("Python"), Some(Language::Python));
        assert_eq!(Language::parse("cobol"), None);
    }
}
