//! What the program gets, which is the same as without, and what the init keeps, which is little.

use std::fs;

use runsig_tests::console::DescriptorSocket;
use runsig_tests::{Bundle, Case, Container, Value, cases, json, procs, spec};

use crate::world::{Pid1, annotated, main_process, read, resident_bundle};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "confinement": the_program_gets_the_same, in_a_user_namespace_too, a_filter_holds_for_the_program,
        the_init_keeps_next_to_nothing, the_containers_root_cannot_look_or_write, the_terminal_is_the_programs,
        keys_of_the_terminal_reach_the_program;
    Host "confinement": the_program_gets_the_same;
];

/// Everything about a process that a bundle can choose, as the program itself sees it. Numbers that
/// differ from one process to the next are left out.
const TELLS: &str = "\
    grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|SigQ|SigBlk|SigIgn|SigCgt|Cpus_allowed|Umask)' /proc/self/status \
        | grep -v SigQ; \
    cat /proc/self/limits /proc/self/oom_score_adj /proc/self/cgroup /proc/self/personality; \
    cut -d' ' -f18,19,41 /proc/$$/stat; id; pwd; env | sort; ls /proc/$$/fd; \
    [ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leads its session; \
    cat /proc/self/attr/current 2>/dev/null; ls -l /proc/$$/ns | sed 's/.*> //' | grep -E 'cgroup|user|time' | cut -d: -f1";

fn demanding(config: &mut Value) {
    config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 2000], "umask": 0o27});
    config["process"]["oomScoreAdj"] = json!(500);
    config["process"]["cwd"] = json!("/tmp");
    config["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "hard": 512, "soft": 256}, {"type": "RLIMIT_CORE", "hard": 0, "soft": 0}
    ]);
    config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7});
    config["process"]["env"].as_array_mut().expect("a list").push(json!("SAID=yes"));
    spec::set_capabilities(config, &["CAP_CHOWN", "CAP_NET_RAW"]);
}

fn compare(change: impl Fn(&mut Value)) {
    let tell = |bundle: Bundle| {
        let container = Container::new(bundle.with(&change));
        let outcome = container.run().ok();
        outcome.stdout.replace(container.id(), "ID")
    };
    let (with, without) = (tell(resident_bundle(&[], &["sh", "-c", TELLS])), tell(Bundle::script(TELLS)));
    assert_eq!(with, without);
    assert!(with.contains("leads its session"), "{with}");
}

fn the_program_gets_the_same() {
    compare(|_| {});
    compare(demanding);
    compare(|config| config["process"]["noNewPrivileges"] = json!(false));
}

fn in_a_user_namespace_too() {
    let root =
        |bundle: Bundle| bundle.with(|config| spec::set_user_namespace(config, 200_000)).owned_by(200_000);
    let tell = |bundle: Bundle| {
        let container = Container::new(root(bundle));
        container.run().ok().stdout.replace(container.id(), "ID")
    };
    let with = tell(resident_bundle(&[], &["sh", "-c", TELLS]));
    assert_eq!(with, tell(Bundle::script(TELLS)));
}

fn a_filter_holds_for_the_program() {
    let filter = |config: &mut Value| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]
        });
    };
    for privileges in [true, false] {
        let script =
            "mkdir /made 2>&1; grep -E '^Seccomp:' /proc/self/status; grep -E '^Seccomp:' /proc/1/status";
        let bundle = resident_bundle(&[], &["sh", "-c", script]).with(filter);
        let bundle = bundle.with(|config| config["process"]["noNewPrivileges"] = json!(privileges));
        let outcome = Container::new(bundle).run().ok();
        assert!(outcome.stdout.contains("not supported"), "{outcome:#?}");
        assert!(outcome.stdout.ends_with("Seccomp:\t2\nSeccomp:\t0\n"), "{outcome:#?}");
    }
}

