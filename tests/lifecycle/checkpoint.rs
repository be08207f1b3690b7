//! `checkpoint` and `restore` with the real CRIU, where it works on the kernel there is: in the guest of
//! `hack/vm`, if not on the machine itself.

use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use runsig_tests::console::DescriptorSocket;
use runsig_tests::leftovers::Before;
use runsig_tests::runtime::{Running, finish, scratch};
use runsig_tests::spec::{add_mount, drop_namespace, set_namespace, set_user_namespace};
use runsig_tests::{
    Bundle, Case, Container, Outcome, View, cases, cgroup, harness, json, needs, procs, sandbox, wait,
};

/// CRIU takes its time.
const SLOW: Duration = Duration::from_secs(60);

/// The host's number for the root of a user namespace.
const BASE: u32 = 500_000;

const LISTED: &[Case] = cases![
    V2 "checkpoint": comes_back_as_it_was, terminal_comes_back, pipes_and_earlier_images, mounts_and_another_cgroup,
        joined_network, joined_processes, idmapped_mounts, idmapped_mount_in_a_user_namespace,
        in_front, failed_dump_names_the_log, killed_restore_is_cleaned_up;
    V1 "checkpoint": comes_back_as_it_was, pipes_and_earlier_images, mounts_and_another_cgroup, in_front,
        killed_restore_is_cleaned_up];

/// The tests of this file.
pub const CASES: &[Case] = {
    const LIMITED: [Case; LISTED.len()] = {
        let mut cases = [LISTED[0]; LISTED.len()];
        let mut index = 0;
        while index < LISTED.len() {
            cases[index] = LISTED[index].within(300);
            index += 1;
        }
        cases
    };
    &LIMITED
};

/// Counts in a file, so that one sees that it is still the same process.
const COUNT: &str =
    "i=0; while :; do i=$((i+1)); echo $i > /count.new; mv /count.new /count; sleep 0.1; done";

struct Scene {
    container: Container,
    images: PathBuf,
    work: PathBuf,
}

impl Scene {
    /// A running container whose streams are the null device.
    fn running(bundle: Bundle) -> Scene {
        needs::criu();
        let scene =
            Scene { container: Container::new(bundle), images: scratch("images"), work: scratch("work") };
        let mut run = scene.container.command("run", &["--detach"]);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(run.status().expect("run").success());
        scene
    }

    fn command(&self, verb: &str, args: &[&str]) -> Command {
        // Otherwise CRIU mounts cgroup2 without options, and with that takes them from the whole machine's.
        let mode = "--manage-cgroups-mode=ignore";
        let paths = ["--image-path", text(&self.images), "--work-path", text(&self.work), mode];
        let all: Vec<&str> = paths.iter().chain(args).copied().collect();
        self.container.command(verb, &all)
    }

    fn call(&self, verb: &str, args: &[&str]) -> Outcome {
        finish(self.command(verb, args), SLOW)
    }

    fn count(&self) -> u32 {
        let read =
            || fs::read_to_string(self.container.bundle.rootfs().join("count")).ok()?.trim().parse().ok();
        wait::some("a count", read)
    }

    fn expect_counting(&self) {
        let now = self.count();
        wait::expect("the count to go on", || self.count() > now);
    }

    fn inside(&self, args: &[&str]) -> Outcome {
        let mut command = self.container.runtime.command(&["exec", self.container.id()]);
        command.args(args);
        finish(command, SLOW)
    }
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("utf-8")
}

