//! `silica images`: the images that this CLI carries, for whoever brings them along himself.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueEnum};

use crate::{
    cli::{context::Context, error::Error, exit::Exit},
    delivery::{
        bundle::{self, Architecture},
        by_hand, images,
    },
};

/// Flags of `silica images`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica images export --output silica-images.tar")]
pub struct ImagesArgs {
    #[command(subcommand)]
    pub command: ImagesCommand,
}

/// What to do with them.
#[derive(Clone, Debug, Subcommand)]
pub enum ImagesCommand {
    /// Write an archive that containerd, Docker, Podman and what is built on them load
    Export(ExportArgs),
}

/// Flags of `silica images export`.
#[derive(Args, Clone, Debug)]
#[command(after_help = format!(
    "Examples:\n  silica images export --output silica-images.tar\n  silica images export --output arm.tar \
     --architecture arm64\n\nThen load it, and install with --images none:\n{}",
    by_hand::describe(Path::new(by_hand::ARCHIVE))
))]
pub struct ExportArgs {
    /// File to write
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Architecture of the nodes
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    pub architecture: ArchitectureArg,
}

/// Architecture of the nodes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum ArchitectureArg {
    /// x86-64
    #[default]
    Amd64,
    /// AArch64
    Arm64,
}

/// Writes the archive.
pub fn run(context: &Context, args: &ImagesArgs) -> Result<Exit, Error> {
    let ImagesCommand::Export(args) = &args.command;
    let architecture = match args.architecture {
        ArchitectureArg::Amd64 => Architecture::Amd64,
        ArchitectureArg::Arm64 => Architecture::Arm64,
    };
    let bundle = bundle::unpack()?;
    let members = [&bundle.manager, &bundle.runtime];
    for member in members {
        member.of(architecture)?;
    }
    let failed = |source| Error::WriteFile {
        path: args.output.clone(),
        source,
    };
    let mut output = BufWriter::new(File::create(&args.output).map_err(failed)?);
    images::write(&members, architecture, &mut output)?;
    output.flush().map_err(failed)?;
    let references: Vec<String> = members.iter().map(|member| member.reference()).collect();
    context.printer.result(references.join("\n"))?;
    context.printer.info(format!(
        "Load them, and install with --images none:\n{}",
        by_hand::describe(&args.output)
    ));
    Ok(Exit::Success)
}
