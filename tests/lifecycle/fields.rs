//! Fields of runtime-spec that no other file here shows: docs/spec-coverage.md lists them all.

use std::fs;
use std::path::Path;

use runsig_tests::container::output_of;
use runsig_tests::leftovers::Before;
use runsig_tests::spec::{add_mount, set_capabilities, set_namespace};
use runsig_tests::{Bundle, Case, Container, Value, cases, harness, json, procs, require_runsig, skip};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "fields":
    version_of_another_major, later_minor_version, later_changes_of_config_change_nothing, annotations_in_state,
    nice_mount_options, all_mount_option_words, idmap_without_maps_is_refused, scheduler_fifo, scheduler_flags,
    scheduler_for_exec, io_priority_idle_for_exec, exec_affinity_is_seen_by_the_exec, umask_default,
    personality_for_exec, apparmor_where_there_is_none, selinux_where_there_is_none, mount_label_where_there_is_none,
    state_reaches_hooks_of_every_kind, failing_poststart_ends_the_container, hooks_in_the_namespaces_of_runtime_spec, monotonic_and_negative_offsets,
    time_namespace_by_path, mount_namespace_by_path, unbuffered_device, device_without_mode, device_type_unknown,
    memory_policy_is_set, memory_policy_of_an_exec, memory_policy_with_bad_nodes, rdt_where_there_is_none,
    propagation_of_the_root, unknown_propagation, seccomp_flag_is_unknown, seccomp_architectures,
    seccomp_two_filters_by_exec, console_size_by_the_bundle, ambient_without_inheritable,
    capabilities_survive_in_exec, domainname_without_uts];

fn sleeper() -> Bundle {
    Bundle::new().args(&["sleep", "1000"])
}

/// What a script prints in an exec.
#[track_caller]
fn exec(container: &Container, script: &str) -> String {
    container.runtime.call(&["exec", container.id(), "sh", "-c", script]).ok().text().to_string()
}

fn not_crun(why: &str) {
    if Container::new(Bundle::new()).runtime.kind() == "crun" {
        skip(format!("crun {why}"));
    }
}

