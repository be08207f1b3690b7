//! How new the runtime under test is: the suite follows runc's main branch, and the runc at hand may be older.

use std::sync::OnceLock;

use crate::case::skip;
use crate::runtime::Runtime;

/// The numbers of a version, compared from the left.
type Numbers = Vec<u32>;

/// The name of the runtime, and the version it says it has.
fn of_runtime() -> &'static (String, Numbers) {
    static OF_RUNTIME: OnceLock<(String, Numbers)> = OnceLock::new();
    OF_RUNTIME.get_or_init(|| {
        let runtime = Runtime::new();
        let said = runtime.call(&["--version"]);
        let first = said.stdout.lines().next().unwrap_or_default();
        (runtime.kind(), numbers(first.rsplit(' ').next().unwrap_or_default()))
    })
}

fn numbers(version: &str) -> Numbers {
    let plain = version.split(['+', '-', '~']).next().unwrap_or_default();
    plain.split('.').map_while(|part| part.parse().ok()).collect()
}

/// Whether the runtime does what runc does since `version`. Only runc's own numbers tell: every other
/// runtime is held to all of it.
#[must_use]
pub fn at_least(version: &str) -> bool {
    let (kind, has) = of_runtime();
    kind != "runc" || *has >= numbers(version)
}

/// Skips when the runtime is a runc older than `version`.
pub fn since(version: &str, what: &str) {
    if !at_least(version) {
        skip(format!("{what}: runc has it since {version}"));
    }
}
