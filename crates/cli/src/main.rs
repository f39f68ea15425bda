//! The `aileron` binary.

fn main() -> std::process::ExitCode {
    aileron_cli::main()
}