/// A `create` that fails with these words and leaves nothing.
#[track_caller]
fn refused(change: impl FnOnce(&mut Value), texts: &[&str]) {
    let container = Container::new(sleeper().with(change));
    let before = Before::now(&container.runtime);
    container.create().fails(1, texts).one_line();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn version_of_another_major() {
    require_runsig("the peers do not look at ociVersion closely");
    refused(|config| config["ociVersion"] = "2.0.0".into(), &["2.0.0"]);
    refused(|config| config["ociVersion"] = "new".into(), &["new"]);
}

fn later_minor_version() {
    require_runsig("the peers do not look at ociVersion closely");
    assert_eq!(output_of("echo fine", |config| config["ociVersion"] = "1.9.0".into()), "fine");
}

fn later_changes_of_config_change_nothing() {
    // runtime.md, Create: a change of config.json after it has no effect.
    let mut container = Container::created(Bundle::script("echo first > /said"));
    container.bundle.config["process"]["args"] = json!(["sh", "-c", "echo second > /said"]);
    container.start().ok();
    assert_eq!(container.wait_for_file("/said"), "first\n");
}

fn annotations_in_state() {
    let given = json!({"org.example.a": "x", "org.example.empty": "", "with space": "ü"});
    let container = Container::running(sleeper().with(|config| config["annotations"] = given.clone()));
    let found = &container.state()["annotations"];
    for key in ["org.example.a", "org.example.empty", "with space"] {
        assert_eq!(found[key], given[key], "{found}");
    }
}

fn tmpfs_line(options: &[&str]) -> String {
    output_of("grep ' /mnt ' /proc/self/mountinfo", |config| {
        let mount = json!({"destination": "/mnt", "type": "tmpfs", "source": "t", "options": options});
        add_mount(config, mount);
    })
}

fn nice_mount_options() {
    for option in ["dirsync", "lazytime", "nosymfollow", "sync"] {
        if option == "nosymfollow" && Container::new(Bundle::new()).runtime.kind() != "runsig" {
            continue; // runc 1.2
        }
        let line = tmpfs_line(&[option]);
        assert!(line.split([' ', ',']).any(|word| word == option), "{option}: {line}");
    }
}

fn all_mount_option_words() {
    require_runsig("the recursive words came to runc in 1.2");
    // config.md's table without those that other tests show; each is understood, none reaches tmpfs.
    let words = "async atime defaults dev diratime exec loud nodev nodiratime noexec nolazytime \
        nomand norelatime nostrictatime nosuid ratime rdev rdiratime relatime rexec rnoatime rnodiratime rnoexec \
        rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime \
        rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow unbindable private iversion noiversion mand nomand";
    let table = output_of("cat /proc/self/mountinfo", |config| {
        for word in words.split_whitespace() {
            let destination = format!("/mnt-{word}");
            let mount =
                json!({"destination": destination, "type": "tmpfs", "source": "t", "options": [word]});
            add_mount(config, mount);
        }
    });
    for word in words.split_whitespace() {
        assert!(table.contains(&format!(" /mnt-{word} ")), "{word}: {table}");
    }
}

fn idmap_without_maps_is_refused() {
    require_runsig("idmapped mounts came to runc in 1.2");
    let source = harness::test_dir().to_str().expect("utf-8").to_string();
    let mount =
        json!({"destination": "/mnt", "type": "bind", "source": source, "options": ["bind", "idmap"]});
    refused(|config| add_mount(config, mount), &["map"]);
}

/// A field of /proc/1/stat after the command, counted as proc(5) does.
fn stat_field(text: &str, number: usize) -> String {
    let after = text.rsplit(") ").next().unwrap_or_default();
    after.split(' ').nth(number - 3).unwrap_or_default().to_string()
}

fn scheduler_fifo() {
    require_runsig("process.scheduler came to runc in 1.2 and to crun in 1.9");
    let container = Container::new(Bundle::script("cat /proc/1/stat").with(|config| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_FIFO", "priority": 7});
    }));
    let outcome = container.run();
    if outcome.code != 0 && outcome.stderr.contains("operation not permitted") {
        skip("no CAP_SYS_NICE, or a cgroup without real-time time");
    }
    let stat = outcome.ok().stdout;
    assert_eq!((stat_field(&stat, 41), stat_field(&stat, 40)), ("1".into(), "7".into()), "{stat}");
}

fn scheduler_flags() {
    require_runsig("process.scheduler came to runc in 1.2 and to crun in 1.9");
    let script = "cat /proc/1/stat; cat /proc/self/stat; true";
    let container = Container::new(Bundle::script(script).with(|config| {
        config["process"]["scheduler"] =
            json!({"policy": "SCHED_OTHER", "nice": -5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    }));
    let outcome = container.run();
    if outcome.code != 0 && outcome.stderr.contains("operation not permitted") {
        skip("no CAP_SYS_NICE");
    }
    // Children of a process with this flag do not get its privilege.
    let stats = outcome.ok().stdout;
    let nice: Vec<_> = stats.lines().map(|line| stat_field(line, 19)).collect();
    assert_eq!(nice, ["-5", "0"], "{stats}");
}

fn scheduler_for_exec() {
    require_runsig("process.scheduler came to runc in 1.2 and to crun in 1.9");
    let container = Container::running(sleeper().with(|config| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_IDLE"});
    }));
    assert_eq!(stat_field(&exec(&container, "cat /proc/self/stat"), 41), "5");
}

fn io_priority_idle_for_exec() {
    require_runsig("process.ioPriority came to runc in 1.2 and to crun in 1.9");
    let container = Container::running(sleeper().with(|config| {
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    }));
    assert!(exec(&container, "ionice -p $$").contains("idle"));
    let container = Container::running(sleeper().with(|config| {
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 2});
    }));
    let seen = exec(&container, "ionice -p $$");
    assert!(seen.contains("best-effort") && seen.contains('2'), "{seen}");
}

