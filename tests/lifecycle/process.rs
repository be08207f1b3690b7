//! The process: user, groups, capabilities, limits, environment and all the small settings.

use runsig_tests::container::output_of;
use runsig_tests::spec::set_capabilities;
use runsig_tests::{Bundle, Case, Container, Value, cases, json, procs, require_runsig, skip};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "process":
    user_and_groups, umask, working_directory, working_directory_is_made, environment, home_from_passwd,
    all_capability_sets, no_capabilities, ambient_for_a_user, bounding_set_alone, unknown_capability,
    no_new_privileges_on, no_new_privileges_off, limits, limit_above_the_hard_one_fails, oom_score,
    sysctls, sysctl_of_the_host_is_refused, scheduler_batch, scheduler_idle_nice, io_priority, personality,
    arguments_pass_unchanged, setuid_program_is_harmless, exec_cpu_affinity,
    args_are_required, signals_are_reset];

fn status_of(name: &str, change: impl FnOnce(&mut Value)) -> String {
    let line = output_of("cat /proc/self/status", change);
    let field = line.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    field.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn user_and_groups() {
    let output = output_of("id -u; id -g; grep ^Groups /proc/self/status | cut -f2", |config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [2000, 2001]});
    });
    let lines: Vec<_> = output.lines().map(str::trim).collect();
    assert_eq!(lines[..2], ["1000", "1001"]);
    let groups: Vec<_> = lines[2].split(' ').collect();
    assert!(groups.contains(&"2000") && groups.contains(&"2001"), "{output}");
    assert!(!groups.contains(&"0"), "{output}");
}

fn umask() {
    assert_eq!(output_of("umask", |config| config["process"]["user"]["umask"] = json!(0o27)), "0027");
}

fn working_directory() {
    assert_eq!(output_of("pwd", |config| config["process"]["cwd"] = "/tmp".into()), "/tmp");
}

fn working_directory_is_made() {
    assert_eq!(output_of("pwd", |config| config["process"]["cwd"] = "/made/for/it".into()), "/made/for/it");
}

fn environment() {
    let output = output_of("env", |config| {
        config["process"]["env"] = json!(["PATH=/bin", "EMPTY=", "A=b=c", "SPACE=x  y"]);
    });
    for line in ["EMPTY=", "A=b=c", "SPACE=x  y", "PATH=/bin"] {
        assert!(output.lines().any(|found| found == line), "{line} in {output}");
    }
    assert!(!output.contains("CARGO"), "the caller's environment stays out: {output}");
    assert!(!output.contains("_LIBCONTAINER") && !output.contains("RUNSIG"), "{output}");
}

fn home_from_passwd() {
    assert_eq!(output_of("echo $HOME", |_| {}), "/root");
    let alice = |config: &mut Value| config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(output_of("echo $HOME", alice), "/tmp");
}

fn all_capability_sets() {
    let output = output_of("grep ^Cap /proc/self/status", |config| {
        set_capabilities(config, &["CAP_KILL", "CAP_CHOWN"]);
    });
    for line in output.lines() {
        assert!(line.ends_with("0000000000000021"), "{output}");
    }
    assert_eq!(output.lines().count(), 5);
}

fn no_capabilities() {
    let output = output_of("grep ^Cap /proc/self/status", |config| {
        config["process"]["capabilities"] = json!({});
    });
    assert!(output.lines().all(|line| line.ends_with("0000000000000000")), "{output}");
}

fn ambient_for_a_user() {
    let output = output_of("grep -E '^Cap(Eff|Amb)' /proc/self/status", |config| {
        set_capabilities(config, &["CAP_NET_BIND_SERVICE"]);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    assert!(output.lines().all(|line| line.ends_with("0000000000000400")), "{output}");
}

fn bounding_set_alone() {
    let output = output_of("grep -E '^Cap(Bnd|Eff)' /proc/self/status", |config| {
        config["process"]["capabilities"] = json!({"bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]});
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    let sets: Vec<_> = output.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    // In the order of /proc: effective, bounding. A plain user loses the effective set by exec.
    assert_eq!(sets, ["0000000000000000", "0000000000000021"]);
}

fn unknown_capability() {
    let container = Container::new(Bundle::new().with(|config| {
        config["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", "CAP_FLY"]);
    }));
    // runc: a warning, and the container runs. crun: the same since 1.9.
    let outcome = container.run();
    if container.runtime.kind() != "crun" {
        assert_eq!(outcome.code, 0, "{outcome:#?}");
    }
}

fn no_new_privileges_on() {
    assert_eq!(status_of("NoNewPrivs", |_| {}), "1");
}

fn no_new_privileges_off() {
    assert_eq!(status_of("NoNewPrivs", |config| config["process"]["noNewPrivileges"] = false.into()), "0");
}

fn limits() {
    let output = output_of("cat /proc/self/limits", |config| {
        config["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_NPROC", "soft": 1000, "hard": 2000},
            {"type": "RLIMIT_FSIZE", "soft": 1_048_576, "hard": 1_048_576}
        ]);
    });
    let words = |name: &str| {
        let line = output.lines().find(|line| line.starts_with(name)).expect("a limit");
        line[name.len()..].split_whitespace().take(2).map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(words("Max open files"), ["100", "200"]);
    assert_eq!(words("Max core file size"), ["0", "0"]);
    assert_eq!(words("Max processes"), ["1000", "2000"]);
    assert_eq!(words("Max file size"), ["1048576", "1048576"]);
}

fn limit_above_the_hard_one_fails() {
    let text = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = text.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("a set");
    let effective = u64::from_str_radix(line.trim(), 16).expect("hex");
    if effective & (1 << 24) != 0 {
        skip("CAP_SYS_RESOURCE is there: any limit can be raised");
    }
    let container = Container::new(Bundle::new().with(|config| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 900_000, "hard": 900_000}]);
    }));
    let outcome = container.run();
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    assert!(outcome.stderr.to_lowercase().contains("operation not permitted"), "{outcome:#?}");
}

