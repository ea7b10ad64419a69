//! Runs one cell and reports what happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::env::{Changes, plan_changes, plan_reset, render_changes};
use super::kernel::{Kernel, KernelError};
use super::language::Language;
use super::line::Line;
use super::message::{Message, execute_request};
use super::mime::choose_fields;
use super::progress::{Progress, render_error};

/// Silence after which a keep-alive is sent.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long an interrupted cell may take to end before its kernel is killed.
const INTERRUPT_PATIENCE: Duration = Duration::from_secs(5);
/// How long an idle kernel's reply may be on its way; it comes on a connection of its own.
const REPLY_PATIENCE: Duration = Duration::from_secs(2);
/// Repetition of the interrupt: user code may swallow one.
const INTERRUPT_RETRY: Duration = Duration::from_secs(1);

/// Where lines go; closed when the client is gone.
pub(super) type Lines = mpsc::Sender<Bytes>;

/// One cell to run.
pub(super) struct Cell {
    pub language: Language,
    pub code: String,
    /// Global variables as they are now.
    pub global_env: Arc<BTreeMap<String, String>>,
    /// Variables of this cell only.
    pub env: BTreeMap<String, String>,
}

/// Runs a cell in a kernel that is at rest. After an error the kernel is useless.
pub(super) async fn run(kernel: &mut Kernel, cell: &Cell, lines: &Lines) -> Result<(), KernelError> {
    if *kernel.global_env != *cell.global_env {
        let changes = plan_changes(&kernel.global_env, &cell.global_env);
        change_env(kernel, cell.language, &changes).await?;
        kernel.global_env = Arc::clone(&cell.global_env);
    }
    if cell.env.is_empty() {
        return run_code(kernel, &cell.code, lines).await;
    }
    let changes = cell
        .env
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect();
    change_env(kernel, cell.language, &changes).await?;
    run_code(kernel, &cell.code, lines).await?;
    let mut base = kernel.launch_env.clone();
    base.extend(
        cell.global_env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    change_env(kernel, cell.language, &plan_reset(&cell.env, &base)).await
}

/// Changes the environment with a request of its own, so that neither the
/// numbering nor the indentation of the user's cell suffers.
async fn change_env(kernel: &mut Kernel, language: Language, changes: &Changes) -> Result<(), KernelError> {
    let Some(code) = render_changes(language, changes).filter(|_| !changes.is_empty()) else {
        return Ok(());
    };
    let id = kernel
        .request("execute_request", &execute_request(&code, true))
        .await?;
    let mut progress = Progress::default();
    while !progress.is_complete() {
        let patience = if progress.is_idle() {
            REPLY_PATIENCE
        } else {
            INTERRUPT_PATIENCE
        };
        match timeout(patience, kernel.next()).await {
            Ok(message) => {
                let message = message?;
                if message.parent == id {
                    progress.advance(&message);
                }
            }
            Err(_) if progress.is_idle() => break,
            Err(_) => return Err(KernelError::Gone),
        }
    }
    Ok(())
}

async fn run_code(kernel: &mut Kernel, code: &str, lines: &Lines) -> Result<(), KernelError> {
    let id = kernel
        .request("execute_request", &execute_request(code, false))
        .await?;
    let mut progress = Progress::default();
    let mut failed = false;
    let mut idle_since = None;
    while !progress.is_complete() {
        let reply_due = idle_since.map(|since| since + REPLY_PATIENCE);
        tokio::select! {
            message = kernel.next() => {
                let message = message?;
                if message.parent != id {
                    continue;
                }
                progress.advance(&message);
                if progress.is_idle() {
                    idle_since = idle_since.or(Some(Instant::now()));
                }
                if let Some(line) = translate(message) {
                    let is_error = matches!(line, Line::Error { .. });
                    // Only the first error counts. A client that is gone is noticed below.
                    if !(is_error && failed) {
                        let _ = lines.send(line.render()).await;
                    }
                    failed |= is_error;
                }
            }
            () = lines.closed() => return interrupt(kernel, &id, progress).await,
            () = sleep_until(reply_due.unwrap_or_else(Instant::now)), if reply_due.is_some() => break,
            () = sleep_until(Instant::now() + KEEPALIVE) => {
                let _ = lines.send(Line::Keepalive.render()).await;
            }
        }
    }
    if !failed && let Some(line) = progress.failure() {
        let _ = lines.send(line.render()).await;
    }
    Ok(())
}

/// Brings the kernel to rest after its client went away.
async fn interrupt(kernel: &mut Kernel, id: &str, mut progress: Progress) -> Result<(), KernelError> {
    if progress.is_idle() {
        return Ok(());
    }
    let deadline = Instant::now() + INTERRUPT_PATIENCE;
    while Instant::now() < deadline {
        kernel.process().interrupt();
        let retry = (Instant::now() + INTERRUPT_RETRY).min(deadline);
        while let Ok(message) = tokio::time::timeout_at(retry, kernel.next()).await {
            let message = message?;
            if message.parent == id {
                progress.advance(&message);
            }
            if progress.is_idle() {
                return Ok(());
            }
        }
    }
    Err(KernelError::Gone)
}

/// The lines that a message of the kernel stands for.
fn translate(message: Message) -> Option<Line> {
    let content = message.content;
    let text = |name: &str| content[name].as_str().unwrap_or_default().to_owned();
    Some(match message.kind.as_str() {
        "execute_input" => Line::NumberOfExecutions(content["execution_count"].as_i64()?),
        "stream" if content["name"] == "stderr" => Line::Stderr(text("text")),
        "stream" => Line::Stdout(text("text")),
        "execute_result" => Line::Result {
            fields: choose_fields(&content["data"]),
            is_main: true,
        },
        "display_data" => Line::Result {
            fields: choose_fields(&content["data"]),
            is_main: false,
        },
        "error" => render_error(&content),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(kind: &str, content: Value) -> Message {
        Message {
            kind: kind.to_owned(),
            parent: "p".to_owned(),
            content,
        }
    }

    #[test]
    fn messages_become_lines() {
        assert_eq!(
            translate(message("execute_input", json!({"execution_count": 3}))),
            Some(Line::NumberOfExecutions(3))
        );
        assert_eq!(
            translate(message("stream", json!({"name": "stderr", "text": "x"}))),
            Some(Line::Stderr("x".into()))
        );
        let error = json!({"ename": "E", "evalue": "v", "traceback": ["a", "b"]});
        assert_eq!(
            translate(message("error", error)),
            Some(Line::Error {
                name: "E".into(),
                value: "v".into(),
                traceback: "a\nb".into()
            })
        );
        assert_eq!(translate(message("clear_output", json!({}))), None);
    }
}
