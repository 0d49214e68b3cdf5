//! The `vitrum` command.

fn main() -> std::process::ExitCode {
    vitrum_cli::main()
}