fn oom_score() {
    assert_eq!(
        output_of("cat /proc/self/oom_score_adj", |config| config["process"]["oomScoreAdj"] = 321.into()),
        "321"
    );
}

fn sysctls() {
    let output = output_of("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax", |config| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "65536"});
    });
    assert_eq!(output, "1\n65536");
}

fn sysctl_of_the_host_is_refused() {
    let container = Container::new(Bundle::new().with(|config| {
        config["linux"]["sysctl"] = json!({"vm.swappiness": "7"});
    }));
    let before = std::fs::read_to_string("/proc/sys/vm/swappiness").expect("/proc");
    let outcome = container.run();
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    assert!(outcome.stderr.contains("vm.swappiness"), "{outcome:#?}");
    assert_eq!(std::fs::read_to_string("/proc/sys/vm/swappiness").expect("/proc"), before);
}

fn stat_field(number: usize, change: impl FnOnce(&mut Value)) -> String {
    let stat = output_of("cat /proc/1/stat", change);
    let after = stat.rsplit(") ").next().unwrap_or_default();
    after.split(' ').nth(number - 3).unwrap_or_default().to_string()
}

fn scheduler_batch() {
    require_runsig("process.scheduler came to runc in 1.2 and to crun in 1.9");
    let batch =
        |config: &mut Value| config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    assert_eq!(stat_field(41, batch), "3");
    assert_eq!(stat_field(19, batch), "5");
}

fn scheduler_idle_nice() {
    require_runsig("process.scheduler came to runc in 1.2 and to crun in 1.9");
    assert_eq!(
        stat_field(41, |config| config["process"]["scheduler"] = json!({"policy": "SCHED_IDLE"})),
        "5"
    );
}

fn io_priority() {
    require_runsig("process.ioPriority came to runc in 1.2 and to crun in 1.9");
    let output = output_of("ionice -p 1", |config| {
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    });
    assert!(output.contains("best-effort") && output.contains('6'), "{output}");
}

fn personality() {
    require_runsig("linux.personality came to runc in 1.2");
    let output = output_of("cat /proc/1/personality; uname -m", |config| {
        config["linux"]["personality"] = json!({"domain": "LINUX32"});
    });
    assert!(output.starts_with("00000008"), "{output}");
}

fn arguments_pass_unchanged() {
    let args = ["sh", "-c", "for a; do printf '<%s>' \"$a\"; done", "x", "", "a b", "ü", "\"'$(x)", "-n"];
    let container = Container::new(Bundle::new().args(&args));
    assert_eq!(container.run().ok().stdout, "<><a b><ü><\"'$(x)><-n>");
}

fn setuid_program_is_harmless() {
    let bundle = Bundle::script("/bin/idu -u").with(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    let bundle = bundle.file("/bin/setuid", "", 0o755);
    let status = std::process::Command::new("sh")
        .args(["-c", "cp bin/busybox bin/id-setuid; chmod 4755 bin/id-setuid; ln -s id-setuid bin/idu; rm bin/id; ln bin/id-setuid bin/id"])
        .current_dir(bundle.rootfs())
        .status();
    assert!(status.expect("sh").success());
    let container = Container::new(bundle.args(&["/bin/id", "-u"]));
    assert_eq!(container.run().ok().text(), "1000");
}

fn exec_cpu_affinity() {
    require_runsig("process.execCPUAffinity came to runc in 1.3");
    let output = output_of("grep Cpus_allowed_list /proc/1/status | cut -f2", |config| {
        config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "0"});
    });
    // It is for exec: the container's first process keeps what it was given.
    assert_eq!(output, procs::status_field(1, "Cpus_allowed_list").unwrap_or_default());
}

fn args_are_required() {
    let container = Container::new(Bundle::new().with(|config| {
        config["process"].as_object_mut().expect("an object").remove("args");
    }));
    let outcome = container.run();
    assert_ne!(outcome.code, 0, "{outcome:#?}");
}

fn signals_are_reset() {
    // A Rust program ignores SIGPIPE; what it starts must not inherit that.
    let container = Container::new(Bundle::new().args(&["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]));
    let output = container.run().ok();
    let mask = |name: &str| {
        let line = output.stdout.lines().find(|line| line.starts_with(name)).expect("a mask");
        u64::from_str_radix(line.split('\t').nth(1).expect("a mask"), 16).expect("hex")
    };
    assert_eq!(mask("SigBlk"), 0);
    assert_eq!(mask("SigIgn") & (1 << 12), 0, "SIGPIPE ignored: {output:#?}");
}
