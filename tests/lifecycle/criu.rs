//! `checkpoint` and `restore` against a `criu` of our own: what is asked of it, what becomes of the
//! container when it fails or talks nonsense, and mistakes that need no CRIU.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use runsig_tests::console::DescriptorSocket;
use runsig_tests::fake_criu::{FakeCriu, Message};
use runsig_tests::leftovers::Before;
use runsig_tests::runtime::{LIMIT, Running, finish, scratch};
use runsig_tests::spec::{add_mount, drop_namespace, set_namespace};
use runsig_tests::{Bundle, Case, Container, Outcome, cases, json, require_runsig, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "criu": dump_is_asked_for_as_runc_asks, flags_reach_criu, binds_and_masks_are_external,
        joined_network_is_external, failed_dump_leaves_it_running, nonsense_from_criu_is_an_error,
        successful_dump_removes_it, left_running_and_pre_dump, lazy_pages_are_announced, old_criu_is_refused,
        missing_criu_is_named, missing_features_are_named, wrong_states, wrong_flags, restore_is_asked_for,
        restore_flags_reach_criu, idmapped_mounts_are_made_for_criu,
        failed_restore_leaves_nothing, nonsense_from_criu_ends_a_restore, restored_in_front,
        failing_hook_ends_a_restore, killed_restore_is_cleaned_up, taken_id_is_refused, features_say_so,
        place_of_a_services_messages;
    V1 "criu": dump_is_asked_for_as_runc_asks, restored_in_front, killed_restore_is_cleaned_up;
];

// Tags of CRIU's options (images/rpc.proto of its sources).
const OPTIONS: u64 = 2;
const PID: u64 = 2;
const LEAVE_RUNNING: u64 = 3;
const WORK_DIR_FD: u64 = 17;
const SHELL_JOB: u64 = 7;
const LOG_FILE: u64 = 10;
const PAGE_SERVER: u64 = 11;
const NOTIFY_SCRIPTS: u64 = 12;
const ROOT: u64 = 13;
const PARENT: u64 = 14;
const TRACK_MEM: u64 = 15;
const EXT_MNT: u64 = 23;
const CG_ROOT: u64 = 25;
const RST_SIBLING: u64 = 26;
const INHERIT_FD: u64 = 27;
const CGROUPS_MODE: u64 = 34;
const EXTERNAL: u64 = 37;
const EMPTY_NS: u64 = 38;
const JOIN_NS: u64 = 39;
const FREEZE_CGROUP: u64 = 44;
const LAZY_PAGES: u64 = 48;
const CONFIG_FILE: u64 = 51;
const LSM_PROFILE: u64 = 53;
const LSM_MOUNT_CONTEXT: u64 = 63;

struct Scene {
    container: Container,
    criu: FakeCriu,
    images: PathBuf,
}

impl Scene {
    fn of(bundle: Bundle) -> Scene {
        require_runsig("a criu of our own stands in for the real one");
        Scene { container: Container::new(bundle), criu: FakeCriu::new(), images: scratch("images") }
    }

    /// A running container.
    fn running(bundle: Bundle) -> Scene {
        let scene = Scene::of(bundle.args(&["sleep", "1000"]));
        scene.container.create().ok();
        scene.container.start().ok();
        scene
    }

