//! The kernel takes the filters, and does what they say.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use runsig_spec::{LoadOptions, from_json};
use runsig_sys::process;
use runsig_sys::security::{SockFilter, seccomp_filter};

fn filter(profile: &str) -> (Vec<SockFilter>, u32) {
    let config = format!(
        r#"{{"ociVersion":"1.3.0","root":{{"path":"r"}},"process":{{"cwd":"/","args":["a"]}},"linux":{{"seccomp":{profile}}}}}"#
    );
    let plan = from_json(config.as_bytes(), Path::new("/b"), &LoadOptions::new("c")).unwrap();
    let seccomp = plan.init.process.seccomp.unwrap();
    let (steps, rest) = seccomp.program.as_chunks::<8>();
    assert!(rest.is_empty());
    let step = |b: &[u8; 8]| SockFilter {
        code: u16::from_ne_bytes([b[0], b[1]]),
        jt: b[2],
        jf: b[3],
        k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
    };
    (steps.iter().map(step).collect(), seccomp.flags)
}

/// A filter holds for the thread that loads it.
#[test]
fn a_loaded_filter_answers() {
    let (program, flags) = filter(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":122},
            {"names":["personality"],"action":"SCMP_ACT_LOG"}]}"#,
    );
    let made = std::thread::spawn(move || {
        process::set_no_new_privs().unwrap();
        seccomp_filter(&program, flags).unwrap();
        std::fs::create_dir("/proc/self/never")
    });
    assert_eq!(made.join().unwrap().unwrap_err().raw_os_error(), Some(122));
}

/// Every architecture and the stub before them, many rules, conditions: what engines send.
#[test]
fn large_filters_load() {
    let names: Vec<String> = (0..330)
        .filter_map(|number| libseccomp::ScmpSyscall::from_raw_syscall(number).get_name().ok())
        .map(|name| format!("{name:?}"))
        .collect();
    let profile = format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],
        "syscalls":[{{"names":[{}],"action":"SCMP_ACT_ALLOW"}},
        {{"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38}}]}}"#,
        names.join(",")
    );
    let profile = if cfg!(target_arch = "x86_64") {
        profile
    } else {
        profile.replace(r#""architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],"#, "")
    };
    let (program, flags) = filter(&profile);
    assert!(program.len() > 100);
    let loaded = std::thread::spawn(move || {
        process::set_no_new_privs().unwrap();
        seccomp_filter(&program, flags).map(|listener| listener.is_none())
    });
    assert_eq!(loaded.join().unwrap(), Ok(true));
}
