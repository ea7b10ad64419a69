//! `cargo xtask fuzz`.

/// Arguments of `fuzz`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask fuzz                       # every target, a minute each
  cargo xtask fuzz sealed --seconds 600

New inputs are kept in target/silica/fuzz. One that fails is named; put it into
installer/certs/fuzz/corpus/TARGET, and every test run tries it from then on.")]
pub struct Arguments {
    /// Target, as installer/certs/fuzz/fuzz_targets has it; all of them when absent.
    pub target: Option<String>,
    /// How long to search in each target, building not counted.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
}
