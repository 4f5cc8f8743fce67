//! The benchmarks. `cargo bench -- --help` lists them.

use std::process::ExitCode;

mod bench;

fn main() -> ExitCode {
    bench::main(std::env::args_os())
}