fn exec_affinity_is_seen_by_the_exec() {
    require_runsig("process.execCPUAffinity came to runc in 1.3");
    let list = procs::status_field(1, "Cpus_allowed_list").unwrap_or_default();
    if !list.starts_with("0-") {
        skip(format!("one needs more than one processor, and 0 among them: {list}"));
    }
    let allowed = "grep Cpus_allowed_list /proc/self/status | cut -f2";
    for affinity in [json!({"initial": "0", "final": "1"}), json!({"final": "1"})] {
        let container =
            Container::running(sleeper().with(|config| config["process"]["execCPUAffinity"] = affinity));
        assert_eq!(exec(&container, allowed), "1");
    }
    // Without a final one the process keeps what the cgroup lets it have.
    let container = Container::running(
        sleeper().with(|config| config["process"]["execCPUAffinity"] = json!({"initial": "0"})),
    );
    assert_eq!(exec(&container, allowed), "0");
}

fn umask_default() {
    // runtime-spec: not changed from the caller's. runc and crun: 0022.
    assert_eq!(output_of("umask", |_| {}), "0022");
    let container =
        Container::running(sleeper().with(|config| config["process"]["user"]["umask"] = json!(0o77)));
    let in_exec = exec(&container, "umask");
    if container.runtime.kind() == "runsig" {
        assert_eq!(in_exec, "0077");
    }
}

fn personality_for_exec() {
    require_runsig("linux.personality came to runc in 1.2");
    let container = Container::running(
        sleeper().with(|config| config["linux"]["personality"] = json!({"domain": "LINUX32"})),
    );
    assert_eq!(exec(&container, "cat /proc/$$/personality"), "00000008");
    refused(|config| config["linux"]["personality"] = json!({"domain": "SOLARIS"}), &["SOLARIS"]);
}

fn apparmor_where_there_is_none() {
    if Path::new("/sys/kernel/security/apparmor").exists() {
        skip("AppArmor is on");
    }
    not_crun("words it in its own way");
    let container =
        Container::new(sleeper().with(|config| config["process"]["apparmorProfile"] = "box".into()));
    container.create().fails(1, &["apparmor"]);
}

fn selinux_where_there_is_none() {
    if Path::new("/sys/fs/selinux/enforce").exists() {
        skip("SELinux is on");
    }
    let label = |config: &mut Value| config["process"]["selinuxLabel"] = "system_u:system_r:box_t:s0".into();
    not_crun("words it in its own way");
    let container = Container::new(sleeper().with(label));
    container.create().fails(1, &["selinux"]);
}

fn mount_label_where_there_is_none() {
    require_runsig("the peers fail with the kernel's words about the first tmpfs");
    if Path::new("/sys/fs/selinux/enforce").exists() {
        skip("SELinux is on");
    }
    refused(|config| config["linux"]["mountLabel"] = "system_u:object_r:box_t:s0".into(), &["selinux"]);
}

const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A container with a hook of every kind that runs `script` with its own name as `$0`; what they
/// write goes to files in a directory that is at the same place inside.
fn with_hooks(script: &str) -> (Container, std::path::PathBuf) {
    let out = harness::test_dir().join("out");
    fs::create_dir_all(&out).expect("mkdir");
    let path = out.to_str().expect("utf-8").to_string();
    let bundle = sleeper().with(|config| {
        add_mount(config, json!({"destination": path, "type": "bind", "source": path, "options": ["bind"]}));
        for kind in HOOKS {
            let args = json!(["sh", "-c", format!("cd {path} && {script}"), kind]);
            config["hooks"][kind] = json!([{"path": "/bin/sh", "args": args, "env": ["PATH=/bin:/usr/bin"]}]);
        }
        config["annotations"] = json!({"org.example.key": "value"});
    });
    (Container::new(bundle), out)
}

