//! The connection between a process and the API server, cut off on demand.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kube::config::Kubeconfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::harness::Harness;

/// Stands between a process and the API server, and can cut the two off.
pub(crate) struct Outage {
    is_up: watch::Sender<bool>,
    loses_answer: Arc<AtomicBool>,
    pub(crate) kubeconfig: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for Outage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Outage {
    /// Up, with a kubeconfig of this name in the folder that leads through it.
    pub(crate) async fn new(harness: &Harness, folder: &Path, name: &str) -> Self {
        let mut kubeconfig = Kubeconfig::read_from(harness.kubeconfig()).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap();
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        let url: http::Uri = cluster.server.as_deref().unwrap().parse().unwrap();
        let host = url.host().unwrap().to_owned();
        let port = url.port_u16().unwrap_or(443);
        cluster.server = Some(format!("https://{own}"));
        cluster.tls_server_name = Some(host.clone());
        let path = folder.join(name);
        std::fs::write(&path, serde_json::to_string(&kubeconfig).unwrap()).unwrap();

        let (is_up, state) = watch::channel(true);
        let target = Arc::new((host, port));
        let loses_answer = Arc::<AtomicBool>::default();
        let loses = Arc::clone(&loses_answer);
        let task = tokio::spawn(async move {
            loop {
                let Ok((mut near, _)) = listener.accept().await else {
                    return;
                };
                let (target, mut state) = (Arc::clone(&target), state.clone());
                let loses = Arc::clone(&loses);
                tokio::spawn(async move {
                    if !*state.borrow() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect((&*target.0, target.1)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = relay(&mut near, &mut far, &loses) => {}
                        _ = state.wait_for(|is_up| !is_up) => {}
                    }
                });
            }
        });
        Self {
            is_up,
            loses_answer,
            kubeconfig: path,
            task,
        }
    }

    /// Ends the connection on which a certificate is written, once, before the answer comes.
    pub(crate) fn lose_answer(&self) {
        self.loses_answer.store(true, Ordering::Relaxed);
    }

    /// Cuts off, or connects again.
    pub(crate) fn set_up(&self, is_up: bool) {
        self.is_up.send_replace(is_up);
    }
}

/// Only the write of a certificate with its key is that large; what a client says in a
/// handshake with a certificate of its own is not.
const LARGE: usize = 2000;
/// Time in which the API server has written it.
const WRITTEN: Duration = Duration::from_millis(300);

/// Copies both ways until one side ends, or an answer is lost.
async fn relay(near: &mut TcpStream, far: &mut TcpStream, loses_answer: &AtomicBool) -> std::io::Result<()> {
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.split(), far.split());
    let (mut question, mut answer) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    // Sent by the process since the server spoke last.
    let mut asked = 0;
    loop {
        tokio::select! {
            read = from_near.read(&mut question) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                to_far.write_all(&question[..read]).await?;
                asked += read;
                if asked >= LARGE && loses_answer.swap(false, Ordering::Relaxed) {
                    tokio::time::sleep(WRITTEN).await;
                    return Ok(());
                }
            }
            read = from_far.read(&mut answer) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                to_near.write_all(&answer[..read]).await?;
                asked = 0;
            }
        }
    }
}
