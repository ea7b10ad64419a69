//! Lets calls about the same thing run one after the other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

/// One lock for each key that somebody holds or waits for.
#[derive(Default)]
pub(crate) struct Locks(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    /// Waits for earlier calls with this key.
    pub(crate) async fn lock(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(key.to_owned()).or_default())
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_call_waits_for_the_first_and_nothing_is_left_behind() {
        let locks = Locks::default();
        let first = locks.lock("a").await;
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(5), locks.lock("a"))
                .await
                .is_err()
        );
        drop(locks.lock("b").await);
        drop(first);
        drop(locks.lock("a").await);
        assert!(locks.0.lock().unwrap().len() <= 2);
    }
}
