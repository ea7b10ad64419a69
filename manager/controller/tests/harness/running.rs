//! One controller in a task of its own.

use std::time::Duration;

use kube::Client;
use silica_controller::{AuthorityRenewal, Config, Error, Health};
use silica_core::token::{KEY_LENGTH, TokenKey};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

pub(crate) struct Running {
    health: Health,
    task: JoinHandle<Result<(), Error>>,
    stop: oneshot::Sender<()>,
}

impl Running {
    pub(crate) fn start(client: &Client, namespace: &str, identity: &str) -> Self {
        let health = Health::default();
        let config = Config {
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            runtime: silica_controller::RuntimeSource::Image("runtime:test".to_owned()),
            token_key: TokenKey::new(&[1; KEY_LENGTH]).unwrap(),
            workers: Config::DEFAULT_WORKERS,
            health: health.clone(),
            authority: AuthorityRenewal {
                is_on: true,
                spread: Some(Duration::from_secs(1)),
                soak: Some(Duration::from_secs(2)),
            },
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(silica_controller::run(config, client.clone(), async {
            let _ = stopped.await;
        }));
        Self { health, task, stop }
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    pub(crate) fn kill(self) {
        self.task.abort();
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }

    pub(crate) async fn wait_ready(&mut self) {
        self.wait(Health::is_ready).await;
    }

    pub(crate) async fn wait_leading(&mut self) {
        self.wait(Health::is_leading).await;
    }

    async fn wait(&mut self, is: impl Fn(&Health) -> bool) {
        let wait = async {
            // The handle has no notification: the process's probes poll it too.
            while !is(&self.health) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(30), wait)
            .await
            .expect("the controller gets there");
    }
}
