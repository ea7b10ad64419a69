//! `cargo xtask bench`: times Silica on the local cluster.

mod api;
mod certs;
mod install;
mod memory;
mod pool;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use silica_cluster::Cluster;

use xtask::cli::bench::{Arguments, What};

use crate::build::Profile;
use crate::{environment, up, workspace};

/// Sandboxes created at a time in the concurrent part, and in a row in the sequential one:
/// the size of the pool behind the figures that the design compares with.
const AT_ONCE: usize = 10;
/// Size of the pool: one that is emptied is refilled at once, which is not what is timed.
const POOL: usize = AT_ONCE + 2;
/// After the last pod has started or gone, the node is busy with it for a while.
const LULL: Duration = Duration::from_secs(2);

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let cluster = Cluster::of_checkout()?;
    up::local(&cluster, Profile::Release, &[]).await?;
    for one in arguments.what() {
        match one {
            What::Install => install::run(&cluster)?,
            What::Sandboxes => sandboxes(&cluster, arguments.rounds).await?,
            What::Certs => certs::run(&cluster, arguments.rounds)?,
        }
        println!();
    }
    Ok(())
}

async fn sandboxes(cluster: &Cluster, rounds: usize) -> Result<()> {
    let key = environment::read()?
        .into_iter()
        .find_map(|(name, value)| (name == "E2B_API_KEY").then_some(value))
        .context("failed to find E2B_API_KEY in target/silica/env")?;
    let api = api::Api::new(key);
    let pool = pool::Pool::create(cluster, POOL)?;

    let write = pool.time_writes(rounds).await?;
    let (mut creates, mut kills) = (Vec::new(), Vec::new());
    for _ in 0..rounds.div_ceil(AT_ONCE) {
        pool.wait_for(AT_ONCE)?;
        let mut made = Vec::with_capacity(AT_ONCE);
        for _ in 0..AT_ONCE {
            let (id, took) = api.create(pool::NAME).await?;
            made.push(id);
            creates.push(took);
        }
        for id in &made {
            kills.push(api.kill(id).await?);
        }
    }
    pool.wait_for(AT_ONCE)?;
    let began = Instant::now();
    let made = try_join_all((0..AT_ONCE).map(|_| api.create(pool::NAME))).await?;
    let all = began.elapsed();
    for (id, _) in &made {
        api.kill(id).await?;
    }
    let together: Vec<Duration> = made.into_iter().map(|(_, took)| took).collect();
    let (calm_creates, calm_kills) = at_rest(&api, &pool).await?;

    println!("figure                                   p50        max   p50 against one API server write");
    let reference = median(&write);
    for (name, times) in [
        ("one API server write (reference)", &write),
        ("create from a warm pool, sequential", &creates),
        ("kill, sequential", &kills),
        ("create, 10 at once", &together),
        ("create, nothing starts or ends", &calm_creates),
        ("kill, nothing starts or ends", &calm_kills),
    ] {
        let worst = times.iter().max().copied().unwrap_or_default();
        let ratio = median(times).as_secs_f64() / reference.as_secs_f64();
        println!(
            "{name:<36} {:>9} {:>10}   {ratio:.1}",
            milliseconds(median(times)),
            milliseconds(worst)
        );
    }
    println!(
        "10 creates at once, all done after      {:>10}",
        milliseconds(all)
    );
    memory::print()?;
    for name in ["silica", "sandbox-manager", "sandbox-runtime"] {
        let path = workspace::target().join("bin").join(name);
        let size = std::fs::metadata(&path)
            .with_context(|| format!("failed to read {}", path.display()))?
            .len();
        println!("{name:<36} {size:>9} bytes");
    }
    pool.delete()
}

/// One sandbox at a time on a node that has nothing else to do: what is left without the work of
/// starting pods and ending them on the same processors.
async fn at_rest(api: &api::Api, pool: &pool::Pool) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut creates, mut kills) = (Vec::new(), Vec::new());
    for _ in 0..AT_ONCE {
        pool.wait_for(POOL)?;
        tokio::time::sleep(LULL).await;
        let (id, took) = api.create(pool::NAME).await?;
        creates.push(took);
        pool.wait_for(POOL)?;
        tokio::time::sleep(LULL).await;
        kills.push(api.kill(&id).await?);
    }
    Ok((creates, kills))
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_does_not_depend_on_the_order() {
        let times = [5, 1, 3].map(Duration::from_millis);
        assert_eq!(median(&times), Duration::from_millis(3));
        assert_eq!(median(&[]), Duration::ZERO);
    }
}
