//! `vitrum man`.

use std::fs;
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde::Serialize;

use crate::args::{Cli, ManArgs};
use crate::failure::{Failure, Result};
use crate::output::{self, Output};

/// Prints a page, or writes all pages into a directory and prints their names.
pub(crate) fn run(args: &ManArgs, output: &mut Output) -> Result<()> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    if let Some(directory) = &args.output {
        return write_all(&root, directory, output);
    }
    let command = match &args.command {
        None => &root,
        Some(name) => root.find_subcommand(name).ok_or_else(|| {
            let names: Vec<_> = root.get_subcommands().map(Command::get_name).collect();
            Failure::usage(format!("no command {name:?}")).hint(format!("the commands: {}", names.join(", ")))
        })?,
    };
    let page = page(command).map_err(|error| Failure::unwritable("the page", &error))?;
    output.line(String::from_utf8_lossy(&page).trim_end())
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = concat!("vitrum ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).manual("User Commands").render(&mut page)?;
    Ok(page)
}

fn write_all(root: &Command, directory: &Path, output: &mut Output) -> Result<()> {
    #[derive(Serialize)]
    struct Written<'a> {
        written: &'a str,
    }
    fs::create_dir_all(directory).map_err(|error| Failure::unwritable(directory.display(), &error))?;
    for command in std::iter::once(root).chain(root.get_subcommands()) {
        let path = directory.join(Man::new(command.clone()).get_filename());
        output::create(&path, |out| io::Write::write_all(out, &page(command)?))?;
        if output.json() {
            output.object(&Written { written: &path.to_string_lossy() })?;
        } else {
            output.line(format_args!("written: {}", path.display()))?;
        }
    }
    Ok(())
}
