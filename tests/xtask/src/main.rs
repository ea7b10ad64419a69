//! Starts `cargo xtask`. On a fresh machine this small program runs within seconds: it says what
//! the task will do, begins what takes longest, and compiles the program that does the rest.

mod plan;
mod prepare;

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use silica_provision::command::cargo;
use silica_provision::progress::Long;
use silica_provision::timeline::Timeline;
use silica_provision::workspace;
use xtask::cli::Arguments;

use plan::Plan;
use prepare::Preparation;

/// The program that carries tasks out.
const PROGRAM: &str = "silica-dev";

fn main() -> ExitCode {
    let plan = Plan::of(&Arguments::parse().task);
    run(&plan).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(plan: &Plan) -> Result<ExitCode> {
    let timeline = Timeline::begin(workspace::target().join("timeline"))?;
    for line in plan.lines()? {
        println!("{line}");
    }
    let preparation = plan.needs_node().then(|| Preparation::start(&timeline));
    let compiled = compile(&timeline, plan.is_long());
    let code = compiled.and_then(|program| {
        Command::new(&program)
            .args(env::args_os().skip(1))
            .envs([timeline.variable()])
            .status()
            .with_context(|| format!("failed to run {}", program.display()))
    });
    if let Some(preparation) = preparation {
        // Whoever needed a part has waited for it; after a failure nobody does.
        preparation.end(code.as_ref().is_ok_and(std::process::ExitStatus::success))?;
    }
    let code = code?;
    if plan.is_long() {
        print!(
            "\ntimeline (minute:second of the start, duration)\n{}",
            timeline.table()?
        );
    }
    // A program that a signal has ended has no code.
    let code = code.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Compiles the program with the features that the whole workspace needs, so that nothing is
/// compiled again for the tests and for what is installed.
fn compile(timeline: &Timeline, is_long: bool) -> Result<PathBuf> {
    let began = Instant::now();
    let long = is_long.then(|| Long::start("compiling the developer program with Cargo"));
    let status = cargo()
        .args(["build", "--quiet", "--workspace", "--bin", PROGRAM])
        .current_dir(workspace::root())
        .status()
        .context("failed to run cargo")?;
    drop(long);
    ensure!(status.success(), "failed to compile {PROGRAM}: {status}");
    timeline.add("developer program compiled", began.elapsed());
    // Cargo has put this program beside it.
    let here = env::current_exe().context("failed to find this program")?;
    Ok(here.with_file_name(PROGRAM))
}
