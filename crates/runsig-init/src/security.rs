//! What confines the program: labels, the session keyring, system call filters.
//!
//! Owns: setting them on ourselves. Must not: choose when ([`crate::program`] does).

use alloc::vec::Vec;
use core::ffi::CStr;

use runsig_proto::plan::{Kind, Process, Seccomp};
use runsig_proto::{FromInit, InitPlan, Op};
use runsig_sys::security::{self, KeySerial, SECCOMP_FILTER_FLAG_NEW_LISTENER, SockFilter};
use runsig_sys::{Errno, process};

use crate::error::{During, Failure, Result};
use crate::procfs::ProcFs;
use crate::sync::Sync;
use crate::words::Text;

/// Sets the labels that the next exec takes on.
///
/// # Errors
/// [`Op::Label`] with the label.
pub fn label_next_exec(process: &Process, procfs: &mut ProcFs) -> Result<()> {
    if let Some(profile) = &process.apparmor {
        let command = Text::new().with(b"exec ").with(profile.as_bytes());
        // The attribute of its own exists since 5.1; before, AppArmor shared the general one.
        match procfs.write(c"self/attr/apparmor/exec", command.as_bytes()) {
            Err(Errno::ENOENT) => procfs.write(c"self/attr/exec", command.as_bytes()),
            done => done,
        }
        .map_err(|errno| Failure::at(Op::Label, profile, errno).with(c"apparmor"))?;
    }
    if let Some(label) = &process.selinux {
        procfs
            .write(c"self/attr/exec", label.to_bytes_with_nul())
            .map_err(|errno| Failure::at(Op::Label, label, errno).with(c"selinux"))?;
    }
    Ok(())
}

/// Joins a session keyring of the container's own, so that it does not inherit the caller's.
/// A kernel without keyrings is no failure: there is nothing to inherit then.
///
/// # Errors
/// [`Op::Keyring`] with its name.
pub fn join_keyring(plan: &InitPlan, procfs: &mut ProcFs) -> Result<()> {
    let Some(name) = &plan.keyring else { return Ok(()) };
    label_new_keys(&plan.process, procfs)?;
    match security::join_session_keyring(name) {
        Err(Errno::ENOSYS) => {}
        Err(errno) => return Err(Failure::at(Op::Keyring, name, errno)),
        Ok(key) if plan.kind == Kind::Create => {
            make_searchable(key, plan.namespaces.user).during_at(Op::Keyring, name)?;
        }
        Ok(_) => {}
    }
    // Keys that the program makes get the label of the program; a kernel without SELinux has no
    // such attribute.
    if plan.process.selinux.is_some() {
        let _ = procfs.write(c"self/attr/keycreate", b"");
    }
    Ok(())
}

fn label_new_keys(process: &Process, procfs: &mut ProcFs) -> Result<()> {
    let Some(label) = &process.selinux else { return Ok(()) };
    match procfs.write(c"self/attr/keycreate", label.to_bytes_with_nul()) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Failure::at(Op::Label, label, errno).with(c"keycreate")),
    }
}

/// Lets processes of the container that did not join it find the keyring: by user, or by anybody
/// where the user of a user namespace is another one to the kernel.
fn make_searchable(key: KeySerial, user_namespace: bool) -> core::result::Result<(), Errno> {
    const KEY_OTH_SEARCH: u32 = 0x8;
    const KEY_USR_SEARCH: u32 = 0x8_0000;
    let mut buf = [0; 256];
    let len = security::describe_key(key, &mut buf)?;
    let have = permissions(buf.get(..len).unwrap_or_default()).ok_or(Errno::EINVAL)?;
    let search = if user_namespace { KEY_OTH_SEARCH } else { KEY_USR_SEARCH };
    security::set_key_permissions(key, have | search)
}

/// The permissions in `type;uid;gid;perm;name`: hexadecimal.
fn permissions(description: &[u8]) -> Option<u32> {
    let word = description.split(|b| *b == b';').nth(3)?;
    u32::from_str_radix(core::str::from_utf8(word).ok()?, 16).ok()
}

/// Forbids every later exec to gain privileges.
///
/// # Errors
/// [`Op::NoNewPrivs`].
pub fn forbid_new_privileges(process: &Process) -> Result<()> {
    if process.no_new_privs { process::set_no_new_privs().during(Op::NoNewPrivs) } else { Ok(()) }
}

/// Loads the filter; with a notify action its listener goes to the runtime, which says when it has
/// its copy. From here on the filter decides about every call of ours.
///
/// # Errors
/// [`Op::Seccomp`], [`Op::Sync`].
pub fn load_filter(seccomp: &Seccomp, sync: &Sync) -> Result<()> {
    let program = instructions(&seccomp.program).ok_or(Failure::new(Op::Seccomp, Errno::EINVAL))?;
    let listener = if seccomp.notify { SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    match security::seccomp_filter(&program, seccomp.flags | listener).during(Op::Seccomp)? {
        Some(listener) => sync.ask(&FromInit::SeccompListener { fd: listener.raw() }).map(drop),
        None => Ok(()),
    }
}

/// Eight bytes an instruction, as the kernel's `struct sock_filter` has them.
fn instructions(bytes: &[u8]) -> Option<Vec<SockFilter>> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let one = |&[a, b, jt, jf, k0, k1, k2, k3]: &[u8; 8]| SockFilter {
        code: u16::from_ne_bytes([a, b]),
        jt,
        jf,
        k: u32::from_ne_bytes([k0, k1, k2, k3]),
    };
    (rest.is_empty() && !chunks.is_empty()).then(|| chunks.iter().map(one).collect())
}

/// Makes us as untouchable as the kernel allows until exec: whoever shares our namespaces can
/// neither trace us nor reach the host through our descriptors (CVE-2016-9962).
///
/// # Errors
/// [`Op::Session`].
pub fn hide_from_tracers() -> Result<()> {
    process::set_dumpable(false).during_at(Op::Session, DUMPABLE)
}

const DUMPABLE: &CStr = c"dumpable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_permissions_are_the_fourth_word() {
        assert_eq!(permissions(b"keyring;0;0;3f1b0000;_ses.box\0"), Some(0x3f1b_0000));
        for bad in [&b"keyring;0;0"[..], b"", b"keyring;0;0;xyz;_ses", b"a;b;c;;d"] {
            assert_eq!(permissions(bad), None);
        }
    }

    #[test]
    fn a_filter_is_whole_instructions() {
        let allow = SockFilter { code: 6, jt: 1, jf: 2, k: 0x7fff_0000 };
        let mut bytes = 6u16.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&[1, 2]);
        bytes.extend_from_slice(&0x7fff_0000u32.to_ne_bytes());
        assert_eq!(instructions(&bytes), Some(Vec::from([allow])));
        assert_eq!(instructions(&bytes[..7]), None);
        assert_eq!(instructions(b""), None);
    }
}
