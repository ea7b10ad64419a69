//! Removes the records at the end, also when the work is given up in the
//! middle: by Ctrl-C, a time limit, or a lost Lease.

use std::{sync::Arc, thread, time::Duration};

use tokio::{runtime::Builder, time::timeout};

use crate::{
    Tell,
    provider::{Dns01, Error, TxtRecord},
};

/// How long the removal may hold up somebody who gave up. Hooks that ask a
/// provider's API for each record take seconds.
const LAST_MOMENT: Duration = Duration::from_secs(30);

/// Records that have to be gone in the end.
pub(super) struct Sweep<P: Dns01> {
    provider: Arc<P>,
    records: Vec<TxtRecord>,
    is_done: bool,
}

impl<P: Dns01> Sweep<P> {
    pub(super) fn new(provider: Arc<P>, records: Vec<TxtRecord>) -> Self {
        Self {
            provider,
            records,
            is_done: false,
        }
    }

    pub(super) fn provider(&self) -> &P {
        &self.provider
    }

    pub(super) fn records(&self) -> &[TxtRecord] {
        &self.records
    }

    /// Removes them in good order.
    pub(super) async fn finish(mut self, tell: Tell<'_>) -> Result<(), Error> {
        if self.records.is_empty() {
            self.is_done = true;
            return Ok(());
        }
        tell("removing the TXT records");
        let swept = self.provider.cleanup(&self.records).await;
        self.is_done = true;
        swept
    }
}

impl<P: Dns01> Drop for Sweep<P> {
    fn drop(&mut self) {
        if self.is_done || self.records.is_empty() {
            return;
        }
        let (provider, records) = (Arc::clone(&self.provider), std::mem::take(&mut self.records));
        // A runtime of its own: that of the caller may be ending.
        let removal = thread::spawn(move || {
            if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
                // Nobody is left to be told.
                let _ = runtime.block_on(async { timeout(LAST_MOMENT, provider.cleanup(&records)).await });
            }
        });
        let _ = removal.join();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Seen(Mutex<Vec<TxtRecord>>);

    impl Dns01 for Seen {
        async fn present(&self, _: &[TxtRecord]) -> Result<(), Error> {
            Ok(())
        }

        async fn cleanup(&self, records: &[TxtRecord]) -> Result<(), Error> {
            // A timer works only where a runtime drives it.
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.0.lock().unwrap().extend_from_slice(records);
            Ok(())
        }
    }

    #[tokio::test]
    async fn records_go_when_the_work_is_given_up() {
        let provider = Arc::new(Seen::default());
        let record = TxtRecord {
            name: "a".into(),
            value: "b".into(),
        };
        drop(Sweep::new(Arc::clone(&provider), vec![record.clone()]));
        assert_eq!(*provider.0.lock().unwrap(), vec![record.clone()]);
        let sweep = Sweep::new(Arc::clone(&provider), vec![record.clone()]);
        sweep.finish(&|_| {}).await.unwrap();
        assert_eq!(provider.0.lock().unwrap().len(), 2);
    }
}
