//! Filters, run by a small interpreter of classic BPF.

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::value::RawValue;

use super::*;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const KILL_THREAD: u32 = 0;
const KILL_PROCESS: u32 = 0x8000_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const LOG: u32 = 0x7ffc_0000;
const TRAP: u32 = 0x0003_0000;
const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}
const fn trace(number: u32) -> u32 {
    0x7ff0_0000 | number
}

fn compile(json: &str) -> Result<Option<Filter>> {
    resolve(&RawValue::from_string(json.to_owned()).unwrap(), None)
}

fn filter(json: &str) -> Filter {
    compile(json).unwrap().unwrap()
}

/// What the filter answers. <https://docs.kernel.org/networking/filter.html>
fn run(filter: &Filter, arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = [number.to_ne_bytes(), arch.to_ne_bytes(), [0; 4], [0; 4]].concat();
    args.iter().for_each(|arg| data.extend(arg.to_ne_bytes()));
    let word = |at: u32| u32::from_ne_bytes(data[at as usize..at as usize + 4].try_into().unwrap());
    let (mut a, mut x, mut memory, mut at) = (0u32, 0u32, [0u32; 16], 0usize);
    loop {
        let step = &filter.seccomp.program[at * 8..at * 8 + 8];
        let code = u16::from_ne_bytes([step[0], step[1]]);
        let k = u32::from_ne_bytes(step[4..].try_into().unwrap());
        at += 1;
        let jump = |yes: bool| usize::from(if yes { step[2] } else { step[3] });
        match code {
            0x20 => a = word(k),
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = memory[k as usize],
            0x61 => x = memory[k as usize],
            0x02 => memory[k as usize] = a,
            0x03 => memory[k as usize] = x,
            0x54 => a &= k,
            0x07 => x = a,
            0x87 => a = x,
            0x05 => at += k as usize,
            0x15 => at += jump(a == k),
            0x25 => at += jump(a > k),
            0x35 => at += jump(a >= k),
            0x45 => at += jump(a & k != 0),
            0x06 => return k,
            code => panic!("instruction {code:#x}"),
        }
    }
}

