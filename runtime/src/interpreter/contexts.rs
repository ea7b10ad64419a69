//! The contexts that clients can name, each with a kernel of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

use super::execution::{self, Cell, KEEPALIVE, Lines};
use super::kernel::{Kernel, KernelError, KernelPlan, KernelProcess};
use super::language::Language;
use super::launch::KernelProgram;
use super::line::Line;
use super::message::random_hex;
use crate::blocking::blocking;
use crate::filesystem::path::resolve;
use crate::process::compose_env;
use crate::sandbox::Sandbox;

/// Lines that may wait for a slow client.
const QUEUE: usize = 16;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// All contexts of the sandbox.
pub struct Interpreter {
    pub(super) sandbox: Arc<Sandbox>,
    /// In order of creation.
    contexts: Mutex<Vec<Arc<Context>>>,
}

/// One context.
pub(super) struct Context {
    pub id: String,
    pub language: Language,
    /// As requested; `None` is the home directory.
    cwd: Option<String>,
    /// Used for requests that name no context.
    is_default: bool,
    /// Held while a cell runs: cells of one context never overlap.
    kernel: tokio::sync::Mutex<Option<Kernel>>,
    /// To end the kernel while a cell runs.
    process: Mutex<Option<KernelProcess>>,
}

/// A context as clients see it.
#[derive(Debug, Serialize)]
pub(super) struct ContextInfo {
    id: String,
    language: &'static str,
    cwd: String,
}

impl Interpreter {
    /// The interpreter with its default contexts; no kernel runs yet.
    pub fn new(sandbox: Arc<Sandbox>) -> Self {
        let defaults = [Language::Python, Language::Javascript];
        let contexts = defaults
            .map(|language| Arc::new(Context::new(language, None, true)))
            .into();
        Self {
            sandbox,
            contexts: Mutex::new(contexts),
        }
    }

    /// Starts the default Python kernel in the background, so that the first cell finds it running.
    pub fn prestart(self: &Arc<Self>) {
        let interpreter = Arc::clone(self);
        tokio::spawn(async move {
            let Some(context) = interpreter.find_default(Language::Python) else {
                return;
            };
            let mut slot = context.kernel.lock().await;
            if slot.is_none() {
                match interpreter.launch(&context).await {
                    Ok(kernel) => *slot = Some(kernel),
                    Err(error) => tracing::info!(%error, "no python kernel was started in advance"),
                }
            }
        });
    }

