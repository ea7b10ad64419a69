//! `cargo xtask build`.

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cargo xtask build && target/silica/bin/silica version
  cargo xtask build --arch arm64     # a silica that serves nodes of both architectures
  cargo xtask test release           # build, and prove the result on a local cluster

`silica` carries `sandbox-manager`, `sandbox-runtime` and `silica-loader` inside: it is the only file to distribute.
The whole program is optimised at link time, which takes about ten minutes on two cores.")]
pub struct Arguments {
    /// Build what `silica` carries for this architecture, too, with a cross compiler from Debian packages; `silica` itself stays one for x86-64.
    #[arg(long, value_enum, value_name = "NAME")]
    pub arch: Option<More>,
}

/// An architecture beside that of this machine.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum More {
    /// AArch64
    Arm64,
}
