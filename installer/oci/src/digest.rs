//! Content digests: the `sha256:<hex>` form and a writer that computes it on the way.

use std::fmt;
use std::io::{self, Write};

use sha2::Digest as _;

/// A SHA-256 content digest; displays as `sha256:<64 lower-case hex digits>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The 64 lower-case hex digits without the algorithm's name.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

/// Passes bytes on to `inner`, counting and hashing them.
pub struct Sha256Writer<W> {
    inner: W,
    hash: sha2::Sha256,
    written: u64,
}

impl<W: Write> Sha256Writer<W> {
    /// Starts with an empty digest in front of `inner`.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hash: sha2::Sha256::new(),
            written: 0,
        }
    }

    /// Gives back the inner writer, the digest and the number of bytes written.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest(self.hash.finalize().into()), self.written)
    }
}

impl<W: Write> Write for Sha256Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let accepted = self.inner.write(bytes)?;
        self.hash.update(&bytes[..accepted]);
        self.written += accepted as u64;
        Ok(accepted)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digest_shows_algorithm_and_lower_case_hex() {
        assert_eq!(Digest::of(b"abc").to_string(), format!("sha256:{ABC}"));
    }

    #[test]
    fn writer_hashes_what_it_passes_on() {
        let mut writer = Sha256Writer::new(Vec::new());
        writer.write_all(b"a").unwrap();
        writer.write_all(b"bc").unwrap();
        let (inner, digest, written) = writer.finish();
        assert_eq!(
            (inner.as_slice(), digest.hex().as_str(), written),
            (&b"abc"[..], ABC, 3)
        );
    }
}
