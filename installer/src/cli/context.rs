//! Runs one command under its time limit, and turns its end into an exit code.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::{
    cli::{
        Cli, Command, Global,
        error::Error,
        exit::Exit,
        report::{Output, Printer},
        signal,
    },
    cluster::{Cluster, Identity},
    commands,
};

/// What commands get beside their own flags.
pub struct Context {
    /// The global flags.
    pub global: Global,
    /// Where progress and results go.
    pub printer: Printer,
    /// When the time is up.
    pub deadline: Instant,
    /// When the command is ended, whatever it is at.
    pub limit: Limit,
}

impl Context {
    /// Connects to the cluster of the kubeconfig.
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        let Global {
            kubeconfig,
            context,
            as_user,
            as_groups,
            ..
        } = self.global.clone();
        let identity = as_user.map(|user| Identity {
            user,
            groups: as_groups,
        });
        Ok(Cluster::read_as(kubeconfig, context, identity).await?)
    }

    /// Asks before something is changed; `--yes` answers in advance.
    pub async fn confirm(&self, question: &str) -> Result<(), Error> {
        if self.global.yes {
            return Ok(());
        }
        let printer = self.printer.clone();
        let question = question.to_owned();
        let answer = tokio::task::spawn_blocking(move || printer.ask(&question)).await;
        match answer {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(Error::Declined),
            Ok(None) | Err(_) => Err(Error::CannotAsk),
        }
    }
}

/// How long after the time limit a command may take to say what it was waiting for.
const GRACE: Duration = Duration::from_secs(20);

/// The last moment of a command. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Limit(Arc<watch::Sender<Instant>>);

impl Limit {
    fn new(end: Instant) -> Self {
        Self(Arc::new(watch::Sender::new(end)))
    }

    /// Makes sure that there is time until `end`, for what must not be left half done.
    pub fn extend_to(&self, end: Instant) {
        self.0.send_if_modified(|present| {
            let is_later = end > *present;
            if is_later {
                *present = end;
            }
            is_later
        });
    }

    /// Returns when the last moment is over.
    async fn passed(&self) {
        let mut ends = self.0.subscribe();
        loop {
            let end = *ends.borrow_and_update();
            tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                // We hold the sender, so this never fails.
                _ = ends.changed() => {}
            }
        }
    }
}

/// Runs the command.
pub fn run(cli: Cli) -> Exit {
    let printer = Printer::new(cli.command.output());
    let failed = |error: &Error| {
        printer.failure(error);
        error.exit()
    };
    // Only fails when a provider was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(source) => return failed(&Error::Runtime(source)),
    };
    let timeout = cli.global.timeout + cli.command.extra_time();
    let outcome = runtime.block_on(async {
        let deadline = Instant::now() + timeout;
        let limit = Limit::new(deadline + GRACE);
        let context = Context {
            global: cli.global,
            printer: printer.clone(),
            deadline,
            limit: limit.clone(),
        };
        let interruption = signal::watch();
        tokio::select! {
            outcome = dispatch(&context, cli.command) => outcome,
            () = limit.passed() => Err(Error::TimedOut { phase: printer.phase() }),
            signal = interruption => Err(Error::Interrupted { signal, phase: printer.phase() }),
        }
    });
    // A thread that still waits for an answer on the terminal must not hold us.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit,
        Err(error) => failed(&error),
    }
}

/// Prints help or a version, which somebody asked for instead of a run.
pub fn show(help: &clap::Error) -> Exit {
    let printer = Printer::new(Output::Text);
    match printer.result(help.render().ansi()) {
        Ok(()) => Exit::Success,
        Err(error) => {
            printer.failure(&error);
            error.exit()
        }
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<Exit, Error> {
    match command {
        Command::Install(args) => Box::pin(commands::install::run(context, &args)).await,
        Command::Check(args) => Box::pin(commands::check::run(context, &args)).await,
        Command::Config(args) => Box::pin(commands::config::run(context, &args)).await,
        Command::Uninstall(args) => Box::pin(commands::uninstall::run(context, &args)).await,
        Command::Status(args) => commands::status::run(context, &args).await,
        Command::Doctor(args) => Box::pin(commands::doctor::run(context, &args)).await,
        Command::Support(args) => Box::pin(commands::support::run(context, &args)).await,
        Command::Render(args) => Box::pin(commands::render::run(context, &args)).await,
        Command::Images(args) => commands::images::run(context, &args),
        Command::Rbac(args) => Box::pin(commands::rbac::run(context, &args)).await,
        Command::RotateCerts(args) => commands::rotate_certs::run(context, &args).await,
        Command::VerifyDns(args) => commands::verify_dns::run(context, &args).await,
        Command::Certs(args) => commands::certs::run(context, &args).await,
        Command::Env(args) => commands::env::run(context, &args).await,
        Command::Completions(args) => commands::completions::run(context, &args),
        Command::Man(args) => commands::man::run(context, &args),
        Command::Version(args) => commands::version::run(context, &args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_moment_moves_back_and_never_forward() {
        let start = Instant::now();
        let limit = Limit::new(start + Duration::from_millis(20));
        let extended = limit.clone();
        tokio::join!(limit.passed(), async move {
            extended.extend_to(start + Duration::from_millis(120));
            extended.extend_to(start);
        });
        assert!(start.elapsed() >= Duration::from_millis(120));
    }
}