fn comes_back_as_it_was() {
    needs::criu();
    if sandbox::view() == View::V2 {
        needs::controllers(&["pids"]);
    }
    let hooks = scratch("hooks");
    let bundle = Bundle::script(&format!("httpd -f -p 127.0.0.1:7 & {COUNT}")).with(|config| {
        for kind in ["prestart", "createRuntime", "poststart"] {
            let script = format!("echo {kind} >> {}", hooks.display());
            config["hooks"][kind] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
        }
        config["linux"]["resources"]["pids"] = json!({"limit": 77});
    });
    let before = Before::now(&Container::new(Bundle::new()).runtime);
    let scene = Scene::running(bundle);
    scene.expect_counting();
    fs::remove_file(&hooks).expect("hooks have run");
    let listens = || scene.inside(&["cat", "/proc/1/net/tcp"]).stdout.contains("0100007F:0007");
    wait::expect("it to listen on 127.0.0.1", listens);
    scene.call("checkpoint", &[]).ok();
    let _ = scene.container.verb("state", &[]).fails(1, &["container does not exist"]);
    let saved = scene.count();
    assert!(scene.images.join("inventory.img").exists() && scene.work.join("dump.log").exists());

    let pid_file = scratch("pid");
    scene.call("restore", &["--detach", "--pid-file", text(&pid_file)]).ok();
    assert_eq!(scene.container.status(), "running");
    let pid = scene.container.pid();
    assert_eq!(fs::read_to_string(&pid_file).expect("a PID file"), pid.to_string());
    wait::expect("the count to go on", || scene.count() > saved);
    assert_eq!(fs::read_to_string(&hooks).unwrap_or_default(), "prestart\ncreateRuntime\n", "runc's two");
    assert!(cgroup::processes(&scene.container.bundle.cgroup()).contains(&pid));
    assert_eq!(cgroup::read(&scene.container.bundle.cgroup(), "pids.max").as_deref(), Some("77"));
    assert!(listens(), "it listens on 127.0.0.1 again");
    let clock = |process: &str| scene.inside(&["readlink", &format!("/proc/{process}/ns/time")]).ok().stdout;
    assert_eq!(clock("self"), clock("1"), "exec follows into the time namespace");
    scene.container.kill("KILL").ok();
    scene.container.expect_status("stopped");
    scene.container.delete().ok();
    before.assert_clean(&scene.container.runtime, &scene.container.bundle);
}

fn terminal_comes_back() {
    needs::criu();
    let bundle = Bundle::script("stty -echo; echo ready; while read line; do echo \"got $line\"; done");
    let bundle = bundle.with(|config| config["process"]["terminal"] = true.into());
    let scene = Scene { container: Container::new(bundle), images: scratch("images"), work: scratch("work") };
    let socket = DescriptorSocket::listen();
    scene.container.verb("run", &["--detach", "--console-socket", text(socket.path())]).ok();
    // Held, for its program would be told of a hang-up.
    let mut first = socket.terminal();
    let _ = first.read_until("ready");
    scene.call("checkpoint", &[]).ok();
    let _ = scene.call("restore", &["--detach"]).fails(1, &["console socket"]);
    let socket = DescriptorSocket::listen();
    scene.call("restore", &["--detach", "--console-socket", text(socket.path())]).ok();
    let mut terminal = socket.terminal();
    terminal.write("hello\n");
    let _ = terminal.read_until("got hello");
}

/// Both ends of a container's standard input and output.
struct Streams {
    input: (PipeReader, PipeWriter),
    output: (PipeReader, PipeWriter),
}

impl Streams {
    fn new() -> Streams {
        Streams { input: pipe().expect("pipe"), output: pipe().expect("pipe") }
    }

    fn give_to(&self, command: &mut Command, errors: &File) {
        command.stdin(self.input.0.try_clone().expect("dup"));
        command.stdout(self.output.1.try_clone().expect("dup"));
        command.stderr(errors.try_clone().expect("dup"));
    }

    #[track_caller]
    fn ping(&mut self, word: &str) {
        writeln!(self.input.1, "{word}").expect("write");
        let expected = format!("pong {word}\n");
        let mut answer = vec![0; expected.len()];
        self.output.0.read_exact(&mut answer).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), expected);
    }
}

