//! The product itself, so that `cargo test -p aileron-tests` always drives a current build of it.

fn main() -> std::process::ExitCode {
    aileron_cli::main()
}