    /// Images of a container that is not there any more.
    fn saved(bundle: Bundle) -> Scene {
        let scene = Scene::of(bundle);
        fs::create_dir_all(&scene.images).expect("mkdir");
        fs::write(scene.images.join("descriptors.json"), r#"["/dev/null","pipe:[17]","/dev/null"]"#)
            .expect("write");
        scene
    }

    fn command(&self, verb: &str, part: &str, args: &[&str]) -> std::process::Command {
        let images = self.images.to_str().expect("utf-8");
        let all: Vec<&str> = ["--image-path", images].iter().chain(args).copied().collect();
        let mut command = self.container.command(verb, &all);
        self.criu.play(&mut command, part);
        command
    }

    fn call(&self, verb: &str, part: &str, args: &[&str]) -> Outcome {
        finish(self.command(verb, part, args), LIMIT)
    }

    #[track_caller]
    fn options(&self, kind: &str) -> Message {
        self.criu.request(kind).unwrap_or_else(|| panic!("no {kind} was asked for")).message(OPTIONS)
    }

    fn external_mounts(&self, kind: &str) -> Vec<(String, String)> {
        let pair = |mount: &Message| Some((mount.texts(1).pop()?, mount.texts(2).pop()?));
        self.options(kind).messages(EXT_MNT).iter().filter_map(pair).collect()
    }
}

fn dump_is_asked_for_as_runc_asks() {
    let scene = Scene::running(Bundle::new());
    let pid = scene.container.pid();
    scene.call("checkpoint", "good", &[]).ok();
    let options = scene.options("dump");
    assert_eq!(options.value(PID), u64::try_from(pid).ok());
    assert_eq!(options.texts(LOG_FILE), ["dump.log"]);
    assert_eq!(options.texts(ROOT), [scene.container.bundle.rootfs().to_str().expect("utf-8")]);
    assert_eq!(options.texts(CONFIG_FILE), ["/etc/criu/runc.conf"]);
    assert_eq!((options.value(NOTIFY_SCRIPTS), options.value(LEAVE_RUNNING)), (Some(1), Some(0)));
    assert_eq!((options.value(CGROUPS_MODE), options.value(EMPTY_NS)), (Some(6), Some(0x4000_0000)));
    assert!(options.messages(PARENT).is_empty() && options.value(TRACK_MEM).is_none());
    let freezer = options.texts(FREEZE_CGROUP).pop().expect("a cgroup to freeze");
    assert!(freezer.ends_with(&scene.container.bundle.cgroup()), "{freezer}");
    // Scripts we have nothing to do for are agreed to.
    assert_eq!(scene.criu.answers(), "pre-dump=true\nno-such-script=true\nstatus-ready=true\n");
    let streams =
        fs::read_to_string(scene.images.join("descriptors.json")).expect("written beside the images");
    let streams: Vec<String> = serde_json(&streams);
    assert_eq!(streams.len(), 3);
    assert_eq!(streams[0], "/dev/null");
}

fn serde_json(text: &str) -> Vec<String> {
    let value: runsig_tests::Value = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    let list = value.as_array().expect("a list").iter();
    list.map(|item| item.as_str().expect("a text").to_owned()).collect()
}

fn flags_reach_criu() {
    let scene = Scene::running(Bundle::new().with(|config| {
        config["annotations"]["org.criu.config"] = "/my.conf".into();
    }));
    fs::create_dir_all(scene.images.join("../parent")).expect("mkdir");
    let flags = [
        "--leave-running",
        "--tcp-established",
        "--tcp-skip-in-flight",
        "--link-remap",
        "--ext-unix-sk",
        "--shell-job",
        "--file-locks",
        "--auto-dedup",
        "--empty-ns",
        "network",
        "--manage-cgroups-mode",
        "strict",
        "--parent-path",
        "../parent",
        "--page-server",
        "[::1]:77",
    ];
    fs::create_dir_all(&scene.images).expect("mkdir");
    scene.call("checkpoint", "good", &flags).ok();
    let options = scene.options("dump");
    for tag in [LEAVE_RUNNING, 4, 5, SHELL_JOB, 8, TRACK_MEM, 16, 18, 46] {
        assert_eq!(options.value(tag), Some(1), "{tag}");
    }
    assert_eq!(options.value(CGROUPS_MODE), Some(5));
    assert_eq!(options.texts(PARENT), ["../parent"]);
    assert_eq!(options.texts(CONFIG_FILE), ["/my.conf"]);
    let server = options.message(PAGE_SERVER);
    assert_eq!((server.texts(1), server.value(2)), (vec!["::1".to_owned()], Some(77)));
    scene.container.expect_status("running");
}

fn binds_and_masks_are_external() {
    let bundle = Bundle::new().directory("/real").with(|config| {
        add_mount(config, json!({"destination": "/link/new", "source": "/tmp", "options": ["bind"]}));
        config["linux"]["devices"] = json!([{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3}]);
    });
    std::os::unix::fs::symlink("/real", bundle.rootfs().join("link")).expect("symlink");
    let scene = Scene::running(bundle);
    scene.call("checkpoint", "good", &["--leave-running"]).ok();
    let mounts = scene.external_mounts("dump");
    let has = |key: &str, value: &str| mounts.contains(&(key.to_owned(), value.to_owned()));
    assert!(has("/real/new", "/real/new"), "{mounts:?}");
    assert!(has("/proc/keys", "/dev/null"), "{mounts:?}");
    assert!(has("/dev/mine", "/dev/mine") && has("/dev/null", "/dev/null"), "{mounts:?}");
    assert!(
        !mounts.iter().any(|(key, _)| key == "/sys/firmware"),
        "a directory is masked by a tmpfs: {mounts:?}"
    );
    // A pre-dump saves no mounts.
    scene.call("checkpoint", "good", &["--pre-dump"]).ok();
    assert!(scene.external_mounts("pre-dump").is_empty());
}

fn joined_network_is_external() {
    let owner = Container::running(Bundle::new().args(&["sleep", "1000"]));
    let path = format!("/proc/{}/ns/net", owner.pid());
    let scene = Scene::running(Bundle::new().with(|config| set_namespace(config, "network", Some(&path))));
    scene.call("checkpoint", "good", &["--leave-running"]).ok();
    let link = runsig_tests::procs::namespace(owner.pid(), "net").replace(':', "");
    assert_eq!(scene.options("dump").texts(EXTERNAL), [format!("{link}:extRootNetNS")]);
    let outcome = scene.call("checkpoint", "older", &["--leave-running"]);
    let _ = outcome.fails(1, &["criu lacks support for external net namespace during checkpointing"]);
}

fn failed_dump_leaves_it_running() {
    let scene = Scene::running(Bundle::new());
    let work = scratch("work");
    let outcome = scene.call("checkpoint", "refuse", &["--work-path", work.to_str().expect("utf-8")]);
    let log = work.join("dump.log");
    let why = "criu failed: type DUMP errno 16: Error: the moon; is in the way";
    let outcome = outcome.fails(1, &[why, log.to_str().expect("utf-8")]);
    assert!(outcome.stderr.contains("open "), "there is no log to quote: {outcome:#?}");
    assert_eq!(scene.container.status(), "running");
    assert!(work.is_dir(), "made where it was missing");
}

/// Parts of the false CRIU and what is said about them.
const NONSENSE: [(&str, &str); 8] = [
    ("eof", "criu: unexpected EOF"),
    ("garbage", "criu: unable to parse the response"),
    ("flood", "criu: a message is too long"),
    ("other-type", "unexpected type"),
    ("unknown-type", "unexpected type 4711"),
    ("nothing-to-notify", "a notification of nothing"),
    ("exits-1", "criu failed: exit status 1"),
    ("killed", "criu failed: killed by signal 9"),
];

fn nonsense_from_criu_is_an_error() {
    let scene = Scene::running(Bundle::new());
    for (part, words) in NONSENSE {
        let outcome = scene.call("checkpoint", part, &[]);
        let _ = outcome.fails(1, &[words, "dump.log"]);
        assert_eq!(scene.container.status(), "running", "{part}");
    }
    // A pre-dump that has succeeded may end as it likes.
    scene.call("checkpoint", "exits-1", &["--pre-dump"]).ok();
}

fn successful_dump_removes_it() {
    let hook = scratch("poststop");
    let scene = Scene::of(Bundle::new().args(&["sleep", "1000"]).with(|config| {
        let script = format!("echo x >> {}", hook.display());
        config["hooks"]["poststop"] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    }));
    let before = Before::now(&scene.container.runtime);
    scene.container.create().ok();
    scene.container.start().ok();
    scene.call("checkpoint", "good", &[]).ok();
    let _ = scene.container.verb("state", &[]).fails(1, &["container does not exist"]);
    assert_eq!(fs::read_to_string(hook).unwrap_or_default(), "x\n", "poststop hooks run");
    before.assert_clean(&scene.container.runtime, &scene.container.bundle);
}

fn left_running_and_pre_dump() {
    let scene = Scene::running(Bundle::new());
    for flag in ["--leave-running", "--pre-dump"] {
        scene.call("checkpoint", "good", &[flag]).ok();
        assert_eq!(scene.container.status(), "running", "{flag}");
    }
    scene.container.verb("pause", &[]).ok();
    scene.call("checkpoint", "good", &["--leave-running"]).ok();
    assert_eq!(scene.container.status(), "paused");
}

fn lazy_pages_are_announced() {
    let scene = Scene::running(Bundle::new());
    let ready = scratch("ready");
    let runtime =
        scene.command("checkpoint", "good", &["--leave-running", "--lazy-pages", "--status-fd", "9"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("exec \"$0\" \"$@\" 9>{}", ready.display())]);
    shell.arg(runtime.get_program()).args(runtime.get_args());
    scene.criu.play(&mut shell, "good");
    finish(shell, LIMIT).ok();
    assert_eq!(scene.options("dump").value(LAZY_PAGES), Some(1));
    assert_eq!(fs::read(&ready).expect("the file"), [0], "one NUL byte");
    // Without lazy pages nobody is told, and nobody looks at the descriptor.
    scene.call("checkpoint", "good", &["--leave-running", "--status-fd", "99"]).ok();
    let bad = scene.call("checkpoint", "good", &["--lazy-pages", "--status-fd", "99"]);
    let _ = bad.fails(1, &["invalid --status-fd argument 99: bad file descriptor"]);
}

fn old_criu_is_refused() {
    let scene = Scene::running(Bundle::new());
    let outcome = scene.call("checkpoint", "old", &[]);
    let _ = outcome.fails(1, &["CRIU version 21201 must be 30000 or higher"]).one_line();
    assert!(scene.criu.request("dump").is_none());
    let restore = scene.call("restore", "old", &["--detach"]);
    let _ = restore.fails(1, &["CRIU version 21201 must be 30000 or higher"]);
    let _ = scene
        .call("restore", "older", &["--detach", "--lsm-profile", "apparmor:x"])
        .fails(1, &["--lsm-profile requires at least CRIU 3.16"]);
    let _ = scene
        .call("restore", "older", &["--detach", "--lsm-mount-context", "x"])
        .fails(1, &["--lsm-mount-context requires at least CRIU 3.16"]);
}

fn missing_criu_is_named() {
    let scene = Scene::running(Bundle::new());
    let mut command = scene.command("checkpoint", "good", &[]);
    command.env("PATH", "/no/such/directory");
    let words = r#"CRIU version check failed: exec: \"criu\": executable file not found in $PATH"#;
    let _ = finish(command, LIMIT).fails(1, &[words]).one_line();
    assert_eq!(scene.container.status(), "running");
}

fn missing_features_are_named() {
    let scene = Scene::running(Bundle::new());
    for (flag, name) in [("--pre-dump", "[MemTrack]"), ("--lazy-pages", "[LazyPages]")] {
        let outcome = scene.call("checkpoint", "featureless", &[flag]);
        let _ = outcome.fails(1, &["criu is missing features", name]).one_line();
    }
}

fn wrong_states() {
    let scene = Scene::of(Bundle::new());
    let _ = scene.call("checkpoint", "good", &[]).fails(1, &["container does not exist"]);
    scene.container.create().ok();
    let _ = scene
        .call("checkpoint", "good", &[])
        .fails(1, &["Container cannot be checkpointed in created state"]);
    scene.container.start().ok();
    scene.container.expect_status("stopped");
    let _ = scene
        .call("checkpoint", "good", &[])
        .fails(1, &["Container cannot be checkpointed in stopped state"]);
    assert!(scene.criu.request("version").is_none(), "criu is not even started");
}

fn wrong_flags() {
    let scene = Scene::running(Bundle::new());
    for (flags, words) in [
        (["--manage-cgroups-mode", "hard"], "invalid manage-cgroups-mode value"),
        (["--empty-ns", "ipc"], r#"namespace \"ipc\" is not supported"#),
        (["--page-server", "nowhere"], "Use --page-server ADDRESS:PORT to specify page server"),
        (["--page-server", "h:x"], "Invalid port number"),
        (["--parent-path", "/absolute"], "--parent-path must be relative"),
        (["--parent-path", "../absent"], "invalid --parent-path: stat"),
        (["--status-fd", "x"], r#"invalid value \"x\" for flag -status-fd"#),
    ] {
        let _ = scene.call("checkpoint", "good", &flags).fails(1, &[words]);
    }
    assert!(scene.criu.request("dump").is_none());
    assert_eq!(scene.container.status(), "running");
}

fn restore_is_asked_for() {
    let scene = Scene::saved(Bundle::new().with(|config| {
        add_mount(config, json!({"destination": "/data/deep", "source": "/tmp", "options": ["bind"]}));
        drop_namespace(config, "ipc");
        set_namespace(config, "ipc", Some("/proc/self/ns/ipc"));
        set_namespace(config, "network", Some("/proc/self/ns/net"));
    }));
    let flags =
        ["--detach", "--shell-job", "--lsm-profile", "apparmor:mine", "--manage-cgroups-mode", "ignore"];
    let _ = scene.call("restore", "good", &flags).fails(1, &["it restored nothing"]);
    let options = scene.options("restore");
    assert_eq!(options.texts(LOG_FILE), ["restore.log"]);
    assert_eq!((options.value(RST_SIBLING), options.value(SHELL_JOB)), (Some(1), Some(1)));
    assert_eq!(options.value(CGROUPS_MODE), Some(0));
    assert_eq!(options.texts(LSM_PROFILE), ["apparmor:mine"]);
    let inherited: Vec<String> = options.messages(INHERIT_FD).iter().flat_map(|fd| fd.texts(1)).collect();
    assert_eq!(inherited, ["extRootNetNS", "pipe:[17]"]);
    assert_eq!(options.messages(INHERIT_FD)[1].value(2), Some(1), "standard output again");
    assert_eq!(options.message(JOIN_NS).texts(1), ["ipc"]);
    let roots: Vec<String> = options.messages(CG_ROOT).iter().flat_map(|root| root.texts(2)).collect();
    assert!(roots.contains(&scene.container.bundle.cgroup()), "{roots:?}");
    let mounts = scene.external_mounts("restore");
    assert!(mounts.contains(&("/data/deep".to_owned(), "/tmp".to_owned())), "{mounts:?}");
    assert!(mounts.contains(&("/dev/null".to_owned(), "/dev/null".to_owned())), "{mounts:?}");
    assert!(scene.container.bundle.rootfs().join("data/deep").is_dir(), "places of mounts are made");
}

fn restore_flags_reach_criu() {
    let scene = Scene::saved(Bundle::new());
    let work = scratch("work");
    let flags = "--detach --tcp-established --ext-unix-sk --shell-job --file-locks --auto-dedup --lazy-pages \
        --empty-ns network --manage-cgroups-mode full --lsm-mount-context system_u:object_r:x:s0:c1,c2";
    let mut with: Vec<&str> = flags.split_whitespace().collect();
    with.extend(["--work-path", work.to_str().expect("utf-8")]);
    let switches = [4, 5, SHELL_JOB, 8, 16, LAZY_PAGES];
    let _ = scene.call("restore", "good", &with).fails(1, &["it restored nothing"]);
    let options = scene.options("restore");
    for tag in switches {
        assert_eq!(options.value(tag), Some(1), "{tag}");
    }
    assert_eq!((options.value(CGROUPS_MODE), options.value(EMPTY_NS)), (Some(4), Some(0x4000_0000)));
    assert_eq!(options.texts(LSM_MOUNT_CONTEXT), ["system_u:object_r:x:s0:c1,c2"]);
    assert!(options.texts(LSM_PROFILE).is_empty());
    assert!(options.value(WORK_DIR_FD).is_some() && work.is_dir());

    let _ = scene.call("restore", "good", &["--detach"]).fails(1, &["it restored nothing"]);
    let options = scene.options("restore");
    for tag in switches {
        assert_ne!(options.value(tag), Some(1), "{tag}");
    }
    assert!(options.value(WORK_DIR_FD).is_none() && options.texts(LSM_MOUNT_CONTEXT).is_empty());
}

/// CRIU knows nothing of maps: it is given a mount that has them already.
fn idmapped_mounts_are_made_for_criu() {
    let source = scratch("source");
    fs::create_dir_all(&source).expect("mkdir");
    let map = json!([{"containerID": 0, "hostID": 500_000, "size": 1}]);
    let scene = Scene::saved(Bundle::new().with(|config| {
        add_mount(
            config,
            json!({"destination": "/mapped", "source": source, "options": ["bind"],
                "uidMappings": map, "gidMappings": map}),
        );
    }));
    let before = Before::now(&scene.container.runtime);
    let _ = scene.call("restore", "good", &["--detach"]).fails(1, &["it restored nothing"]);
    let mounts = scene.external_mounts("restore");
    let given = &mounts.iter().find(|mount| mount.0 == "/mapped").expect("is external").1;
    let state = scene.container.runtime.root.to_str().expect("utf-8");
    assert!(given.starts_with(state), "not its source: {given}");
    before.assert_clean(&scene.container.runtime, &scene.container.bundle);
}

fn failed_restore_leaves_nothing() {
    let scene = Scene::saved(Bundle::new());
    let before = Before::now(&scene.container.runtime);
    let outcome = scene.call("restore", "refuse", &["--detach"]);
    let _ = outcome.fails(1, &["criu failed: type RESTORE errno 16: Error: the moon", "restore.log"]);
    before.assert_clean(&scene.container.runtime, &scene.container.bundle);
    assert!(scene.container.bundle.rootfs().join("bin/busybox").exists(), "the rootfs is as it was");
    fs::remove_file(scene.images.join("descriptors.json")).expect("remove");
    let _ = scene.call("restore", "good", &["--detach"]).fails(1, &["descriptors.json: no such file"]);
    fs::write(scene.images.join("descriptors.json"), "{").expect("write");
    let _ = scene.call("restore", "good", &["--detach"]).fails(1, &["descriptors.json"]).one_line();
    before.assert_clean(&scene.container.runtime, &scene.container.bundle);
}

fn nonsense_from_criu_ends_a_restore() {
    let scene = Scene::saved(Bundle::new());
    let before = Before::now(&scene.container.runtime);
    let own = [
        ("terminal-without-descriptor", "a terminal without a descriptor"),
        ("negative-process", "process -1 is no child of ours"),
        ("host-init", "process 1 is no child of ours"),
        ("no-process", "process 2147483647 is no child of ours"),
        ("good", "it restored nothing"),
    ];
    for (part, words) in NONSENSE.into_iter().chain(own) {
        let _ = scene.call("restore", part, &["--detach"]).fails(1, &[words]);
        before.assert_clean(&scene.container.runtime, &scene.container.bundle);
    }
    assert!(
        scene.criu.answers().contains("orphan-pts-master=false\n"),
        "criu is told: {}",
        scene.criu.answers()
    );
}

fn restored_in_front() {
    let scene = Scene::saved(Bundle::new());
    let before = Before::now(&scene.container.runtime);
    let pid_file = scratch("pid");
    // The false CRIU's process ends by itself with 7.
    let outcome = scene.call("restore", "orphan", &["--pid-file", pid_file.to_str().expect("utf-8")]);
    assert_eq!(outcome.code, 7, "{outcome:#?}");
    let agreed = "setup-namespaces=true\npost-restore=true\nnetwork-unlock=true\npost-resume=true\n";
    assert_eq!(scene.criu.answers(), agreed);
    assert!(fs::read_to_string(pid_file).expect("a PID file").parse::<i32>().is_ok());
    before.assert_clean(&scene.container.runtime, &scene.container.bundle);
}

fn failing_hook_ends_a_restore() {
    let scene = Scene::saved(Bundle::new().with(|config| {
        let args = json!(["sh", "-c", "cat >&2; exit 3"]);
        config["hooks"]["createRuntime"] = json!([{"path": "/bin/sh", "args": args}]);
    }));
    let before = Before::now(&scene.container.runtime);
    let outcome = scene.call("restore", "orphan", &[]);
    let _ = outcome
        .fails(1, &["error running createRuntime hook #0: exit status 3", r#"\"status\":\"creating\""#]);
    assert_eq!(scene.criu.answers(), "setup-namespaces=false\n");
    before.assert_clean(&scene.container.runtime, &scene.container.bundle);
}

fn killed_restore_is_cleaned_up() {
    let scene = Scene::saved(Bundle::new());
    let before = Before::now(&scene.container.runtime);
    for by_delete in [true, false] {
        let mut restore = Running::start(scene.command("restore", "hang", &["--detach"]));
        wait::expect("criu at work", || scene.criu.request("restore").is_some());
        assert_eq!(scene.container.status(), "creating");
        restore.child.kill().expect("kill");
        let _ = restore.finish(Duration::from_secs(5));
        // CRIU hangs on, in the container's cgroup.
        if by_delete {
            scene.container.delete_force().ok();
        } else {
            let _ = scene.call("restore", "refuse", &["--detach"]).fails(1, &["criu failed: type RESTORE"]);
        }
        before.assert_clean(&scene.container.runtime, &scene.container.bundle);
        assert!(scene.container.bundle.rootfs().join("bin/busybox").exists(), "the rootfs is as it was");
        scene.criu.forget();
    }
}

fn taken_id_is_refused() {
    let scene = Scene::saved(Bundle::new().args(&["sleep", "1000"]));
    scene.container.create().ok();
    let outcome = scene.call("restore", "good", &["--detach"]);
    let _ = outcome.fails(1, &["container with given ID already exists"]).one_line();
    assert_eq!(scene.container.status(), "created");
    let socket = DescriptorSocket::listen();
    let path = socket.path().to_str().expect("utf-8");
    let _ =
        scene.call("restore", "good", &["--detach", "--console-socket", path]).fails(1, &["console socket"]);
}

fn features_say_so() {
    require_runsig("runc 1.1 says it elsewhere");
    let features = runsig_tests::Runtime::new().call(&["features"]).ok().json();
    assert_eq!(features["annotations"]["org.opencontainers.runc.checkpoint.enabled"], "true");
}

/// Where a systemd service says that it is ready is a mount of ours: CRIU has to be told of it both times.
fn place_of_a_services_messages() {
    let manager = scratch("manager");
    let _socket = std::os::unix::net::UnixDatagram::bind(&manager).expect("bind");
    let scene = Scene::of(Bundle::new().args(&["sleep", "1000"]));
    let mut create = scene.container.command("create", &[]);
    create.env("NOTIFY_SOCKET", &manager);
    finish(create, LIMIT).ok();
    // Without the variable it does not wait for the program's word.
    scene.container.start().ok();
    scene.call("checkpoint", "good", &["--leave-running"]).ok();
    let place = |kind| scene.external_mounts(kind).into_iter().find(|mount| mount.0 == "/run/notify");
    assert_eq!(place("dump").map(|mount| mount.1), Some("/run/notify".to_owned()));
    scene.container.delete_force().ok();

    let mut restore = scene.command("restore", "good", &["--detach"]);
    restore.env("NOTIFY_SOCKET", &manager);
    let _ = finish(restore, LIMIT).fails(1, &["it restored nothing"]);
    let source = place("restore").expect("the new container's own").1;
    assert!(source.starts_with(scene.container.runtime.root.to_str().expect("utf-8")), "{source}");
}
