//! Keeps the served certificate alive: renews it at two thirds of its life or
//! when the CA's key pair changed, and keeps the CA in the trust bundle.
//!
//! `observe` (watches), `decide` and `schedule` (pure), `apply` (API), in the
//! order that `keeper` gives them. Only a certificate that this product made
//! and whose CA is here is written; any other is reported. Trust comes first:
//! the CA is in the bundle before a certificate that needs it is served.

mod apply;
mod decide;
mod keeper;
mod observe;
mod schedule;

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout_at};

use crate::context::Context;
use keeper::Keeper;

/// Pause after a change: whoever replaces the CA writes the certificate right
/// after it, and that one is better than ours.
const SETTLE: Duration = Duration::from_millis(500);

/// Looks after the certificates for ever. `clock` tells the time.
pub(crate) async fn run(context: Arc<Context>, namespace: &str, clock: impl Fn() -> OffsetDateTime) {
    let mut changes = pin!(observe::changes(&context.client, namespace));
    let mut keeper = Keeper::new(&context);
    let mut wake = Instant::now() + schedule::LONGEST_SLEEP;
    loop {
        match timeout_at(wake, changes.next()).await {
            Ok(Some(change)) => {
                if !keeper.note(change) {
                    continue;
                }
                sleep(SETTLE).await;
                while let Some(Some(change)) = changes.next().now_or_never() {
                    keeper.note(change);
                }
            }
            // The watch of one object never ends.
            Ok(None) => sleep(schedule::LONGEST_SLEEP).await,
            Err(_elapsed) => {}
        }
        wake = Instant::now() + keeper.look(clock()).await;
    }
}
