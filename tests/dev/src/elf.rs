//! Tells static executables from dynamic ones.

use anyhow::{Context, Result, ensure};

/// Program header type "interpreter" (`elf(5)`): the file needs a dynamic loader.
const PT_INTERP: u32 = 3;

/// Whether a 64-bit little-endian ELF executable runs without a dynamic loader.
pub(crate) fn is_static(file: &[u8]) -> Result<bool> {
    ensure!(
        file.starts_with(b"\x7fELF\x02\x01"),
        "failed to read the executable: not a 64-bit ELF file"
    );
    let number = |at: usize, length: usize| -> Result<usize> {
        let bytes = file
            .get(at..at + length)
            .context("failed to read the executable: it is cut off")?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | usize::from(*byte)))
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        if number(table + index * size, 4)? == PT_INTERP as usize {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_program_is_static_and_the_shell_is_not() {
        assert!(is_static(&silica_cluster::pause::executable()).unwrap());
        assert!(!is_static(&std::fs::read("/bin/sh").unwrap()).unwrap());
    }

    #[test]
    fn cut_off_file_is_an_error() {
        assert!(is_static(b"#!/bin/sh").is_err());
        assert!(is_static(&silica_cluster::pause::executable()[..66]).is_err());
    }
}