fn state_reaches_hooks_of_every_kind() {
    require_runsig("runc 1.1 and crun 1.8 give other statuses");
    let (container, out) = with_hooks("cat > $0");
    container.create().ok();
    let pid = container.pid();
    container.start().ok();
    container.delete_force().ok();
    // runtime.md, Lifecycle: what has happened when each kind runs.
    let statuses = ["creating", "creating", "creating", "created", "running", "stopped"];
    for (kind, status) in HOOKS.into_iter().zip(statuses) {
        let text = fs::read_to_string(out.join(kind)).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let state: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{kind}: {error}: {text}"));
        assert_eq!(state["status"], status, "{kind}");
        assert_eq!(state["id"], container.id(), "{kind}");
        assert_eq!(state["bundle"], container.bundle.dir.to_str().expect("utf-8"), "{kind}");
        assert_eq!(state["annotations"]["org.example.key"], "value", "{kind}");
        // The version that the state is of, not the bundle's.
        assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{kind}");
        assert_ne!(state["ociVersion"], container.bundle.config["ociVersion"], "{kind}");
        // As whoever reads it sees it: the runtime, or the container.
        match kind {
            "poststop" => assert!(state["pid"].is_null(), "{kind}"),
            "createContainer" | "startContainer" => assert_eq!(state["pid"], 1, "{kind}"),
            _ => assert_eq!(state["pid"], pid, "{kind}"),
        }
    }
}

fn failing_poststart_ends_the_container() {
    // runtime.md, Lifecycle, step 9. runc 1.1 runs these hooks at the end of create.
    not_crun("warns and goes on");
    let container = Container::new(sleeper().with(|config| {
        config["hooks"]["poststart"] = json!([{"path": "/bin/sh", "args": ["sh", "-c", "exit 7"]}]);
    }));
    let created = container.create();
    if created.code == 0 {
        container.start().fails(1, &["poststart", "exit status 7"]);
        container.expect_status("stopped");
    } else {
        assert_eq!(container.runtime.kind(), "runc", "{created:#?}");
    }
}

fn hooks_in_the_namespaces_of_runtime_spec() {
    let (container, out) = with_hooks("for n in mnt uts net ipc; do readlink /proc/self/ns/$n; done > $0");
    let container_of = |kind: &str| matches!(kind, "createContainer" | "startContainer");
    container.create().ok();
    container.start().ok();
    let read = |pid: i32| ["mnt", "uts", "net", "ipc"].map(|name| procs::namespace(pid, name)).join("\n");
    let (inside, outside) = (read(container.pid()), read(std::process::id().cast_signed()));
    container.delete_force().ok();
    for kind in HOOKS {
        let found = fs::read_to_string(out.join(kind)).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(found.trim_end(), if container_of(kind) { &inside } else { &outside }, "{kind}");
    }
}

fn with_offsets(config: &mut Value, offsets: Value) {
    set_namespace(config, "time", None);
    config["linux"]["timeOffsets"] = offsets;
}

fn monotonic_and_negative_offsets() {
    require_runsig("time namespaces came to runc in 1.2 and to crun in 1.8.2");
    let output = output_of("cat /proc/self/timens_offsets", |config| {
        let offsets = json!({"monotonic": {"secs": 1000, "nanosecs": 500}, "boottime": {"secs": -1}});
        with_offsets(config, offsets);
    });
    let words: Vec<_> = output.split_whitespace().collect();
    // The kernel keeps nanoseconds positive.
    assert_eq!(words, ["monotonic", "1000", "500", "boottime", "-1", "0"]);
}

fn time_namespace_by_path() {
    require_runsig("time namespaces came to runc in 1.2 and to crun in 1.8.2");
    let first = Container::running(
        sleeper().with(|config| with_offsets(config, json!({"boottime": {"secs": 7_000_000}}))),
    );
    let path = format!("/proc/{}/ns/time", first.pid());
    let link = output_of("readlink /proc/self/ns/time", |config| {
        set_namespace(config, "time", Some(&path));
    });
    assert_eq!(link, procs::namespace(first.pid(), "time"));
    assert_ne!(link, procs::namespace(1, "time"));
}