fn x86(filter: &Filter, number: u32) -> u32 {
    run(filter, X86_64, number, [0; 6])
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::*;

    #[test]
    fn actions_become_answers() {
        for (action, want) in [
            (r#""SCMP_ACT_KILL""#, KILL_THREAD),
            (r#""SCMP_ACT_KILL_THREAD""#, KILL_THREAD),
            (r#""SCMP_ACT_KILL_PROCESS""#, KILL_PROCESS),
            (r#""SCMP_ACT_TRAP""#, TRAP),
            (r#""SCMP_ACT_ERRNO""#, errno(1)),
            (r#""SCMP_ACT_ERRNO","errnoRet":13"#, errno(13)),
            (r#""SCMP_ACT_ERRNO","errnoRet":0"#, errno(0)),
            (r#""SCMP_ACT_TRACE""#, trace(1)),
            (r#""SCMP_ACT_TRACE","errnoRet":77"#, trace(77)),
            (r#""SCMP_ACT_LOG""#, LOG),
        ] {
            let json = format!(
                r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["getpid"],"action":{action}}}]}}"#
            );
            let filter = filter(&json);
            assert_eq!(x86(&filter, 39), want, "{action}");
            assert_eq!(x86(&filter, 40), ALLOW, "{action}");
            assert_eq!(filter.seccomp.flags, 4, "SPEC_ALLOW unless the profile has flags");
            assert!(!filter.seccomp.notify);
        }
    }

    #[test]
    fn newer_calls_than_the_profile_knows_do_not_exist() {
        let json = |default: &str| {
            format!(
                r#"{{"defaultAction":{default},"architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],
                "syscalls":[{{"names":["read","write","no_such_call"],"action":"SCMP_ACT_ALLOW"}}]}}"#
            )
        };
        let default = filter(&json(r#""SCMP_ACT_ERRNO""#));
        assert_eq!((x86(&default, 0), x86(&default, 1), x86(&default, 2)), (ALLOW, ALLOW, errno(38)));
        // i386: read is 3, write is 4.
        let i386 = |number| run(&default, I386, number, [0; 6]);
        assert_eq!((i386(3), i386(4), i386(2), i386(5)), (ALLOW, ALLOW, errno(1), errno(38)));
        let x32 = |number: u32| run(&default, X86_64, number | 0x4000_0000, [0; 6]);
        assert_eq!((x32(0), x32(1), x32(2)), (ALLOW, ALLOW, errno(38)));
        for (action, want) in [
            (r#""SCMP_ACT_KILL_PROCESS""#, errno(38)),
            (r#""SCMP_ACT_TRAP""#, errno(38)),
            (r#""SCMP_ACT_ERRNO","defaultErrnoRet":38"#, errno(38)),
            (r#""SCMP_ACT_ERRNO","defaultErrnoRet":2"#, errno(38)),
            (r#""SCMP_ACT_LOG""#, LOG),
            (r#""SCMP_ACT_TRACE""#, trace(1)),
        ] {
            assert_eq!(x86(&filter(&json(action)), 400), want, "{action}");
        }
    }

    #[test]
    fn without_x32_in_the_profile_its_calls_are_the_librarys_matter() {
        let json =
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#;
        let filter = filter(json);
        assert_eq!(x86(&filter, 0x4000_0000), KILL_THREAD);
        assert_eq!(run(&filter, I386, 3, [0; 6]), KILL_THREAD, "an architecture that is not in the profile");
        assert_eq!(x86(&filter, 5), errno(38), "the native architecture is always in it");
    }

    #[test]
    fn operators_compare_all_64_bits() {
        let big = 0x1_0000_0005u64;
        for (op, two, yes, no) in [
            ("SCMP_CMP_EQ", 0, big, 5),
            ("SCMP_CMP_NE", 0, 5, big),
            ("SCMP_CMP_LT", 0, 6, big),
            ("SCMP_CMP_LE", 0, big, big + 1),
            ("SCMP_CMP_GE", 0, big, 6),
            ("SCMP_CMP_GT", 0, big + 1, big),
            ("SCMP_CMP_MASKED_EQ", 4, 0xf4, 0xf1),
        ] {
            let json = format!(
                r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["dup"],"action":"SCMP_ACT_TRAP",
                "args":[{{"index":2,"value":{big},"valueTwo":{two},"op":"{op}"}}]}}]}}"#
            );
            let filter = filter(&json);
            let ask = |value| run(&filter, X86_64, 32, [0, 0, value, 0, 0, 0]);
            assert_eq!((ask(yes), ask(no)), (TRAP, ALLOW), "{op}");
        }
    }

    #[test]
    fn conditions_on_one_argument_are_alternatives_and_on_several_are_joined() {
        let json = |second: u32| {
            format!(
                r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["dup"],"action":"SCMP_ACT_TRAP",
                "args":[{{"index":0,"value":1,"op":"SCMP_CMP_EQ"}},{{"index":{second},"value":2,"op":"SCMP_CMP_EQ"}}]}}]}}"#
            )
        };
        let same = filter(&json(0));
        let ask = |filter: &Filter, a, b| run(filter, X86_64, 32, [a, b, 0, 0, 0, 0]);
        assert_eq!((ask(&same, 1, 0), ask(&same, 2, 0), ask(&same, 3, 0)), (TRAP, TRAP, ALLOW));
        let both = filter(&json(1));
        assert_eq!((ask(&both, 1, 2), ask(&both, 1, 0), ask(&both, 0, 2)), (TRAP, ALLOW, ALLOW));
    }

    #[test]
    fn many_rules_make_a_tree_that_answers_the_same() {
        let names: Vec<String> = (0..100)
            .filter_map(|n| libseccomp::ScmpSyscall::from_raw_syscall(n).get_name().ok())
            .map(|name| format!("{name:?}"))
            .collect();
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":[{}],"action":"SCMP_ACT_ALLOW"}},
            {{"names":["futex"],"action":"SCMP_ACT_ERRNO"}},{{"names":["gettid"],"action":"SCMP_ACT_LOG"}}]}}"#,
            names.join(",")
        );
        let filter = filter(&json);
        assert!((0..100).all(|number| x86(&filter, number) == ALLOW));
        assert_eq!((x86(&filter, 186), x86(&filter, 150), x86(&filter, 202)), (LOG, errno(1), errno(1)));
        assert_eq!(x86(&filter, 203), errno(38), "the same action as the default still counts as known");
    }
}

#[test]
fn a_listener_needs_somebody_to_listen() {
    let json = |more: &str| {
        format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW",{more}"syscalls":[{{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_NOTIFY"}}]}}"#
        )
    };
    assert_eq!(compile(&json("")).unwrap_err().to_string(), "seccomp listenerPath is not set");
    let with = json(
        r#""listenerPath":"/run/agent.sock","listenerMetadata":"{\"a\":1}","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"#,
    );
    let filter = filter(&with);
    let want = SeccompListener { path: "/run/agent.sock".into(), metadata: "{\"a\":1}".to_owned() };
    assert_eq!(
        (filter.seccomp.notify, filter.seccomp.flags, filter.listener.as_ref()),
        (true, 1 << 5, Some(&want))
    );
    let answers = filter.seccomp.program.chunks_exact(8).filter(|step| step[..2] == 6u16.to_ne_bytes());
    assert!(answers.map(|step| u32::from_ne_bytes(step[4..].try_into().unwrap())).any(|k| k == NOTIFY));
}

