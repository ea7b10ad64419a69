//! Errors of YAML files that hold secrets: where they are, and nothing of the file.

/// The place of the error. Parsers quote the lines around it, and those may be a token or a key.
pub(crate) fn place(error: &serde_saphyr::Error) -> String {
    match error.location() {
        Some(location) => format!(
            "it is not the YAML that is needed here: look at line {}, column {}",
            location.line(),
            location.column()
        ),
        None => "it is not the YAML that is needed here".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_told_without_the_text() {
        let error = serde_saphyr::from_str::<Vec<u8>>("token: secret\n").unwrap_err();
        let text = place(&error);
        assert!(text.contains("line 1") && !text.contains("secret"), "{text}");
    }
}