fn mount_namespace_by_path() {
    not_crun("leaves a cgroup behind");
    let first = Container::running(sleeper());
    let path = format!("/proc/{}/ns/mnt", first.pid());
    let second = Container::new(sleeper().with(|config| {
        set_namespace(config, "mount", Some(&path));
        // The bundle's root is on the host, which that namespace does not show.
        config["mounts"] = json!([]);
    }));
    let before = Before::now(&second.runtime);
    let outcome = second.create();
    // Whatever a runtime makes of a root that it cannot see from there: the first one is not harmed.
    if outcome.code != 0 {
        before.assert_clean(&second.runtime, &second.bundle);
    }
    second.delete_force().ok();
    assert_eq!(exec(&first, "ls /bin/busybox"), "/bin/busybox");
}

fn device(config: &mut Value, device: Value) {
    config["linux"]["devices"] = json!([device]);
}

fn unbuffered_device() {
    let output = output_of("stat -c '%F %t:%T' /dev/mine", |config| {
        device(config, json!({"path": "/dev/mine", "type": "u", "major": 1, "minor": 5, "fileMode": 0o600}));
    });
    assert_eq!(output, "character special file 1:5");
}

fn device_without_mode() {
    // Peers give 0666 too.
    let output = output_of("stat -c '%F %a %u:%g' /dev/mine", |config| {
        device(config, json!({"path": "/dev/mine", "type": "c", "major": 1, "minor": 5}));
    });
    assert_eq!(output, "character special file 666 0:0");
}

fn device_type_unknown() {
    not_crun("makes something of any type");
    let container = Container::new(sleeper().with(|config| {
        device(config, json!({"path": "/dev/mine", "type": "x", "major": 1, "minor": 5}));
    }));
    let before = Before::now(&container.runtime);
    assert_ne!(container.create().code, 0);
    before.assert_clean(&container.runtime, &container.bundle);
}

fn require_numa() {
    require_runsig("linux.memoryPolicy came to runc in 1.4");
    if !Path::new("/proc/self/numa_maps").exists() {
        skip("this kernel has no NUMA");
    }
}

fn memory_policy_is_set() {
    require_numa();
    for (policy, word) in [
        (json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}), "interleave:0"),
        (json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}), "bind=static:0"),
        (json!({"mode": "MPOL_PREFERRED", "nodes": "0"}), "prefer:0"),
        (json!({"mode": "MPOL_LOCAL"}), "local"),
        (json!({"mode": "MPOL_DEFAULT"}), "default"),
    ] {
        let maps = output_of("cat /proc/self/numa_maps", |config| config["linux"]["memoryPolicy"] = policy);
        // The stack was made before the policy; the heap has it.
        assert!(maps.lines().any(|line| line.split(' ').nth(1) == Some(word)), "{word}: {maps}");
    }
}

fn memory_policy_of_an_exec() {
    require_numa();
    let policy = json!({"mode": "MPOL_BIND", "nodes": "0"});
    let container = Container::running(sleeper().with(|config| config["linux"]["memoryPolicy"] = policy));
    assert!(exec(&container, "cat /proc/self/numa_maps").contains(" bind:0 "));
}

fn memory_policy_with_bad_nodes() {
    require_numa();
    for policy in [
        json!({"mode": "MPOL_BIND"}),
        json!({"mode": "MPOL_BIND", "nodes": "x"}),
        json!({"mode": "MPOL_DEFAULT", "nodes": "0"}),
        json!({"mode": "MPOL_GREEDY", "nodes": "0"}),
        json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_MADE_UP"]}),
    ] {
        refused(|config| config["linux"]["memoryPolicy"] = policy, &[]);
    }
}

