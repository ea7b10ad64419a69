//! The two Connect services, side by side.

use std::sync::Arc;

use connectrpc::{ConnectRpcService, DeadlinePolicy, Limits, Router};

use crate::filesystem::service::FilesystemService;
use crate::process::service::ProcessService;
use crate::proto::filesystem::FilesystemExt as _;
use crate::proto::process::ProcessExt as _;
use crate::sandbox::Sandbox;

/// Largest request message: bounds what one input chunk may carry.
const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;

/// Both services, as something that serves HTTP requests.
pub(super) fn connect(sandbox: &Arc<Sandbox>) -> ConnectRpcService<Router> {
    let router = Arc::new(ProcessService::new(Arc::clone(sandbox))).register(Router::new());
    let router = Arc::new(FilesystemService::new(Arc::clone(sandbox))).register(router);
    let limits = Limits::default()
        .with_max_request_body_size(MESSAGE_LIMIT)
        .with_max_message_size(MESSAGE_LIMIT);
    // The deadline of a stream ends the stream itself, not only its setup.
    ConnectRpcService::new(router)
        .with_limits(limits)
        .with_deadline_policy(DeadlinePolicy::new().with_enforce_on_streams(true))
}
