//! What the resident init may do: send signals to any process of the container, whoever's it is.
//!
//! Owns: giving up the rest. Must not: touch what the program gets.

use runsig_sys::process::{self, Capabilities};
use runsig_sys::{Errno, fs};

const CAP_KILL: u32 = 5;
/// The highest capability number a 64-bit set holds.
const LAST_CAP: u32 = 63;

/// Keeps CAP_KILL and no other capability, for good. That we cannot be dumped or traced stays as it
/// was.
///
/// # Errors
/// As prctl(2) and capset(2): giving up is refused to nobody, so these mean a filter in the way.
pub(super) fn keep_only_kill() -> Result<(), Errno> {
    fs::chdir(c"/")?;
    let have = process::capget()?;
    drop_bounding();
    let _ = process::clear_ambient();
    let kill = have.permitted & (1 << CAP_KILL);
    process::capset(&Capabilities { effective: kill, permitted: kill, inheritable: 0 })?;
    process::set_no_new_privs()
}

/// Without the capability to do it the set stays; it means nothing to a process that never execs.
fn drop_bounding() {
    for cap in (0..=LAST_CAP).filter(|cap| *cap != CAP_KILL) {
        if process::drop_bounding(cap).is_err() {
            return;
        }
    }
}