fn pipes_and_earlier_images() {
    needs::criu();
    let bundle = Bundle::script("exec 2>/dev/null; while read word; do echo pong $word; done");
    let scene = Scene { container: Container::new(bundle), images: scratch("images"), work: scratch("work") };
    let mut streams = Streams::new();
    let errors = File::create(scratch("errors")).expect("a file");
    let with_streams = |mut command: Command| {
        streams.give_to(&mut command, &errors);
        command
    };
    assert!(with_streams(scene.container.command("run", &["--detach"])).status().expect("run").success());
    streams.ping("one");
    let early = scratch("early");
    scene
        .container
        .command("checkpoint", &["--pre-dump", "--image-path", text(&early)])
        .status()
        .expect("checkpoint");
    streams.ping("two");
    scene.call("checkpoint", &["--leave-running"]).ok();
    streams.ping("three");
    scene.container.verb("pause", &[]).ok();
    let parent = format!("../{}", text(early.file_name().expect("a name").as_ref()));
    scene.call("checkpoint", &["--parent-path", &parent]).ok();
    assert!(scene.images.join("parent").exists(), "the link to the earlier images");
    let mut restore = scene.command("restore", &["--detach"]);
    streams.give_to(&mut restore, &errors);
    assert!(restore.status().expect("restore").success());
    if scene.container.status() == "paused" {
        scene.container.verb("resume", &[]).ok();
    }
    streams.ping("four");
}

fn mounts_and_another_cgroup() {
    let outer = scratch("outer");
    let inner = scratch("inner");
    fs::create_dir_all(&outer).expect("mkdir");
    fs::create_dir_all(&inner).expect("mkdir");
    fs::write(inner.join("file"), "bound\n").expect("write");
    let bundle = Bundle::script(COUNT).directory("/real/conf").with(|config| {
        drop_namespace(config, "cgroup");
        let mounts = [(&outer, "/outer"), (&inner, "/outer/deep/inner"), (&inner, "/conf")];
        for (source, destination) in mounts {
            add_mount(config, json!({"destination": destination, "source": source, "options": ["bind"]}));
        }
    });
    std::os::unix::fs::symlink("/real/conf", bundle.rootfs().join("conf")).expect("symlink");
    let mut scene = Scene::running(bundle);
    scene.expect_counting();
    let old = scene.container.bundle.cgroup();
    scene.call("checkpoint", &["--manage-cgroups-mode", "ignore"]).ok();
    assert!(cgroup::directories(&old).is_empty(), "its cgroup is gone");
    fs::remove_dir_all(outer.join("deep")).expect("the place of a mount, made by create");

    let new = format!("{old}-new");
    scene.container.bundle.config["linux"]["cgroupsPath"] = new.clone().into();
    scene.call("restore", &["--detach", "--manage-cgroups-mode", "ignore"]).ok();
    scene.expect_counting();
    assert!(cgroup::directories(&old).is_empty(), "the old one does not come back");
    assert!(cgroup::processes(&new).contains(&scene.container.pid()));
    for place in ["/outer/deep/inner/file", "/real/conf/file", "/conf/file"] {
        assert_eq!(scene.inside(&["cat", place]).ok().text(), "bound", "{place}");
    }
    let file = if cgroup::is_pure_v2() { "cgroup.controllers" } else { "freezer/cgroup.procs" };
    let seen = scene.inside(&["ls", &format!("/sys/fs/cgroup/{file}")]);
    assert_eq!(seen.code, 0, "the host's cgroups are in view as before: {seen:#?}");
}

fn joined_network() {
    needs::criu();
    let owner = Container::running(Bundle::new().args(&["sleep", "1000"]));
    let path = format!("/proc/{}/ns/net", owner.pid());
    let scene =
        Scene::running(Bundle::script(COUNT).with(|config| set_namespace(config, "network", Some(&path))));
    scene.expect_counting();
    for _ in 0..2 {
        scene.call("checkpoint", &[]).ok();
        scene.call("restore", &["--detach"]).ok();
        scene.expect_counting();
        assert_eq!(procs::namespace(scene.container.pid(), "net"), procs::namespace(owner.pid(), "net"));
    }
}

fn parent(pid: i32) -> Option<i32> {
    procs::status_field(pid, "PPid")?.parse().ok()
}

