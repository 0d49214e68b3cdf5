//! The `vitrum` command, as a library for its program and for `fuzz/`. Nothing else may rely on it.

#![deny(unsafe_code)]

mod args;
mod bench;
mod bounded;
mod classifier;
mod commands;
mod container;
mod draw;
mod failure;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hub;
mod index;
mod inputs;
mod label_sets;
mod labels;
mod model;
mod name;
mod npy;
mod output;
mod picture;
mod progress;
mod text_file;
mod video;

use std::env;
use std::process::ExitCode;

use args::{Cli, Command, advice};
use failure::{Failure, Result};
use output::Output;

/// Runs the command with the arguments of this process.
pub fn main() -> ExitCode {
    output::interrupt::exit_without_memory();
    let cli = match args::parse(env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return advice::tell(&error),
    };
    match run(&cli) {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(Failure::Told(exit)) => ExitCode::from(exit as u8),
        Err(Failure::Message { exit, message, hint }) => {
            output::complain(&message, hint.as_deref());
            ExitCode::from(exit as u8)
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let mut output = Output::new(cli.json);
    let done = match &cli.command {
        Command::Demo(args) => commands::demo::run(args, &cli.machine, &mut output),
        Command::Classify(args) => commands::classify::run(args, &cli.machine, &mut output),
        Command::Embed(args) => commands::embed::run(args, &cli.machine, &mut output),
        Command::Similarity(args) => commands::similarity::run(args, &cli.machine, &mut output),
        Command::Segment(args) => commands::segment::run(args, &cli.machine, &mut output),
        Command::Everything(args) => commands::everything::run(args, &cli.machine, &mut output),
        Command::Track(args) => commands::track::run(args, &cli.machine, &mut output),
        Command::Index(args) => commands::index::run(args, &cli.machine, &mut output),
        Command::Search(args) => commands::search::run(args, &cli.machine, &mut output),
        Command::Info(args) => commands::info::run(args, &cli.machine, &mut output),
        Command::Quantize(args) => commands::quantize::run(args, &cli.machine, &mut output),
        Command::Bench(args) => bench::run(args, &cli.machine, &mut output),
        Command::Completions(args) => commands::completions::run(args, &mut output),
        Command::Man(args) => commands::man::run(args, &mut output),
    };
    // Results that were found before a failure are results.
    let flushed = output.flush();
    done.and(flushed)
}
