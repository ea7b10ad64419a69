//! The Connect service `filesystem.Filesystem`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use buffa::MessageField;
use connectrpc::{
    ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use futures::{Stream, stream};
use tokio::time::timeout;

use super::entry::read_entry;
use super::path::resolve;
use super::watch::{Options, Watcher, Watchers};
use super::{FsError, operations};
use crate::account::{Account, Names};
use crate::blocking::blocking;
use crate::proto::filesystem as wire;
use crate::rpc::{acting_account, keepalive_interval};
use crate::sandbox::Sandbox;

/// Serves `filesystem.Filesystem`.
pub struct FilesystemService {
    sandbox: Arc<Sandbox>,
    watchers: Watchers,
}

impl FilesystemService {
    /// A service for the files of this sandbox.
    pub fn new(sandbox: Arc<Sandbox>) -> Self {
        Self {
            sandbox,
            watchers: Watchers::default(),
        }
    }

    fn account(&self, context: &RequestContext) -> Result<Account, ConnectError> {
        acting_account(&self.sandbox, context)
    }

    fn resolve(&self, raw: &str, account: &Account) -> PathBuf {
        let workdir = self.sandbox.settings().default_workdir;
        resolve(
            raw,
            &account.home,
            workdir.as_deref().filter(|path| !path.is_empty()).map(Path::new),
        )
    }
}

/// Runs file operations where they may take their time.
async fn operate<T: Send + 'static>(
    operation: impl FnOnce() -> Result<T, FsError> + Send + 'static,
) -> Result<T, ConnectError> {
    Ok(blocking(operation).await??)
}

impl wire::Filesystem for FilesystemService {
    async fn stat<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, wire::StatRequest>,
    ) -> ServiceResult<impl Encodable<wire::StatResponse> + Send + use<'a>> {
        let account = self.account(&context)?;
        let path = self.resolve(request.path, &account);
        let entry = operate(move || read_entry(&path, &Names::read())).await?;
        Response::ok(wire::StatResponse {
            entry: MessageField::some(entry),
            ..Default::default()
        })
    }

    async fn make_dir<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, wire::MakeDirRequest>,
    ) -> ServiceResult<impl Encodable<wire::MakeDirResponse> + Send + use<'a>> {
        let account = self.account(&context)?;
        let path = self.resolve(request.path, &account);
        let entry = operate(move || operations::make_directory(&path, &account)).await?;
        Response::ok(wire::MakeDirResponse {
            entry: MessageField::some(entry),
            ..Default::default()
        })
    }

    async fn r#move<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, wire::MoveRequest>,
    ) -> ServiceResult<impl Encodable<wire::MoveResponse> + Send + use<'a>> {
        let account = self.account(&context)?;
        let source = self.resolve(request.source, &account);
        let destination = self.resolve(request.destination, &account);
        let entry = operate(move || operations::rename(&source, &destination, &account)).await?;
        Response::ok(wire::MoveResponse {
            entry: MessageField::some(entry),
            ..Default::default()
        })
    }

    async fn list_dir<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, wire::ListDirRequest>,
    ) -> ServiceResult<impl Encodable<wire::ListDirResponse> + Send + use<'a>> {
        let account = self.account(&context)?;
        let path = self.resolve(request.path, &account);
        let depth = request.depth;
        let entries = operate(move || operations::list_directory(&path, depth)).await?;
        Response::ok(wire::ListDirResponse {
            entries,
            ..Default::default()
        })
    }

    async fn remove<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, wire::RemoveRequest>,
    ) -> ServiceResult<impl Encodable<wire::RemoveResponse> + Send + use<'a>> {
        let account = self.account(&context)?;
        let path = self.resolve(request.path, &account);
        operate(move || operations::remove(&path)).await?;
        Response::ok(wire::RemoveResponse::default())
    }

    async fn watch_dir(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, wire::WatchDirRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<wire::WatchDirResponse> + Send + use<>>> {
        let account = self.account(&context)?;
        let options = Options {
            recursive: request.recursive,
            include_entry: request.include_entry,
            allow_network_mounts: request.allow_network_mounts,
        };
        let path = self.resolve(request.path, &account);
        let watcher = operate(move || Watcher::open(&path, options)).await?;
        Response::stream_ok(render_events(watcher, keepalive_interval(&context)))
    }

    async fn create_watcher<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, wire::CreateWatcherRequest>,
    ) -> ServiceResult<impl Encodable<wire::CreateWatcherResponse> + Send + use<'a>> {
        let account = self.account(&context)?;
        let options = Options {
            recursive: request.recursive,
            include_entry: request.include_entry,
            allow_network_mounts: request.allow_network_mounts,
        };
        let path = self.resolve(request.path, &account);
        let watcher = operate(move || Watcher::open(&path, options)).await?;
        let watcher_id = self.watchers.insert(watcher);
        Response::ok(wire::CreateWatcherResponse {
            watcher_id,
            ..Default::default()
        })
    }

    async fn get_watcher_events<'a>(
        &'a self,
        _context: RequestContext,
        request: ServiceRequest<'_, wire::GetWatcherEventsRequest>,
    ) -> ServiceResult<impl Encodable<wire::GetWatcherEventsResponse> + Send + use<'a>> {
        let events = self.watchers.take_events(request.watcher_id).await?;
        Response::ok(wire::GetWatcherEventsResponse {
            events,
            ..Default::default()
        })
    }

    async fn remove_watcher<'a>(
        &'a self,
        _context: RequestContext,
        request: ServiceRequest<'_, wire::RemoveWatcherRequest>,
    ) -> ServiceResult<impl Encodable<wire::RemoveWatcherResponse> + Send + use<'a>> {
        self.watchers.remove(request.watcher_id)?;
        Response::ok(wire::RemoveWatcherResponse::default())
    }
}

/// Where a stream of changes stands.
enum Phase {
    Start(Arc<Watcher>),
    Live(Arc<Watcher>, VecDeque<wire::FilesystemEvent>),
    Done,
}

fn render_events(
    watcher: Watcher,
    keepalive: Duration,
) -> impl Stream<Item = Result<wire::WatchDirResponse, ConnectError>> + Send {
    use wire::__buffa::oneof::watch_dir_response::Event;
    let message = |event: Event| {
        Ok(wire::WatchDirResponse {
            event: Some(event),
            ..Default::default()
        })
    };
    stream::unfold(Phase::Start(Arc::new(watcher)), move |phase| async move {
        let (watcher, mut pending) = match phase {
            Phase::Start(watcher) => {
                let start = wire::watch_dir_response::StartEvent::default();
                return Some((message(start.into()), Phase::Live(watcher, VecDeque::new())));
            }
            Phase::Live(watcher, pending) => (watcher, pending),
            Phase::Done => return None,
        };
        loop {
            if let Some(event) = pending.pop_front() {
                return Some((message(event.into()), Phase::Live(watcher, pending)));
            }
            match timeout(keepalive, watcher.wait()).await {
                Err(_elapsed) => {
                    let keepalive = wire::watch_dir_response::KeepAlive::default();
                    return Some((message(keepalive.into()), Phase::Live(watcher, pending)));
                }
                Ok(Ok(())) => {
                    let reader = Arc::clone(&watcher);
                    match blocking(move || reader.read()).await {
                        Ok(events) => pending.extend(events),
                        Err(error) => return Some((Err(error.into()), Phase::Done)),
                    }
                }
                Ok(Err(error)) => {
                    let error = ConnectError::internal(format!("failed to read changes: {error}"));
                    return Some((Err(error), Phase::Done));
                }
            }
        }
    })
}
