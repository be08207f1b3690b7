//! What takes capabilities that containers' hosts have and build machines often lack: higher limits, a better OOM
//! score, `--privileged`, a runtime within a container.

use std::fs;
use std::path::Path;

use runsig_tests::spec::{add_mount, set_capabilities};
use runsig_tests::{Bundle, Case, Container, Value, cases, json, needs, procs, require_runsig, skip};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "privileges": limits_above_the_callers, limits_of_an_exec_above_the_callers, better_oom_score,
        oom_score_of_an_exec, privileged_has_everything, privileged_makes_cgroups, privileged_reads_the_disk,
        device_rules_let_one_disk_through, runtime_within_a_container, real_time_scheduling;
];

const SYS_RESOURCE: u32 = 24;

fn require_sys_resource() {
    needs::capability(SYS_RESOURCE, "CAP_SYS_RESOURCE");
}

fn limits() -> Value {
    json!([
        {"type": "RLIMIT_NOFILE", "soft": 900_000, "hard": 1_000_000},
        {"type": "RLIMIT_CORE", "soft": u64::MAX, "hard": u64::MAX},
        {"type": "RLIMIT_MEMLOCK", "soft": u64::MAX, "hard": u64::MAX}
    ])
}

#[track_caller]
fn assert_limits(text: &str) {
    for (name, soft, hard) in [
        ("Max open files", "900000", "1000000"),
        ("Max core file size", "unlimited", "unlimited"),
        ("Max locked memory", "unlimited", "unlimited"),
    ] {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [soft, hard], "{name}");
    }
}

/// A command of the runtime whose caller may open 1000 files.
fn limited(container: &Container, verb: &str, rest: &[&str]) -> runsig_tests::Outcome {
    container.bundle.save();
    let mut command = std::process::Command::new("sh");
    let program = container.runtime.program.to_str().expect("utf-8");
    let root = container.runtime.root.to_str().expect("utf-8");
    let script = r#"ulimit -n 1000; ulimit -l 64; ulimit -c 0; exec "$@""#;
    command.args(["-c", script, "sh", program, "--root", root, verb]).args(rest);
    runsig_tests::runtime::finish(command, runsig_tests::runtime::LIMIT)
}

fn limits_above_the_callers() {
    require_sys_resource();
    let container = Container::new(
        Bundle::script("cat /proc/self/limits").with(|config| config["process"]["rlimits"] = limits()),
    );
    let bundle = container.bundle.dir.to_str().expect("utf-8");
    let outcome = limited(&container, "run", &["--bundle", bundle, container.id()]);
    assert_limits(&outcome.ok().stdout);
}

fn limits_of_an_exec_above_the_callers() {
    require_sys_resource();
    let container = Container::running(
        Bundle::new().args(&["sleep", "1000"]).with(|config| config["process"]["rlimits"] = limits()),
    );
    let outcome = limited(&container, "exec", &[container.id(), "cat", "/proc/self/limits"]);
    assert_limits(&outcome.ok().stdout);
}

fn better_oom_score() {
    require_sys_resource();
    for score in ["-500", "-1000", "300"] {
        let number: i32 = score.parse().expect("a number");
        let container = Container::new(
            Bundle::script("cat /proc/self/oom_score_adj")
                .with(|config| config["process"]["oomScoreAdj"] = number.into()),
        );
        assert_eq!(container.run().ok().text(), score);
    }
}

fn oom_score_of_an_exec() {
    require_sys_resource();
    let container = Container::running(
        Bundle::new()
            .args(&["sleep", "1000"])
            .with(|config| config["process"]["oomScoreAdj"] = (-700).into()),
    );
    let own = |pid: i32| fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("/proc");
    assert_eq!(own(container.pid()).trim(), "-700");
    let process = container.bundle.dir.join("process.json");
    let mut spec = container.bundle.config["process"].clone();
    spec["args"] = json!(["cat", "/proc/self/oom_score_adj"]);
    spec["oomScoreAdj"] = (-200).into();
    fs::write(&process, spec.to_string()).expect("write");
    let arguments = ["exec", "--process", process.to_str().expect("utf-8"), container.id()];
    let seen = container.runtime.call(&arguments).ok();
    assert_eq!(seen.text(), "-200");
}

/// The names of every capability this kernel has, as far as we have them too.
fn all_capabilities() -> Vec<&'static str> {
    const NAMES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP \
        LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO \
        SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE \
        AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON \
        BPF CHECKPOINT_RESTORE";
    NAMES.split_whitespace().collect()
}

/// What `docker run --privileged` and `podman run --privileged` make of a configuration.
fn privileged(bundle: Bundle) -> Container {
    needs::capability(SYS_RESOURCE, "CAP_SYS_RESOURCE");
    needs::controllers(&["memory", "pids"]);
    let bundle = bundle.with(|config| {
        let names: Vec<String> = all_capabilities().iter().map(|name| format!("CAP_{name}")).collect();
        set_capabilities(config, &names.iter().map(String::as_str).collect::<Vec<_>>());
        config["process"]["noNewPrivileges"] = false.into();
        config["process"]["rlimits"] = json!([]);
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
        config["linux"]["resources"] = json!({"devices": [{"allow": true, "access": "rwm"}]});
        for mount in config["mounts"].as_array_mut().expect("a list") {
            if mount["type"] == "sysfs" || mount["type"] == "cgroup" {
                mount["options"] = json!(["nosuid", "noexec", "nodev", "rw"]);
            }
        }
    });
    Container::new(bundle)
}

