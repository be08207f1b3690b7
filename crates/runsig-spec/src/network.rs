//! Network devices that move into the container.
//!
//! Owns: `linux.netDevices`. Must not: look at the devices.

use std::collections::BTreeMap;

use oci_spec::runtime::LinuxNetDevice;

use crate::error::{Result, SpecError};
use crate::namespaces::{self, Namespaces};

/// IFNAMSIZ, with the closing NUL.
const LONGEST_WITH_NUL: usize = 16;

/// (name on the host, name inside) of each device.
pub(crate) fn devices(
    given: Option<BTreeMap<String, LinuxNetDevice>>,
    namespaces: &Namespaces,
    rootless: bool,
) -> Result<Vec<(String, String)>> {
    let given = given.unwrap_or_default();
    if given.is_empty() {
        return Ok(Vec::new());
    }
    if !namespaces.has(namespaces::NETWORK) {
        return Err(SpecError::rule("unable to move network devices without a NET namespace"));
    }
    if rootless {
        return Err(SpecError::rule("network devices are not supported for rootless containers"));
    }
    let mut devices: Vec<(String, String)> = Vec::with_capacity(given.len());
    for (name, device) in given {
        let inside = device.name().clone().filter(|name| !name.is_empty()).unwrap_or_else(|| name.clone());
        if let Some(bad) = [&name, &inside].into_iter().find(|name| !valid(name)) {
            return Err(SpecError::rule(format!("invalid network device name {bad:?} (linux.netDevices)")));
        }
        // In a template such as `eth%d` the kernel chooses the number.
        if !inside.contains('%') && devices.iter().any(|(_, other)| *other == inside) {
            return Err(SpecError::value("linux.netDevices", inside, "two devices get this name"));
        }
        devices.push((name, inside));
    }
    Ok(devices)
}

/// The kernel's rule (`dev_valid_name`).
fn valid(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() < LONGEST_WITH_NUL
        && !name.contains(|c: char| c == '/' || c == ':' || c == '\0' || c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(json: &str) -> Option<BTreeMap<String, LinuxNetDevice>> {
        Some(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn devices_keep_or_change_their_name() {
        let own = Namespaces { new: namespaces::NETWORK, ..Default::default() };
        let devices = devices(given(r#"{"eth1":{},"eth2":{"name":"ctr0"},"eth3":{"name":""}}"#), &own, false);
        let want = [("eth1", "eth1"), ("eth2", "ctr0"), ("eth3", "eth3")];
        assert_eq!(devices.unwrap(), want.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn wrong_names_and_places_are_refused() {
        let own = Namespaces { new: namespaces::NETWORK, ..Default::default() };
        for bad in ["", ".", "..", "a/b", "a:b", "a b", "a\\tb", "sixteen-bytes-xx", "a\\u0000"] {
            assert!(devices(given(&format!("{{\"{bad}\":{{}}}}")), &own, false).is_err(), "{bad}");
            assert!(
                bad.is_empty()
                    || devices(given(&format!("{{\"a\":{{\"name\":\"{bad}\"}}}}")), &own, false).is_err()
            );
        }
        assert!(devices(given(r#"{"a":{"name":"c"},"b":{"name":"c"}}"#), &own, false).is_err());
        assert!(devices(given(r#"{"a":{"name":"c%d"},"b":{"name":"c%d"}}"#), &own, false).is_ok());
        assert!(devices(given(r#"{"a":{}}"#), &own, true).is_err());
        assert!(devices(given(r#"{"a":{}}"#), &Namespaces::default(), false).is_err());
        assert_eq!(devices(given("{}"), &Namespaces::default(), true), Ok(vec![]));
    }
}
