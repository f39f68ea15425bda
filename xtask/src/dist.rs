//! `cargo xtask dist`: the static release build and what goes with it, in `target/dist/`.
//!
//! A statically linked binary starts in two thirds of the time of a dynamic one and runs on any distribution. That it
//! is static is checked twice, by `ldd` and in the file itself: a linker that ignores the wish says nothing.

mod elf;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::workspace::{Workspace, display, run_to_success};

/// What `aileron` is asked to print, and the file it goes to.
const PRINTED: [(&[&str], &str); 5] = [
    (&["completions", "bash"], "completions/aileron.bash"),
    (&["completions", "zsh"], "completions/_aileron"),
    (&["completions", "fish"], "completions/aileron.fish"),
    (&["completions", "powershell"], "completions/_aileron.ps1"),
    (&["man"], "man/aileron.1"),
];
/// What a program that lives for a millisecond does not need, said to those who would find it out at run time:
///
/// - getrandom looks for the C library's function, which a static program cannot find: it would open `/dev/random`, wait for
///   it, and read `/dev/urandom`, five system calls instead of one.
/// - sha2 asks the processor what it can do, and so does httparse ([`NO_SIMD`]). On a virtual machine each `cpuid` is a way
///   out of it and back (3.5 µs on the one that `bench client` was first run on); a handshake hashes a few hundred bytes.
const STATIC: [&str; 3] = [
    "-Ctarget-feature=+crt-static",
    "--cfg=getrandom_backend=\"linux_getrandom\"",
    "--cfg=sha2_backend=\"soft\"",
];
/// Relocations by the run of addresses instead of 24 bytes each: 110 kB less in the file, 8,000 instructions less at each start.
/// The program stays position independent. A static one relocates itself with the C library that it is linked with (glibc
/// from 2.36 knows them), so that where it runs makes no difference; that it runs at all is seen when [`PRINTED`] is.
const PACKED: &str = "-Clink-arg=-Wl,-z,pack-relative-relocs";
/// Functions of one machine code once: 28 kB. No part of the program compares the addresses of functions, of which Rust
/// promises nothing.
const FOLDED: &str = "-Clink-arg=-Wl,--icf=all";
/// Where rustc links with the lld that came with it, which can do that; the system's linker need not.
const LLD: &str = "x86_64-unknown-linux-gnu";
const NO_SIMD: (&str, &str) = ("CARGO_CFG_HTTPARSE_DISABLE_SIMD", "1");
const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// Builds, checks and collects.
///
/// # Errors
/// When the build fails, the binary needs a dynamic linker, or a file that belongs into the package is missing.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    build_static(workspace, &["--package", "aileron-cli", "--bin", "aileron"])?;
    let binary = release_dir(workspace)?.join("aileron");
    check_static(&binary)?;
    check_no_failpoints(&binary)?;
    check_no_paths(&binary)?;
    let dist = workspace.target_dir().join("dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("cannot clear `{}`", dist.display()))?;
    }
    let mut files = vec![copy(&binary, &dist.join("aileron"))?];
    for (arguments, name) in PRINTED {
        files.push(print_into(&binary, arguments, &dist.join(name))?);
    }
    for name in LICENCES {
        files.push(copy(&workspace.root().join(name), &dist.join(name))?);
    }
    for file in &files {
        let size = fs::metadata(file).with_context(|| format!("cannot look at `{}`", file.display()))?.len();
        println!("{size:>9}  {}", file.display());
    }
    Ok(())
}

/// Builds something as the package is built: statically linked. It goes to [`release_dir`].
///
/// With an explicit `--target`, the flag is for the product alone: procedural macros cannot be linked statically.
///
/// # Errors
/// When the build fails, as where the target's static C library is not installed.
pub(crate) fn build_static(workspace: &Workspace, what: &[&str]) -> Result<()> {
    let host = host_triple()?;
    let mut flags = STATIC.map(OsString::from).to_vec();
    flags.push(PACKED.into());
    if host == LLD && has_own_lld(&host)? {
        flags.push(FOLDED.into());
    }
    // A panic names a file of a crate, 170 of them in here, and is to name no directory of whoever built it.
    let mut remap = OsString::from("--remap-path-prefix=");
    remap.push(registry()?);
    remap.push("=");
    flags.push(remap);
    let mut command = workspace.cargo();
    command
        .args(["build", "--release", "--target", &host])
        .args(what)
        // The one that is separated by something that no path has; it goes before the other.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join(OsStr::new("\u{1f}")))
        .env(NO_SIMD.0, NO_SIMD.1);
    run_to_success(&mut command)
}

