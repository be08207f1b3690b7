//! Waiting with a deadline: never for ever, never by a fixed sleep.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::needs;

/// How long anything may take that should be immediate on an idle machine.
pub const SOON: Duration = Duration::from_secs(10);

/// Waits until `condition` holds; false when it did not within `limit`.
pub fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit * needs::patience();
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
}

/// Waits until `condition` holds and fails the test, naming `what`, when it does not soon.
pub fn expect(what: &str, condition: impl FnMut() -> bool) {
    assert!(until(SOON, condition), "waited {SOON:?} in vain for: {what}");
}

/// Waits until `get` gives something.
pub fn some<T>(what: &str, mut get: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    expect(what, || {
        found = get();
        found.is_some()
    });
    found.expect("just checked")
}
