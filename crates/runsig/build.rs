//! Tells the linker which functions the usual calls execute, so that they lie side by side in the
//! binary: `hack/order` makes the list and says what it brings.

use std::path::Path;

fn main() {
    let order = Path::new(env!("CARGO_MANIFEST_DIR")).join("order.txt");
    println!("cargo::rerun-if-changed={}", order.display());
    println!("cargo::rerun-if-env-changed=RUNSIG_COMMIT");
    // The option is lld's, which Rust links with on this target unless told otherwise. Elsewhere the
    // program is the same, only laid out by chance.
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let lld = is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if lld && is("PROFILE", "release") && order.exists() {
        println!("cargo::rustc-link-arg-bins=-Wl,--symbol-ordering-file={}", order.display());
        println!("cargo::rustc-link-arg-bins=-Wl,--no-warn-symbol-ordering");
    }
}