/// Beside another container's processes: it is not PID 1, and the numbers it had have to be free there. A zombie
/// that is left of it keeps its own, and that of its session: the other one's PID 1 is one that reaps.
fn joined_processes() {
    needs::criu();
    let owner = Container::running(Bundle::script("while :; do sleep 0.1; done"));
    let path = format!("/proc/{}/ns/pid", owner.pid());
    let scene =
        Scene::running(Bundle::script(COUNT).with(|config| set_namespace(config, "pid", Some(&path))));
    scene.expect_counting();
    let number = |scene: &Scene| procs::status_field(scene.container.pid(), "NSpid");
    let inside = |scene: &Scene| {
        let numbers = number(scene).expect("a process");
        numbers.split_whitespace().last().expect("its number").to_owned()
    };
    let before = inside(&scene);
    assert_ne!(before, "1");
    let namespace = procs::namespace(owner.pid(), "pid");
    scene.call("checkpoint", &[]).ok();
    let is_rest = |pid: &i32| procs::state(*pid) == Some('Z') && parent(*pid) == Some(owner.pid());
    wait::expect("what is left of it to be reaped", || !procs::all().iter().any(is_rest));
    scene.call("restore", &["--detach"]).ok();
    scene.expect_counting();
    assert_eq!(procs::namespace(scene.container.pid(), "pid"), namespace);
    assert_eq!(inside(&scene), before);
    scene.container.kill("KILL").ok();
    scene.container.expect_status("stopped");
    scene.container.delete().ok();
    assert_eq!(owner.status(), "running");
}

/// In a user namespace whose root reaches what the test has. Without a view of cgroups: when CRIU is to leave them
/// alone it makes no cgroup namespace, and without one it may not mount them.
fn mapped(bundle: Bundle) -> Bundle {
    fs::set_permissions(harness::test_dir(), fs::Permissions::from_mode(0o755)).expect("chmod");
    bundle.owned_by(BASE).with(|config| {
        set_user_namespace(config, BASE);
        config["mounts"].as_array_mut().expect("a list").retain(|mount| mount["type"] != "cgroup");
    })
}

/// A directory and a file of the host's root.
fn owned_source() -> PathBuf {
    let source = scratch("source");
    fs::create_dir_all(source.join("sub")).expect("mkdir");
    fs::write(source.join("sub/file"), "").expect("write");
    source
}

/// Saves and restores it.
#[track_caller]
fn expect_owners(scene: &Scene, files: &[&str], owner: u32) {
    let owners = || {
        let args: Vec<&str> = ["stat", "-c", "%u"].iter().chain(files).copied().collect();
        scene.inside(&args).ok().text().to_owned()
    };
    let expected = vec![owner.to_string(); files.len()].join("\n");
    assert_eq!(owners(), expected, "before");
    scene.call("checkpoint", &[]).ok();
    scene.call("restore", &["--detach"]).ok();
    scene.expect_counting();
    assert_eq!(owners(), expected, "after");
}

/// A directory, a file, one on a tmpfs, and one whose source is a mount made just before; and a plain one like it.
fn idmapped_mounts() {
    let source = owned_source();
    let bundle = Bundle::script(COUNT);
    let rootfs = bundle.rootfs();
    let map = json!([{"containerID": 0, "hostID": BASE, "size": 1000}]);
    let scene = Scene::running(bundle.with(|config| {
        add_mount(config, json!({"destination": "/plain", "source": source, "options": ["bind"]}));
        let second = rootfs.join("plain/sub");
        add_mount(config, json!({"destination": "/second", "source": second, "options": ["bind"]}));
        let mounts = [
            (source.clone(), "/dir", "ro"),
            (source.join("sub/file"), "/file", "nosuid"),
            (source.clone(), "/dev/deep/dir", "rbind"),
            (rootfs.join("plain/sub"), "/again", "rbind"),
        ];
        for (source, destination, option) in mounts {
            add_mount(
                config,
                json!({"destination": destination, "source": source, "options": ["bind", option],
                    "uidMappings": map, "gidMappings": map}),
            );
        }
    }));
    expect_owners(&scene, &["/dir/sub/file", "/file", "/dev/deep/dir/sub/file", "/again/file"], BASE);
    for plain in ["/plain/sub/file", "/second/file"] {
        assert_eq!(scene.inside(&["stat", "-c", "%u", plain]).ok().text(), "0");
    }
    assert_ne!(scene.inside(&["touch", "/dir/new"]).code, 0, "it is read-only as before");
}