#[test]
fn flags_become_bits() {
    let flags = |list: &str| filter(&format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW"{list}}}"#)).seccomp.flags;
    assert_eq!(flags(""), 4);
    assert_eq!(flags(r#","flags":null"#), 4);
    assert_eq!(flags(r#","flags":[]"#), 0);
    assert_eq!(flags(r#","flags":["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG"]"#), 2);
    assert_eq!(flags(r#","flags":["SECCOMP_FILTER_FLAG_SPEC_ALLOW","SECCOMP_FILTER_FLAG_LOG"]"#), 6);
    assert_eq!(flags(r#","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#), 0, "nobody to wait for");
}

#[test]
fn an_empty_profile_is_none() {
    for json in ["{}", r#"{"syscalls":[]}"#, r#"{"defaultAction":"","architectures":["X"]}"#] {
        assert_eq!(compile(json), Ok(None), "{json}");
    }
}

#[test]
fn wrong_profiles_are_named() {
    for (json, words) in [
        ("[1]", "linux.seccomp: "),
        (r#"{"defaultAction":5}"#, "linux.seccomp: defaultAction: invalid type"),
        (r#"{"defaultAction":"ALLOW"}"#, "string \"ALLOW\" is not a valid action"),
        (r#"{"syscalls":[{}]}"#, "string \"\" is not a valid action"),
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "SCMP_ACT_NOTIFY cannot be used as default action"),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read","write"],"action":"SCMP_ACT_NOTIFY"}]}"#,
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["X86"]}"#,
            "string \"X86\" is not a valid arch",
        ),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["LOG"]}"#, "seccomp flag \"LOG\" is not known"),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":65536}"#, "defaultAction \"65536\""),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":-1}"#, "defaultErrnoRet: invalid value"),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[""],"action":"SCMP_ACT_LOG"}]}"#,
            "empty string is not a valid syscall",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["dup"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
            "linux.seccomp.syscalls[0].args.index \"6\"",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["dup"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":0,"op":"=="}]}]}"#,
            "string \"==\" is not a valid operator",
        ),
        (r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/a\u0000"}"#, "linux.seccomp.listenerPath"),
    ] {
        let error = compile(json).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{error}\nwanted {words}");
    }
}

#[derive(Default)]
struct Memory {
    entries: RefCell<HashMap<String, Vec<u8>>>,
}

impl SeccompCache for Memory {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.entries.borrow().get(key).cloned()
    }
    fn put(&self, key: &str, entry: &[u8]) {
        self.entries.borrow_mut().insert(key.to_owned(), entry.to_vec());
    }
}

/// A cached filter that no compilation could give: where it comes back, nothing was compiled.
fn marked(profile: &str) -> (Box<RawValue>, String, Filter) {
    let text = RawValue::from_string(profile.to_owned()).unwrap();
    let mut filter = compile(profile).unwrap().unwrap();
    filter.seccomp.program = vec![0xee; 16];
    filter.listener = Some(SeccompListener { path: "/s".into(), metadata: "m".into() });
    let key = cache::key(profile.as_bytes());
    (text, key, filter)
}

const PROFILE: &str = r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#;

#[test]
fn a_filter_is_compiled_once() {
    let cache = Memory::default();
    let text = RawValue::from_string(PROFILE.to_owned()).unwrap();
    let first = resolve(&text, Some(&cache)).unwrap();
    assert_eq!(cache.entries.borrow().len(), 1);
    assert_eq!(resolve(&text, Some(&cache)).unwrap(), first);

    let (text, key, filter) = marked(PROFILE);
    cache.put(&key, &cache::pack(&filter, PROFILE.as_bytes()));
    assert_eq!(resolve(&text, Some(&cache)).unwrap(), Some(filter), "the entry is used");
}

#[test]
fn damaged_foreign_and_colliding_entries_are_not_believed() {
    let cache = Memory::default();
    let (text, key, filter) = marked(PROFILE);
    let good = cache::pack(&filter, PROFILE.as_bytes());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(cache::unpack(&bad, PROFILE.as_bytes()), None, "byte {at}");
        assert_eq!(cache::unpack(&good[..at], PROFILE.as_bytes()), None, "cut at {at}");
    }
    assert_eq!(cache::unpack(&[good.clone(), vec![0]].concat(), PROFILE.as_bytes()), None);
    let other = cache::pack(&filter, br#"{"defaultAction":"SCMP_ACT_KILL"}"#);
    cache.put(&key, &other);
    let compiled = compile(PROFILE).unwrap();
    assert_eq!(resolve(&text, Some(&cache)).unwrap(), compiled, "another profile under the same key");
    assert_ne!(cache.get(&key), Some(other), "is replaced");
}

#[test]
fn keys_are_file_names() {
    let keys: std::collections::HashSet<String> =
        (0..1000).map(|n| cache::key(format!("profile {n}").as_bytes())).collect();
    assert_eq!(keys.len(), 1000);
    assert!(keys.iter().all(|key| key.len() == 16 && key.bytes().all(|b| b.is_ascii_hexdigit())));
}
