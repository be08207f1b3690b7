//! Builds the container's init, a program of its own, so that the runtime can embed it.
//!
//! The init has no standard library and is linked in its own way, so a second cargo builds it, in
//! a target directory of its own (the outer build holds the lock of the first), always with the
//! `init` profile: its size decides what each container costs.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the outer build has set for its own compilers and what must not reach the inner one:
/// clippy's and coverage's wrappers, sanitizers' flags, another target directory.
const NOT_FOR_THE_INIT: &[&str] = &[
    "RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_TARGET",
];

/// A program at a fixed address: nothing to relocate when it starts.
const RUSTFLAGS: &str = "-Crelocation-model=static\x1f-Ctarget-feature=+crt-static";

fn main() -> Result<(), Box<dyn Error>> {
    let workspace = PathBuf::from(var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    for source in
        ["crates/runsig-init", "crates/runsig-proto", "crates/runsig-sys", "Cargo.toml", "Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    // It has no C library, so it does not matter which one its target is about, but for the files that
    // a compiler for musl would link without being asked.
    let target = var("TARGET")?.into_string().map_err(|_| "TARGET is not UTF-8")?.replace("-musl", "-gnu");
    let out = PathBuf::from(var("OUT_DIR")?).join("init");
    build(&workspace, &target, &out)?;
    let program = out.join(&target).join("init/runsig-init");
    println!("cargo::rustc-env=RUNSIG_INIT_PATH={}", program.display());
    Ok(())
}

fn build(workspace: &Path, target: &str, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut cargo = Command::new(var("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["build", "--package", "runsig-init", "--bin", "runsig-init"])
        .args(["--features", "freestanding", "--profile", "init", "--target"])
        .arg(target)
        .arg("--target-dir")
        .arg(out)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS);
    if workspace.join("Cargo.lock").exists() {
        cargo.arg("--locked");
    }
    for name in NOT_FOR_THE_INIT {
        cargo.env_remove(name);
    }
    let status = cargo.status()?;
    if status.success() { Ok(()) } else { Err(format!("building runsig-init: {status}").into()) }
}

fn var(name: &str) -> Result<OsString, Box<dyn Error>> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set").into())
}
