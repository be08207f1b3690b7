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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespaces::{IPC, NETWORK, USER, UTS};

    fn one(key: &str, namespaces: &Namespaces, host: bool) -> Result<(CString, CString)> {
        let given = BTreeMap::from([(key.to_owned(), "1".to_owned())]);
        resolve(given, namespaces, || Ok(host)).map(|mut all| all.remove(0))
    }

    fn new(kinds: u64) -> Namespaces {
        Namespaces { new: kinds, ..Default::default() }
    }

    #[test]
    fn each_parameter_needs_its_namespace() {
        for (key, kind, path) in [
            ("kernel.msgmax", IPC, c"kernel/msgmax"),
            ("kernel.shm_rmid_forced", IPC, c"kernel/shm_rmid_forced"),
            ("fs.mqueue.msg_max", IPC, c"fs/mqueue/msg_max"),
            ("net.ipv4.ip_forward", NETWORK, c"net/ipv4/ip_forward"),
            ("net/ipv4/conf/eno2.100.rp_filter", NETWORK, c"net/ipv4/conf/eno2.100.rp_filter"),
            ("net.ipv4.conf.eno2/100.rp_filter", NETWORK, c"net/ipv4/conf/eno2.100/rp_filter"),
            ("kernel.domainname", UTS, c"kernel/domainname"),
            ("user.max_mnt_namespaces", USER, c"user/max_mnt_namespaces"),
        ] {
            assert_eq!(one(key, &new(kind), true).map(|(path, _)| path).as_deref(), Ok(path), "{key}");
            let error = one(key, &new(!kind & (IPC | NETWORK | UTS | USER)), false).unwrap_err().to_string();
            assert!(error.contains(&key.replace("net/ipv4", "net.ipv4")) || key.contains('/'), "{error}");
        }
    }

    #[test]
    fn a_joined_network_must_not_be_the_hosts() {
        let joined = Namespaces { joined: vec![(NETWORK, "/n".into())], ..Default::default() };
        assert!(one("net.core.somaxconn", &joined, false).is_ok());
        assert_eq!(
            one("net.core.somaxconn", &joined, true).unwrap_err().to_string(),
            "sysctl \"net.core.somaxconn\" not allowed in host network namespace"
        );
        let failing = || Err(SpecError::rule("invalid netns path: stat /n: no such file or directory"));
        let given = BTreeMap::from([("net.a".to_owned(), String::new())]);
        assert!(resolve(given, &joined, failing).unwrap_err().to_string().starts_with("invalid netns path"));
        let given = BTreeMap::from([("kernel.sem".to_owned(), String::new())]);
        let both = Namespaces { new: IPC, ..joined };
        assert!(resolve(given, &both, || panic!("not asked without need")).is_ok());
    }

    #[test]
    fn everything_else_is_the_hosts() {
        let all = new(IPC | NETWORK | UTS | USER);
        for key in [
            "",
            "kernel.hostname",
            "kernel.panic",
            "vm.swappiness",
            "fs.mqueue",
            "net",
            "kernel.core_pattern",
        ] {
            assert!(one(key, &all, false).is_err(), "{key}");
        }
    }

    #[test]
    fn no_name_leads_out_of_its_place() {
        let all = new(IPC | NETWORK | UTS | USER);
        // A slash after the first dot stands for a dot: "net.//.kernel" would be net/../kernel.
        for key in [
            "net.//.kernel.core_pattern",
            "net..ipv4",
            "net.ipv4.",
            "user./.x",
            "net/../kernel/x",
            "net.a\0b",
        ] {
            assert!(one(key, &all, false).is_err(), "{key:?}");
        }
    }
}