fn privileged_has_everything() {
    let script = "grep Cap /proc/self/status; mkdir /m; mount -t tmpfs none /m && echo mounted; \
        echo 1 > /proc/sys/net/ipv4/ip_forward && echo forwarded; hostname other && hostname; \
        awk '$5 == \"/sys\" {print $6}' /proc/self/mountinfo";
    let outcome = privileged(Bundle::script(script)).run().ok();
    let full = format!("{:016x}", needs::effective_capabilities());
    assert_eq!(outcome.stdout.matches(&full).count(), 5, "{outcome:#?}");
    for words in ["mounted", "forwarded", "other", "rw,"] {
        assert!(outcome.stdout.contains(words), "{words}: {outcome:#?}");
    }
}

fn privileged_makes_cgroups() {
    let script = "cd /sys/fs/cgroup; mkdir init; echo 1 > init/cgroup.procs; echo +pids +memory > cgroup.subtree_control; \
        mkdir box; echo 5 > box/pids.max; cat box/pids.max; cat cgroup.controllers";
    let container = privileged(Bundle::script(&format!("{script}; sleep 1000")));
    container.create().ok();
    container.start().ok();
    let id = container.id();
    // Its first cgroup has children with controllers now: it takes no processes any more.
    runsig_tests::wait::expect("the cgroup inside", || {
        let path = format!("{}/box", container.bundle.cgroup());
        runsig_tests::cgroup::read(&path, "pids.max").as_deref() == Some("5")
    });
    if container.runtime.kind() == "runsig" {
        let seen = container.runtime.call(&["exec", id, "cat", "/proc/self/cgroup"]).ok();
        assert_eq!(seen.text(), "0::/init");
    }
    let path = container.bundle.cgroup();
    container.delete_force().ok();
    assert!(runsig_tests::cgroup::directories(&path).is_empty(), "cgroups made inside are gone");
}

fn disk_numbers() -> (u32, u32) {
    let Ok(text) = fs::read_to_string("/sys/block/vdb/dev") else { skip("no disk vdb") };
    let (major, minor) = text.trim().split_once(':').expect("two numbers");
    (major.parse().expect("a number"), minor.parse().expect("a number"))
}

/// Tries to read a sector of the disk whose node it makes itself.
fn read_the_disk() -> String {
    let (major, minor) = disk_numbers();
    format!(
        "mknod /disk b {major} {minor} && dd if=/disk of=/dev/null bs=512 count=1 2>/dev/null && echo read; true"
    )
}

fn privileged_reads_the_disk() {
    assert_eq!(privileged(Bundle::script(&read_the_disk())).run().ok().text(), "read");
}

fn device_rules_let_one_disk_through() {
    let (major, minor) = disk_numbers();
    let with_rules = |rules: Value| {
        let mut container = privileged(Bundle::script(&read_the_disk()));
        container.bundle.config["linux"]["resources"]["devices"] = rules;
        container.run().ok().text().to_string()
    };
    let deny = json!({"allow": false, "access": "rwm"});
    assert_eq!(with_rules(json!([deny])), "");
    assert_eq!(
        with_rules(
            json!([deny, {"allow": true, "type": "b", "major": major, "minor": minor, "access": "rm"}])
        ),
        "read"
    );
}

/// As Docker in Docker does: the inner container's cgroup is within the outer one's.
fn runtime_within_a_container() {
    require_runsig("one program is put into the container");
    let inner = Bundle::new().args(&["echo", "inside"]);
    inner.save();
    let program = runsig_tests::Runtime::path();
    let script = "mkdir /sys/fs/cgroup/init && echo 1 > /sys/fs/cgroup/init/cgroup.procs && \
        /runsig --root /run/inner run --bundle /inner box; cat /proc/self/cgroup";
    let container = privileged(Bundle::script(script).directory("run").with(|config| {
        for (source, destination) in [(program.as_path(), "/runsig"), (inner.dir.as_path(), "/inner")] {
            add_mount(config, json!({"destination": destination, "source": source, "options": ["bind"]}));
        }
    }));
    let outcome = container.run().ok();
    assert!(outcome.stdout.starts_with("inside\n"), "{outcome:#?}");
    assert!(!Path::new("/sys/fs/cgroup").join(inner.cgroup().trim_start_matches('/')).exists());
}

fn real_time_scheduling() {
    require_runsig("process.scheduler came to runc in 1.2");
    needs::capability(23, "CAP_SYS_NICE");
    let container = Container::running(Bundle::new().args(&["sleep", "1000"]).with(|config| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_FIFO", "priority": 10});
    }));
    let text = fs::read_to_string(format!("/proc/{}/sched", container.pid()));
    let policy = procs::status_field(container.pid(), "State").and_then(|_| text.ok()).unwrap_or_default();
    let line = policy.lines().find(|line| line.starts_with("policy")).unwrap_or("no /proc/PID/sched");
    assert!(line.ends_with('1'), "{line}");
}