/// Whose root is nobody on the host, and so may not read the images.
fn idmapped_mount_in_a_user_namespace() {
    let source = owned_source();
    let mut scene = Scene::running(mapped(Bundle::script(COUNT)).with(|config| {
        add_mount(config, json!({"destination": "/dir", "source": source, "options": ["bind", "idmap"]}));
    }));
    // CRIU writes its log beside the images.
    scene.work.clone_from(&scene.images);
    expect_owners(&scene, &["/dir/sub/file"], 0);
    assert!(scene.images.join("restore.log").exists());
    let uid = procs::status_field(scene.container.pid(), "Uid").expect("a process");
    assert!(uid.starts_with(&BASE.to_string()), "{uid}");
    assert!(scene.images.metadata().expect("images").mode() & 0o77 == 0, "the host's root's alone");
    scene.inside(&["touch", "/dir/new"]).ok();
    assert_eq!(fs::metadata(source.join("new")).expect("made").uid(), 0, "the host's root");
}

fn in_front() {
    let scene = Scene::running(Bundle::script("while [ ! -e /go ]; do sleep 0.1; done; exit 9"));
    scene.call("checkpoint", &[]).ok();
    let restore = Running::start(scene.command("restore", &[]));
    let is_running = || {
        let state = scene.container.runtime.call(&["state", scene.container.id()]);
        state.code == 0 && state.json()["status"] == "running"
    };
    assert!(wait::until(SLOW, is_running), "it runs again");
    fs::write(scene.container.bundle.rootfs().join("go"), "").expect("write");
    let outcome = restore.finish(SLOW);
    assert_eq!(outcome.code, 9, "{outcome:#?}");
    let _ = scene.container.verb("state", &[]).fails(1, &["container does not exist"]);
}

fn failed_dump_names_the_log() {
    needs::criu();
    // Its streams are files outside of its mounts, which CRIU cannot bring back.
    let container = Container::new(Bundle::script(&format!("exec 7>&1; {COUNT}")));
    let scene = Scene { container, images: scratch("images"), work: scratch("work") };
    scene.container.verb("run", &["--detach"]).ok();
    scene.expect_counting();
    let outcome = scene.call("checkpoint", &[]);
    let log = scene.work.join("dump.log");
    let outcome = outcome.fails(1, &["criu failed: type", "log file: ", text(&log)]);
    assert!(outcome.stderr.contains("--- Quoting"), "{outcome:#?}");
    assert_eq!(scene.container.status(), "running");
    scene.expect_counting();
}

fn killed_restore_is_cleaned_up() {
    let marker = scratch("marker");
    let before = Before::now(&Container::new(Bundle::new()).runtime);
    let mut scene = Scene::running(Bundle::script(COUNT));
    scene.expect_counting();
    scene.call("checkpoint", &[]).ok();
    // A restore that hangs at its hook: CRIU has made the namespaces and waits for our answer.
    let script = format!("echo > {0}; while [ -e {0} ]; do sleep 0.05; done", marker.display());
    scene.container.bundle.config["hooks"]["createRuntime"] =
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    let mut restore = Running::start(scene.command("restore", &["--detach"]));
    assert!(wait::until(SLOW, || marker.exists()), "the hook runs");
    restore.child.kill().expect("kill");
    let _ = restore.finish(SLOW);
    fs::remove_file(&marker).expect("the hook's marker");
    scene.container.delete_force().ok();
    before.assert_clean(&scene.container.runtime, &scene.container.bundle);
    assert!(scene.container.bundle.rootfs().join("bin/busybox").exists(), "the rootfs is as it was");

    scene.container.bundle.config["hooks"] = json!({});
    scene.call("restore", &["--detach"]).ok();
    scene.expect_counting();
}
