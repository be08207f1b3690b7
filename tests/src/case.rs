//! What a test is: a name, a view of the cgroups and a body that panics when it fails.

use std::panic::panic_any;
use std::time::Duration;

use crate::runtime::Runtime;

/// The cgroups a test sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// As the machine has them (v1, v2 or hybrid).
    Host,
    /// cgroup v2 alone.
    V2,
    /// cgroup v1 alone.
    V1,
    /// As the machine has them, in its own PID namespace: whoever talks to systemd has to have a number
    /// that systemd knows. Only in the guest of `hack/vm`, which dies with what tests forget.
    Guest,
    /// cgroup v2 alone, with a systemd of the test's own.
    Systemd,
    /// v1 controllers and a v2 hierarchy without, with a systemd of the test's own.
    SystemdHybrid,
}

/// One test.
#[derive(Clone, Copy)]
pub struct Case {
    /// `area::function`.
    pub name: &'static str,
    /// The cgroups it sees.
    pub view: View,
    /// How long it may take.
    pub limit: Duration,
    /// The test; it fails by panicking.
    pub body: fn(),
}

impl Case {
    /// The name with the view, as `--list` shows it.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}@{}", self.name, format!("{:?}", self.view).to_lowercase())
    }

    /// The same test with another limit.
    #[must_use]
    pub const fn within(mut self, seconds: u64) -> Case {
        self.limit = Duration::from_secs(seconds);
        self
    }
}

/// Lists tests: `cases![V2 "verbs": create, start; V1 "verbs": create]`.
#[macro_export]
macro_rules! cases {
    ($($view:ident $area:literal: $($name:ident),+ $(,)?);+ $(;)?) => {
        &[$($($crate::Case {
            name: concat!($area, "::", stringify!($name)),
            view: $crate::View::$view,
            limit: ::std::time::Duration::from_secs(60),
            body: $name,
        },)+)+]
    };
}

/// What a skipping test panics with.
pub(crate) struct Skipped(pub(crate) String);

/// Ends the test as skipped: it cannot run here, and says why.
pub fn skip(why: impl Into<String>) -> ! {
    panic_any(Skipped(why.into()))
}

/// Skips unless the runtime under test is Runsig.
pub fn require_runsig(why: &str) {
    let runtime = Runtime::path();
    if Runtime::kind_of(&runtime) != "runsig" {
        skip(format!("{why} (runtime under test: {})", runtime.display()));
    }
}

/// Skips unless the command is installed.
pub fn require_command(name: &str) {
    if crate::runtime::find_in_path(name).is_none() {
        skip(format!("{name} is not installed"));
    }
}