fn rdt_where_there_is_none() {
    if fs::read_to_string("/proc/self/mountinfo").is_ok_and(|table| table.contains(" - resctrl ")) {
        skip("resctrl is mounted here");
    }
    let container =
        Container::new(sleeper().with(|config| config["linux"]["intelRdt"] = json!({"closID": "gold"})));
    require_runsig("runc 1.1 looks at the schemas only, and crun words it in its own way");
    let before = Before::now(&container.runtime);
    container.create().fails(1, &["intelRdt is specified in config, but Intel RDT is not"]).one_line();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn root_line(word: &str) -> String {
    let line = output_of("awk '$5 == \"/\"' /proc/self/mountinfo", |config| {
        config["linux"]["rootfsPropagation"] = word.into();
    });
    line.split(" - ").next().unwrap_or_default().to_string()
}

fn propagation_of_the_root() {
    require_runsig(
        "runc 1.1 does not share the root, and none of the peers hides parts of an unbindable one",
    );
    for word in ["private", "rprivate"] {
        let line = root_line(word);
        assert!(!line.contains("shared:") && !line.contains("master:"), "{word}: {line}");
    }
    for word in ["shared", "rshared"] {
        assert!(root_line(word).contains("shared:"), "{word}: {}", root_line(word));
    }
    for word in ["unbindable", "runbindable"] {
        assert!(root_line(word).contains("unbindable"), "{word}: {}", root_line(word));
    }
}

fn unknown_propagation() {
    require_runsig("runc ends with the words of another field");
    refused(|config| config["linux"]["rootfsPropagation"] = "sideways".into(), &["sideways"]);
}

fn seccomp(config: &mut Value, more: Value) {
    config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls":
        [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]});
    for (key, value) in more.as_object().expect("an object") {
        config["linux"]["seccomp"][key] = value.clone();
    }
}

fn seccomp_flag_is_unknown() {
    require_runsig("flags came to runc in 1.2");
    refused(
        |config| seccomp(config, json!({"flags": ["SECCOMP_FILTER_FLAG_MADE_UP"]})),
        &["SECCOMP_FILTER_FLAG_MADE_UP"],
    );
    for flag in ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG"] {
        let output = output_of("mkdir /x 2>&1; true", |config| seccomp(config, json!({"flags": [flag]})));
        assert!(output.contains("No space left"), "{flag}: {output}");
    }
}

fn seccomp_architectures() {
    not_crun("does not name the architecture");
    let container = Container::new(sleeper().with(|config| {
        seccomp(config, json!({"architectures": ["SCMP_ARCH_PDP11"]}));
    }));
    let outcome = container.create();
    assert_ne!(outcome.code, 0, "{outcome:#?}");
    assert!(outcome.stderr.contains("SCMP_ARCH_PDP11"), "{outcome:#?}");
    let every =
        json!(["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64"]);
    let output = output_of("mkdir /x 2>&1; true", |config| seccomp(config, json!({"architectures": every})));
    assert!(output.contains("No space left"), "{output}");
}

fn seccomp_two_filters_by_exec() {
    let container = Container::running(sleeper().with(|config| seccomp(config, json!({}))));
    assert!(exec(&container, "mkdir /x 2>&1; true").contains("No space left"));
}

fn console_size_by_the_bundle() {
    // Without a terminal the size says nothing, and is no error.
    let output = output_of("echo fine", |config| {
        config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    });
    assert_eq!(output, "fine");
}

fn ambient_without_inheritable() {
    not_crun("fails instead of going on");
    let container = Container::new(Bundle::script("grep ^CapAmb /proc/self/status").with(|config| {
        config["process"]["capabilities"]["ambient"] = json!(["CAP_KILL"]);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    }));
    // The kernel allows only what is permitted and inheritable. runc warns and goes on.
    assert!(container.run().ok().text().ends_with("0000000000000000"));
}

fn capabilities_survive_in_exec() {
    not_crun("leaves no_new_privs out of an exec");
    let container =
        Container::running(sleeper().with(|config| set_capabilities(config, &["CAP_KILL", "CAP_CHOWN"])));
    let seen = exec(&container, "grep ^Cap /proc/self/status");
    assert!(seen.lines().all(|line| line.ends_with("0000000000000021")), "{seen}");
    assert_eq!(exec(&container, "grep ^NoNewPrivs /proc/self/status | cut -f2"), "1");
}

fn domainname_without_uts() {
    require_runsig("domainname came to runc in 1.2");
    refused(
        |config| {
            runsig_tests::spec::drop_namespace(config, "uts");
            config.as_object_mut().expect("an object").remove("hostname");
            config["domainname"] = "example.org".into();
        },
        &["unable to set domainname without a private UTS namespace"],
    );
}
