//! Programs that run beside a test.

use std::{
    env,
    path::PathBuf,
    process::Child,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A program that ends with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the variable names; on CI it has to.
pub(crate) fn given(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "set {variable}");
        eprintln!("skipped: set {variable} to run this test");
    }
    path
}

pub(crate) fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < PATIENCE, "{what} not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
