//! Kernel parameters, as far as a namespace of the container holds them.
//!
//! Owns: `linux.sysctl` and which parameter belongs to which namespace. Must not: write them.

use std::collections::BTreeMap;
use std::ffi::CString;

use crate::error::{Result, SpecError};
use crate::namespaces::{self, Namespaces};
use crate::text::cstring;

/// Parameters of the IPC namespace, besides `fs.mqueue.*`.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// (path below /proc/sys, value) of each parameter. `host_network` says whether the network
/// namespace that is joined is the runtime's own; it is asked only when it matters.
pub(crate) fn resolve(
    given: BTreeMap<String, String>,
    namespaces: &Namespaces,
    host_network: impl Fn() -> Result<bool>,
) -> Result<Vec<(CString, CString)>> {
    let mut all = Vec::with_capacity(given.len());
    for (key, value) in given {
        let name = with_dots(&key);
        check(&name, namespaces, &host_network)?;
        let path =
            path(&name).ok_or_else(|| SpecError::value("linux.sysctl", &key, "is no parameter's name"))?;
        let path = cstring(path, || "linux.sysctl")?;
        all.push((path, cstring(value, || format!("linux.sysctl[{key:?}]"))?));
    }
    Ok(all)
}

/// sysctl(8) accepts both separators: the first one in the name is the separator, and the other
/// then stands for a literal dot (`net/ipv4/conf/eno2.100/x` is `net.ipv4.conf.eno2/100.x`).
fn with_dots(key: &str) -> String {
    let slashes = key.find(['.', '/']).is_some_and(|at| key.as_bytes().get(at) == Some(&b'/'));
    if slashes { swap(key) } else { key.to_owned() }
}

fn swap(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '.' => '/',
            '/' => '.',
            c => c,
        })
        .collect()
}

/// The file below /proc/sys; `None` for names that would lead elsewhere.
fn path(name: &str) -> Option<String> {
    let path = swap(name);
    path.split('/').all(|part| !matches!(part, "" | "." | "..")).then_some(path)
}

fn check(name: &str, namespaces: &Namespaces, host_network: &impl Fn() -> Result<bool>) -> Result<()> {
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return if namespaces.has(namespaces::IPC) {
            Ok(())
        } else {
            Err(SpecError::rule(format!("sysctl {name:?} is not allowed in the hosts ipc namespace")))
        };
    }
    if name.starts_with("net.") {
        let host = match (namespaces.has(namespaces::NETWORK), namespaces.path(namespaces::NETWORK)) {
            (false, _) => true,
            (true, None) => false,
            (true, Some(_)) => host_network()?,
        };
        return if host {
            Err(SpecError::rule(format!("sysctl {name:?} not allowed in host network namespace")))
        } else {
            Ok(())
        };
    }
    match name {
        "kernel.domainname" if namespaces.has(namespaces::UTS) => return Ok(()),
        "kernel.hostname" if namespaces.has(namespaces::UTS) => {
            return Err(SpecError::rule(format!(
                "sysctl {name:?} is not allowed as it conflicts with the OCI \"hostname\" field"
            )));
        }
        _ => {}
    }
    if name.starts_with("user.") {
        return if namespaces.has(namespaces::USER) {
            Ok(())
        } else {
            Err(SpecError::rule(format!("setting ucounts without a user namespace not allowed: {name}")))
        };
    }
    Err(SpecError::rule(format!("sysctl {name:?} is not in a separate kernel namespace")))
}
