//! State that every part of the daemon shares.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use silica_runtime_api::{InitRequest, SANDBOX_USER};

use crate::access::Access;
use crate::account::{Account, AccountError, account_exists};
use crate::freeze::Freezer;
use crate::process::{Processes, Reaper};
use crate::usage::Recorder;

/// The sandbox as the daemon knows it.
pub struct Sandbox {
    /// Who may talk to the daemon.
    pub access: Access,
    /// Processes started through the API.
    pub processes: Processes,
    /// Starts children and collects their exits.
    pub reaper: Arc<Reaper>,
    /// Stops and continues everything.
    pub freezer: Arc<Freezer>,
    /// What the sandbox uses.
    pub usage: Recorder,
    /// User of requests that name none, from the daemon's environment.
    boot_user: Option<String>,
    settings: RwLock<Settings>,
}

/// What `POST /init` sets.
#[derive(Clone, Default)]
pub struct Settings {
    /// Global environment variables.
    pub env: Arc<BTreeMap<String, String>>,
    /// Counts changes of `env`, so that interpreters see when theirs is old.
    pub env_version: u64,
    /// User of requests that name none.
    pub default_user: Option<String>,
    /// Working directory of commands that name none.
    pub default_workdir: Option<String>,
    last_init: Option<Timestamp>,
}

impl Sandbox {
    /// A sandbox before its first initialisation.
    pub fn new(access: Access, reaper: Arc<Reaper>, boot_user: Option<String>) -> Self {
        let env = Arc::new(BTreeMap::from([("E2B_SANDBOX".to_owned(), "true".to_owned())]));
        let settings = RwLock::new(Settings {
            env,
            ..Settings::default()
        });
        Self {
            access,
            processes: Processes::default(),
            reaper,
            freezer: Arc::default(),
            usage: Recorder::default(),
            boot_user,
            settings,
        }
    }

    /// A consistent copy of the settings.
    pub fn settings(&self) -> Settings {
        self.settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Applies an initialisation that is allowed; an outdated one changes nothing.
    pub fn apply_init(&self, request: InitRequest) {
        let timestamp = request
            .timestamp
            .as_deref()
            .and_then(|text| text.parse::<Timestamp>().ok());
        {
            let mut settings = self.settings.write().unwrap_or_else(PoisonError::into_inner);
            if let (Some(last), Some(new)) = (settings.last_init, timestamp)
                && new < last
            {
                return;
            }
            settings.last_init = timestamp.or(settings.last_init);
            if let Some(mut env) = request.env_vars {
                env.entry("E2B_SANDBOX".to_owned())
                    .or_insert_with(|| "true".to_owned());
                settings.env = Arc::new(env);
                settings.env_version += 1;
            }
            settings.default_user = request.default_user.or(settings.default_user.take());
            settings.default_workdir = request.default_workdir.or(settings.default_workdir.take());
        }
        if let Some(token) = request.access_token {
            self.access.set_token(&token);
        }
    }

    /// The user that a request acts as: the one it names, or the default.
    pub fn account(&self, requested: Option<&str>) -> Result<Account, AccountError> {
        if let Some(name) = requested.filter(|name| !name.is_empty()) {
            return Account::read(name);
        }
        let settings = self.settings();
        match settings
            .default_user
            .as_ref()
            .or(self.boot_user.as_ref())
            .filter(|name| !name.is_empty())
        {
            Some(name) => Account::read(name),
            None if account_exists(SANDBOX_USER) => Account::read(SANDBOX_USER),
            None => Account::read("root"),
        }
    }
}
