//! What runs beside the compilation of everything else: Debian packages are installed and
//! Kubernetes is built. Who needs a part takes the same lock and waits.

use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Result, anyhow};
use silica_provision::timeline::Timeline;
use silica_provision::{build, cache_dir, packages};

/// Work on two threads.
pub(crate) struct Preparation {
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Preparation {
    pub(crate) fn start(timeline: &Timeline) -> Self {
        let timed = |name: &'static str, work: fn() -> Result<()>| {
            let timeline = timeline.clone();
            std::thread::spawn(move || {
                let began = Instant::now();
                let result = work();
                timeline.add(name, began.elapsed());
                result
            })
        };
        Self {
            threads: vec![
                timed("Debian packages installed", packages::install_missing),
                timed("Kubernetes and CoreDNS built with Go", || {
                    build::build(&cache_dir()?).map(drop)
                }),
            ],
        }
    }

    /// Waits for the rest when it is wanted, else stops it.
    pub(crate) fn end(self, is_wanted: bool) -> Result<()> {
        if !is_wanted {
            build::stop();
        }
        for thread in self.threads {
            let result = thread
                .join()
                .map_err(|_| anyhow!("a thread has ended with a panic"))?;
            // After a failure elsewhere, that is what is told.
            if is_wanted {
                result?;
            }
        }
        Ok(())
    }
}