fn the_init_keeps_next_to_nothing() {
    let container = Pid1::Resident.up("echo up > /up; exec sleep 1000");
    let init = container.pid();
    const KILL: &str = "0000000000000020";
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(procs::status_field(init, set).as_deref(), Some(KILL), "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(procs::status_field(init, set).as_deref(), Some("0000000000000000"), "{set}");
    }
    assert_eq!(procs::status_field(init, "NoNewPrivs").as_deref(), Some("1"));
    assert_eq!(fs::read_dir(format!("/proc/{init}/fd")).expect("fd").count(), 0, "no descriptor");
    let exe = fs::read_link(format!("/proc/{init}/exe")).expect("exe");
    assert!(exe.to_string_lossy().starts_with("/memfd:runsig-init"), "{exe:?}");
    let file = fs::OpenOptions::new().write(true).open(format!("/proc/{init}/exe"));
    assert!(file.is_err(), "it runs, and it is sealed");
    assert_eq!(procs::status_field(init, "Threads").as_deref(), Some("1"));
}

/// As root of the container, with its usual capabilities: what could be read or written of the init.
/// The list of its descriptors can be read, since root owns it, and is empty.
fn the_containers_root_cannot_look_or_write() {
    let script = "\
        for what in environ mem maps auxv syscall stack; do \
            head -c1 /proc/1/$what >/dev/null 2>&1 && echo \"read $what\" >> /open; done; \
        (echo 0 > /proc/1/mem) 2>/dev/null && echo wrote >> /open; \
        for what in exe cwd root ns/mnt; do readlink /proc/1/$what >/dev/null && echo \"followed $what\" >> /open; done; \
        [ \"$(ls /proc/1/fd 2>/dev/null)\" = '' ] || echo fd >> /open; cp /proc/1/exe /stolen 2>/dev/null && echo exe >> /open; \
        kill -9 1; kill -19 1; echo up > /up; exec sleep 1000";
    let everything_else =
        ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"];
    let bundle = resident_bundle(&[], &["sh", "-c", script])
        .with(|config| spec::set_capabilities(config, &everything_else));
    let container = crate::world::started(bundle);
    assert_eq!(read(&container, "/open"), "");
    assert!(matches!(procs::state(container.pid()), Some('S')), "neither killed nor stopped");
}

fn terminal(script: &str) -> (Container, runsig_tests::console::Terminal) {
    let bundle = Bundle::script(script).with(|config| config["process"]["terminal"] = true.into());
    let container = Container::new(annotated(bundle, &[("dev.runsig.init", "true")]));
    runsig_tests::require_runsig("the resident init is Runsig's own");
    let socket = DescriptorSocket::listen();
    let path = socket.path().to_str().expect("utf-8");
    let _ = container.verb("create", &["--console-socket", path]).ok();
    let _ = container.start().ok();
    let terminal = socket.terminal();
    (container, terminal)
}

fn the_terminal_is_the_programs() {
    // Fields 1, 5, 6 and 8: number, group, session, the terminal's foreground group.
    let (container, mut terminal) =
        terminal("tty; echo open > /dev/tty; cut -d' ' -f1,5,6,8 /proc/$$/stat; echo end; sleep 1000");
    let seen = terminal.read_until("end").to_string();
    assert!(seen.contains("/dev/pts/0") && seen.contains("open") && seen.contains("2 2 2 2"), "{seen}");
    let stat = fs::read_to_string(format!("/proc/{}/stat", container.pid())).expect("stat");
    let after = stat.rsplit(") ").next().expect("fields");
    assert_eq!(after.split(' ').nth(4), Some("0"), "init has no terminal: {stat}");
}

fn keys_of_the_terminal_reach_the_program() {
    let (container, mut terminal) =
        terminal("trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.02; done");
    let _ = terminal.read_until("ready");
    assert!(main_process(&container) > 0);
    terminal.write("\u{3}");
    let _ = terminal.read_until("interrupted");
    container.expect_status("stopped");
}