    pub(super) fn list(&self) -> Vec<ContextInfo> {
        self.lock().iter().map(|context| self.info(context)).collect()
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Context>> {
        self.lock().iter().find(|context| context.id == id).cloned()
    }

    fn find_default(&self, language: Language) -> Option<Arc<Context>> {
        self.lock()
            .iter()
            .find(|context| context.is_default && context.language == language)
            .cloned()
    }

    /// The default context of a language, created on first use.
    pub(super) fn default_context(&self, language: Language) -> Arc<Context> {
        self.find_default(language).unwrap_or_else(|| {
            let context = Arc::new(Context::new(language, None, true));
            self.lock().push(Arc::clone(&context));
            context
        })
    }

    /// Creates a context whose kernel runs.
    pub(super) async fn create(
        &self,
        language: Language,
        cwd: Option<String>,
    ) -> Result<ContextInfo, KernelError> {
        let context = Context::new(language, cwd, false);
        self.check_cwd(&context).await?;
        let kernel = self.launch(&context).await?;
        *context.kernel.lock().await = Some(kernel);
        let info = self.info(&context);
        self.lock().push(Arc::new(context));
        Ok(info)
    }

    /// Forgets a context and ends its kernel.
    pub(super) fn remove(&self, id: &str) -> bool {
        let mut contexts = self.lock();
        let Some(index) = contexts.iter().position(|context| context.id == id) else {
            return false;
        };
        contexts.remove(index).kill();
        true
    }

    /// Gives a context a fresh kernel.
    pub(super) async fn restart(&self, context: &Context) -> Result<(), KernelError> {
        // Ends a running cell, which then releases the kernel.
        context.kill();
        let mut slot = context.kernel.lock().await;
        *slot = None;
        *slot = Some(self.launch(context).await?);
        Ok(())
    }

    /// Starts running a cell; its lines end with [`Line::End`].
    pub(super) async fn execute(
        self: Arc<Self>,
        context: Arc<Context>,
        code: String,
        env: BTreeMap<String, String>,
    ) -> Result<mpsc::Receiver<Bytes>, KernelError> {
        // A missing kernel is an error of the request; a busy one is waited for below.
        if let Ok(mut slot) = context.kernel.try_lock()
            && slot.is_none()
        {
            *slot = Some(self.launch(&context).await?);
        }
        let (lines, receiver) = mpsc::channel(QUEUE);
        let cell = Cell {
            language: context.language,
            code,
            global_env: self.sandbox.settings().env,
            env,
        };
        tokio::spawn(async move { self.run(&context, &cell, &lines).await });
        Ok(receiver)
    }

    async fn run(&self, context: &Context, cell: &Cell, lines: &Lines) {
        let Some(mut slot) = wait_for_turn(context, lines).await else {
            return;
        };
        if slot.is_none() {
            *slot = self.launch(context).await.ok();
        }
        let result = match slot.as_mut() {
            Some(kernel) => execution::run(kernel, cell, lines).await,
            None => Err(KernelError::Gone),
        };
        if result.is_err() {
            // The next cell gets a fresh kernel.
            *slot = None;
            context.set_process(None);
            let line = Line::failure(
                "ContextRestarting",
                "the kernel ended or was restarted while the code ran",
            );
            // The client may be gone.
            let _ = lines.send(line.render()).await;
        }
        let _ = lines.send(Line::End.render()).await;
    }

    async fn launch(&self, context: &Context) -> Result<Kernel, KernelError> {
        let language = context.language;
        let program = KernelProgram::find(language, &self.sandbox.reaper).await;
        let program = program.ok_or(KernelError::NotInstalled(language.name()))?;
        let settings = self.sandbox.settings();
        let account = self.sandbox.account(None)?;
        let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
        let plan = KernelPlan {
            program,
            env: compose_env(&path, &account, &settings.env, &BTreeMap::new()),
            cwd: self.cwd(context),
            account,
        };
        let kernel = Kernel::launch(plan, settings.env, &self.sandbox.reaper).await?;
        context.set_process(Some(kernel.process()));
        Ok(kernel)
    }

    /// Refuses a directory that the client named and that does not exist.
    async fn check_cwd(&self, context: &Context) -> Result<(), KernelError> {
        let Some(named) = context.cwd.clone().filter(|named| !named.is_empty()) else {
            return Ok(());
        };
        let path = self.cwd(context);
        if blocking(move || path.is_dir()).await == Ok(true) {
            Ok(())
        } else {
            Err(KernelError::NoDirectory(named))
        }
    }

    fn cwd(&self, context: &Context) -> PathBuf {
        let home = self
            .sandbox
            .account(None)
            .map_or_else(|_| PathBuf::from("/"), |account| account.home);
        let workdir = self.sandbox.settings().default_workdir;
        resolve(
            context.cwd.as_deref().unwrap_or_default(),
            &home,
            workdir.as_deref().map(Path::new),
        )
    }

    fn info(&self, context: &Context) -> ContextInfo {
        ContextInfo {
            id: context.id.clone(),
            language: context.language.name(),
            cwd: self.cwd(context).to_string_lossy().into_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Context>>> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    fn new(language: Language, cwd: Option<String>, is_default: bool) -> Self {
        Self {
            id: render_uuid(&random_hex()),
            language,
            cwd,
            is_default,
            kernel: tokio::sync::Mutex::default(),
            process: Mutex::default(),
        }
    }

    fn kill(&self) {
        if let Some(process) = &*self.process.lock().unwrap_or_else(PoisonError::into_inner) {
            process.kill();
        }
    }

    fn set_process(&self, process: Option<KernelProcess>) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }
}

/// Waits until earlier cells of the context are done; `None` when the client went away meanwhile.
async fn wait_for_turn<'a>(context: &'a Context, lines: &Lines) -> Option<KernelSlot<'a>> {
    let mut turn = std::pin::pin!(context.kernel.lock());
    loop {
        tokio::select! {
            slot = &mut turn => return Some(slot),
            () = lines.closed() => return None,
            () = tokio::time::sleep(KEEPALIVE) => {
                // A client that is gone is noticed above.
                let _ = lines.send(Line::Keepalive.render()).await;
            }
        }
    }
}

type KernelSlot<'a> = tokio::sync::MutexGuard<'a, Option<Kernel>>;

/// 32 hexadecimal digits in the groups of a UUID.
fn render_uuid(hex: &str) -> String {
    let groups = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    groups
        .map(|(start, end)| hex.get(start..end).unwrap_or_default())
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_uuids() {
        assert_eq!(
            render_uuid("00112233445566778899aabbccddeeff"),
            "00112233-4455-6677-8899-aabbccddeeff"
        );
    }
}
