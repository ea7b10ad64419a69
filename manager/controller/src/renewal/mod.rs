//! Keeps the served certificate alive: renews it at two thirds of its life or
//! when the CA's key pair changed, keeps the CA in the trust bundle, and has a
//! CA that nears its end followed by another one.
//!
//! `observe` (watches), `decide`, `succession`, `schedule` and `reorder` (pure), `apply`
//! and, for the CA, `rotate` under `lock` (API), in the order that `keeper`
//! gives them. Only a certificate that this product made
//! and whose CA is here is written; any other is reported. Trust comes first:
//! the CA is in the bundle before a certificate that needs it is served.
//! `official` orders again what `silica certs issue --cluster` ordered over ACME,
//! when its proof takes no person.

mod apply;
mod clock;
mod decide;
mod keeper;
mod lock;
mod observe;
mod official;
mod reorder;
mod rotate;
mod schedule;
mod succession;

use std::{pin::pin, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{config::Config, context::Context};
use keeper::Keeper;

/// Pause after a change: whoever replaces the CA writes the certificate right
/// after it, and that one is better than ours.
const SETTLE: Duration = Duration::from_millis(500);

/// Looks after the certificates forever. `clock` tells the time.
pub(crate) async fn run(context: Arc<Context>, config: &Config, clock: impl Fn() -> OffsetDateTime) {
    let mut changes = pin!(observe::changes(&context.client, &config.namespace));
    let mut keeper = Keeper::new(&context, config);
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
