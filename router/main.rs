//! `xrouter`: runs the router, or asks the running one.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    xrouter::cli::main()
}
