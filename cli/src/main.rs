//! The `vitrum` command.

use std::alloc::System;

use vitrum::exec::WithReserve;

#[global_allocator]
static ALLOCATOR: WithReserve<System> = WithReserve(System);

fn main() -> std::process::ExitCode {
    vitrum_cli::main()
}
