//! Runs one command under its time limit, and turns its end into an exit code.

use std::time::Duration;

use crate::{
    cli::{Cli, Command, Global},
    cluster::Cluster,
    commands,
    error::Error,
    exit::Exit,
    report::{Output, Printer},
    signal,
};

/// What commands get beside their own flags.
pub struct Context {
    /// The global flags.
    pub global: Global,
    /// Where progress and results go.
    pub printer: Printer,
    /// When the time is up.
    pub deadline: tokio::time::Instant,
}

impl Context {
    /// Connects to the cluster of the kubeconfig.
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        Ok(Cluster::read(self.global.kubeconfig.clone(), self.global.context.clone()).await?)
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

/// How long after the time limit a command may take to put the former installation back,
/// and to say what it was waiting for.
const GRACE: Duration = Duration::from_secs(20);

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
        let deadline = tokio::time::Instant::now() + timeout;
        let context = Context { global: cli.global, printer: printer.clone(), deadline };
        let interruption = signal::watch();
        tokio::select! {
            outcome = dispatch(&context, cli.command) => outcome,
            () = tokio::time::sleep_until(deadline + GRACE) => Err(Error::TimedOut { phase: printer.phase() }),
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
        Command::Render(args) => Box::pin(commands::render::run(context, &args)).await,
        Command::Images(args) => commands::images::run(context, &args),
        Command::Rbac(args) => commands::rbac::run(context, &args),
        Command::RotateCerts(args) => commands::rotate_certs::run(context, &args).await,
        Command::VerifyDns(args) => commands::verify_dns::run(context, &args).await,
        Command::Certs(args) => commands::certs::run(context, &args).await,
        Command::Env(args) => commands::env::run(context, &args).await,
        Command::Completions(args) => commands::completions::run(context, &args),
        Command::Man(args) => commands::man::run(context, &args),
        Command::Version(args) => commands::version::run(context, &args).await,
    }
}
