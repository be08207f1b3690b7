//! Tells the linker which code the usual calls execute, so that it lies side by side in the
//! binary: `hack/order` makes the list and says what it brings.

use std::path::Path;

fn main() {
    let order = Path::new(env!("CARGO_MANIFEST_DIR")).join("order.ld");
    println!("cargo::rerun-if-changed={}", order.display());
    println!("cargo::rerun-if-env-changed=RUNSIG_COMMIT");
    println!("cargo::rerun-if-env-changed=RUNSIG_LINK_MAP");
    // Made on x86-64 with lld, which Rust links with on that target. Elsewhere the program is the
    // same, only laid out by chance.
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("PROFILE", "release") && order.exists() {
        to_linker(&["-T", &order.display().to_string()]);
    }
    // Where every function went, for hack/order.
    if let Ok(map) = std::env::var("RUNSIG_LINK_MAP") {
        to_linker(&["--no-demangle", &format!("-Map={map}")]);
    }
}

/// For musl lld is called by rustc itself, for glibc by the C compiler.
fn to_linker(arguments: &[&str]) {
    let direct = std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl");
    if direct {
        for argument in arguments {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    } else {
        println!("cargo::rustc-link-arg-bins=-Wl,{}", arguments.join(","));
    }
}
