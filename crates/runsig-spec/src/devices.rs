//! Device nodes.
//!
//! Owns: `linux.devices` and the devices every container gets. Must not: know the device cgroup.

use std::ffi::CString;

use runsig_proto::plan::Device;
use runsig_sys::fs;

use crate::document;
use crate::error::{Result, SpecError};
use crate::text::{clean, cstring};

/// What every container has in /dev (runtime-spec, config-linux.md: Default Devices), all of them
/// character devices for everybody.
const DEFAULT: [(&std::ffi::CStr, u32, u32); 6] = [
    (c"/dev/null", 1, 3),
    (c"/dev/random", 1, 8),
    (c"/dev/full", 1, 7),
    (c"/dev/tty", 5, 0),
    (c"/dev/zero", 1, 5),
    (c"/dev/urandom", 1, 9),
];
/// The largest major and minor numbers the kernel has room for.
const LARGEST_MAJOR: i64 = (1 << 12) - 1;
const LARGEST_MINOR: i64 = (1 << 20) - 1;

/// The defaults that the bundle does not give itself, then the bundle's. `root` is who owns
/// devices on the host's side in a user namespace.
pub(crate) fn resolve(given: Vec<document::Device>, root: Option<(u32, u32)>) -> Result<Vec<Device>> {
    let given =
        given.into_iter().enumerate().map(|(i, device)| one(device, i)).collect::<Result<Vec<_>>>()?;
    let replaced = |path: &CString| given.iter().any(|device| device.path == *path);
    let mut devices: Vec<Device> = DEFAULT
        .iter()
        .map(|(path, major, minor)| Device {
            path: (*path).to_owned(),
            mode: fs::S_IFCHR | 0o666,
            major: *major,
            minor: *minor,
            uid: 0,
            gid: 0,
        })
        .filter(|device| !replaced(&device.path))
        .collect();
    devices.extend(given);
    if let Some((uid, gid)) = root {
        devices.iter_mut().for_each(|device| (device.uid, device.gid) = (uid, gid));
    }
    Ok(devices)
}

fn one(given: document::Device, i: usize) -> Result<Device> {
    let field = |part: &str| format!("linux.devices[{i}].{part}");
    let path = given.path.unwrap_or_default();
    if !path.starts_with('/') {
        return Err(SpecError::value(field("path"), path, "is not an absolute path"));
    }
    let typ = given.typ.unwrap_or_default();
    let kind = match typ.as_str() {
        "c" | "u" => fs::S_IFCHR,
        "b" => fs::S_IFBLK,
        "p" => fs::S_IFIFO,
        _ => return Err(SpecError::rule(format!("invalid device type {typ:?} (linux.devices[{i}].type)"))),
    };
    let number = |number: Option<i64>, largest: i64, part: &str| {
        let number = if kind == fs::S_IFIFO { 0 } else { number.unwrap_or(0) };
        u32::try_from(number)
            .ok()
            .filter(|_| number <= largest)
            .ok_or_else(|| SpecError::value(field(part), number, format!("is not between 0 and {largest}")))
    };
    let mode = given.file_mode.unwrap_or(0o666) & !fs::S_IFMT;
    if mode & !0o7777 != 0 {
        return Err(SpecError::value(field("fileMode"), mode, "is no file mode"));
    }
    Ok(Device {
        path: cstring(clean(&path), || field("path"))?,
        mode: kind | mode,
        major: number(given.major, LARGEST_MAJOR, "major")?,
        minor: number(given.minor, LARGEST_MINOR, "minor")?,
        uid: given.uid.unwrap_or(0),
        gid: given.gid.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(json: &str) -> document::Device {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn defaults_come_first_and_give_way() {
        assert_eq!(resolve(vec![], None).unwrap().len(), 6);
        let own = device(r#"{"path":"/dev//null","type":"c","major":1,"minor":3,"fileMode":384,"uid":7}"#);
        let all = resolve(vec![own], None).unwrap();
        assert_eq!(all.len(), 6);
        let last = all.last().unwrap();
        assert_eq!((last.path.as_c_str(), last.mode, last.uid), (c"/dev/null", fs::S_IFCHR | 0o600, 7));
    }

    #[test]
    fn kinds_modes_and_owners() {
        let all = resolve(
            vec![
                device(r#"{"path":"/dev/f","type":"p"}"#),
                device(r#"{"path":"/dev/b","type":"b","major":8,"minor":1,"fileMode":33206,"gid":6}"#),
                device(r#"{"path":"/dev/u","type":"u","major":4095,"minor":1048575}"#),
            ],
            None,
        )
        .unwrap();
        assert_eq!(all[6].mode, fs::S_IFIFO | 0o666);
        assert_eq!(
            (all[7].mode, all[7].major, all[7].gid),
            (fs::S_IFBLK | 0o666, 8, 6),
            "type bits are ours"
        );
        assert_eq!((all[8].major, all[8].minor), (4095, 1_048_575));
        let mapped = resolve(vec![], Some((1000, 1001))).unwrap();
        assert!(mapped.iter().all(|d| (d.uid, d.gid) == (1000, 1001)));
    }

    #[test]
    fn wrong_devices_are_named() {
        for (json, words) in [
            (r#"{"path":"/dev/a","type":"a"}"#, "invalid device type \"a\""),
            (r#"{"path":"/dev/a"}"#, "linux.devices[0].type"),
            (r#"{"type":"c"}"#, "invalid linux.devices[0].path \"\""),
            (r#"{"path":"dev/a","type":"c"}"#, "invalid linux.devices[0].path \"dev/a\""),
            (r#"{"path":"/dev/a","type":"c","major":-1}"#, "linux.devices[0].major \"-1\""),
            (r#"{"path":"/dev/a","type":"c","major":4096}"#, "linux.devices[0].major"),
            (r#"{"path":"/dev/a","type":"c","minor":1048576}"#, "linux.devices[0].minor"),
            (r#"{"path":"/dev/a","type":"c","fileMode":1048576}"#, "linux.devices[0].fileMode"),
            ("{\"path\":\"/dev/a\\u0000\",\"type\":\"c\"}", "NUL"),
        ] {
            let error = resolve(vec![device(json)], None).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