/// Whether this toolchain has brought that linker along: one of a distribution links with the system's.
fn has_own_lld(host: &str) -> Result<bool> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output();
    let said = output.context("cannot run `rustc --print sysroot`")?.stdout;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&said).trim());
    Ok(sysroot.join("lib/rustlib").join(host).join("bin/rust-lld").exists())
}

/// Where cargo keeps the sources of what is not ours.
fn registry() -> Result<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = named.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    Ok(home.context("cannot tell the home of cargo")?.join("registry").join("src"))
}

/// Where static builds are.
pub(crate) fn release_dir(workspace: &Workspace) -> Result<PathBuf> {
    Ok(workspace.target_dir().join(host_triple()?).join("release"))
}

fn host_triple() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run `rustc -vV`")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

fn check_static(binary: &Path) -> Result<()> {
    let bytes = fs::read(binary).with_context(|| format!("cannot read `{}`", binary.display()))?;
    let linkage =
        elf::linkage(&bytes).with_context(|| format!("cannot read the headers of `{}`", binary.display()))?;
    ensure!(linkage.is_static(), "`{}` is not static: {linkage:?}", binary.display());
    let said = Command::new("ldd").arg(binary).output().context("cannot run `ldd`")?;
    let words = [said.stdout, said.stderr].concat();
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    // glibc's ldd says the former of a position independent executable, the latter of any other.
    let agreed = ["statically linked", "not a dynamic executable"].iter().any(|text| words.contains(text));
    ensure!(agreed, "ldd says of `{}`: {words}", binary.display());
    println!("static: no interpreter, no needed library; ldd: {words}");
    Ok(())
}

/// A build with failpoints asks for a variable, whose name stands in the binary.
fn check_no_failpoints(binary: &Path) -> Result<()> {
    ensure!(
        !contains(binary, b"_FAILPOINT")?,
        "`{}` has failpoints: it can be told to kill itself",
        binary.display()
    );
    println!("no failpoints");
    Ok(())
}

fn check_no_paths(binary: &Path) -> Result<()> {
    let registry = registry()?;
    let found = contains(binary, registry.as_os_str().as_encoded_bytes())?;
    ensure!(!found, "`{}` names `{}`, which is of this machine", binary.display(), registry.display());
    println!("no path of this machine's crates");
    Ok(())
}

fn contains(binary: &Path, text: &[u8]) -> Result<bool> {
    let bytes = fs::read(binary).with_context(|| format!("cannot read `{}`", binary.display()))?;
    Ok(bytes.windows(text.len()).any(|window| window == text))
}

fn copy(from: &Path, to: &Path) -> Result<PathBuf> {
    make_parent(to)?;
    fs::copy(from, to).with_context(|| format!("cannot copy `{}` to `{}`", from.display(), to.display()))?;
    Ok(to.to_path_buf())
}

fn print_into(binary: &Path, arguments: &[&str], to: &Path) -> Result<PathBuf> {
    make_parent(to)?;
    let mut command = Command::new(binary);
    command.args(arguments).env_clear();
    let output = command.output().with_context(|| format!("cannot run `{}`", display(&command)))?;
    ensure!(output.status.success(), "`{}` failed: {}", display(&command), output.status);
    ensure!(!output.stdout.is_empty(), "`{}` printed nothing", display(&command));
    fs::write(to, output.stdout).with_context(|| format!("cannot write `{}`", to.display()))?;
    Ok(to.to_path_buf())
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().context("a path in the package has a parent")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))
}
