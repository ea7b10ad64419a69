//! `silica man`: manual pages, made from the same definitions as `--help`.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::{Cli, context::Context, error::Error, exit::Exit};

/// Flags of `silica man`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  silica man | man -l -
  silica man install | man -l -
  silica man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// The command to print the page of; the whole program when absent
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}

/// Prints one page, or writes all.
pub fn run(context: &Context, args: &ManArgs) -> Result<Exit, Error> {
    let mut root = Cli::command();
    root.build();
    if let Some(folder) = &args.dir {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::WriteFile { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let mut written = 0;
        for (name, command) in pages(&root) {
            let path = folder.join(format!("{name}.1"));
            let page = render(&name, command).map_err(failed(&path))?;
            std::fs::write(&path, page).map_err(failed(&path))?;
            written += 1;
        }
        context
            .printer
            .info(format!("{written} pages in {}", folder.display()));
        return Ok(Exit::Success);
    }
    let wanted = std::iter::once("silica")
        .chain(args.command.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("-");
    let all = pages(&root);
    let Some((name, command)) = all.into_iter().find(|(name, _)| *name == wanted) else {
        return Err(Error::NoPage {
            command: args.command.join(" "),
        });
    };
    let page = render(&name, command).map_err(Error::Page)?;
    context.printer.result(String::from_utf8_lossy(&page))?;
    Ok(Exit::Success)
}

/// Every command by the name of its page, such as `silica-certs-import`.
fn pages(root: &Command) -> Vec<(String, &Command)> {
    fn below<'a>(command: &'a Command, name: String, found: &mut Vec<(String, &'a Command)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            below(sub, format!("{name}-{}", sub.get_name()), found);
        }
        found.push((name, command));
    }
    let mut found = Vec::new();
    below(root, root.get_name().to_owned(), &mut found);
    found
}

fn render(name: &str, command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone())
        .title(name.to_uppercase())
        .render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_examples() {
        let mut root = Cli::command();
        root.build();
        let pages = pages(&root);
        assert!(pages.iter().any(|(name, _)| name == "silica-certs-import"));
        for (name, command) in pages {
            let page = String::from_utf8(render(&name, command).unwrap()).unwrap();
            assert!(page.contains(".SH NAME"), "{name}");
            assert!(name == "silica" || page.contains("Examples:"), "{name}");
        }
    }
}
