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
    let lld = is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if lld && is("PROFILE", "release") && order.exists() {
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", order.display());
    }
    // Where every function went, for hack/order.
    if let Ok(map) = std::env::var("RUNSIG_LINK_MAP") {
        println!("cargo::rustc-link-arg-bins=-Wl,--no-demangle,-Map={map}");
    }
}
