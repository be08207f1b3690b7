//! `hack/register` beside the engines themselves: they read what it writes, and run a container by the name it gave.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use runsig_tests::case::require_command;
use runsig_tests::runtime::{find_in_path, finish};
use runsig_tests::{Case, Outcome, Runtime, bundle, cases, harness, skip, wait};

use crate::register::register;

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "register": podman_reads_it_and_runs_a_container, containerd_reads_it, containerd_keeps_its_own_settings;
    V2 "register": docker_reads_it_and_runs_a_container;
];

const LIMIT: Duration = Duration::from_secs(50);
const IMAGE: &str = "localhost/runsig-registered:latest";

fn root() -> PathBuf {
    harness::test_dir().join("root")
}

fn put(file: &str, content: &str) -> PathBuf {
    let path = root().join(file);
    fs::create_dir_all(path.parent().expect("below the root")).expect("mkdir");
    fs::write(&path, content).expect("write");
    path
}

/// podman with private stores, and with the configuration below the test's root as that of the machine.
fn podman(args: &[&str]) -> Outcome {
    let dir = harness::test_dir().join("p");
    let mut command = Command::new("podman");
    for (option, name) in [("--root", "root"), ("--runroot", "r"), ("--tmpdir", "tmp")] {
        command.arg(option).arg(dir.join(name));
    }
    command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    finish(
        {
            command.args(args).env_remove("CONTAINERS_CONF");
            command
        },
        LIMIT,
    )
}

fn import_image() {
    require_command("podman");
    let tree = harness::test_dir().join("image");
    bundle::make_rootfs(&tree);
    let tar = harness::test_dir().join("image.tar");
    let mut make = Command::new("tar");
    make.arg("-C").arg(&tree).arg("-cf").arg(&tar).arg(".");
    finish(make, LIMIT).ok();
    podman(&["import", "--change", "ENV PATH=/bin", tar.to_str().expect("utf-8"), IMAGE]).ok();
}

/// Lets the machine's directory be ours, in this test's mount namespace.
fn mount_over(ours: &Path, theirs: &str) {
    let none: Option<&str> = None;
    mount(Some(ours), theirs, none, MsFlags::MS_BIND, none).expect("bind mount");
}

fn podman_reads_it_and_runs_a_container() {
    require_command("podman");
    // What the testbed needs, as an administrator would set it: it has to hold beside ours.
    let own = "[containers]\ndefault_ulimits=[\"nofile=1024:4096\",\"nproc=4096:8192\"]\npids_limit=0\n";
    put("etc/containers/containers.conf", own);
    for name in ["policy.json", "registries.conf"] {
        if let Ok(text) = fs::read_to_string(Path::new("/etc/containers").join(name)) {
            put(&format!("etc/containers/{name}"), &text);
        }
    }
    register(&["podman", "--default"]).ok();
    mount_over(&root().join("etc/containers"), "/etc/containers");
    let info = podman(&["info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}"]).ok();
    assert_eq!(info.text(), format!("runsig {}", Runtime::path().display()));
    import_image();
    let parent = format!("/{}", harness::tag());
    let run =
        ["run", "--rm", "--network=none", "--cgroup-parent", &parent, IMAGE, "sh", "-c", "echo out; exit 7"];
    let outcome = podman(&run);
    assert_eq!((outcome.code, outcome.text()), (7, "out"), "{outcome:#?}");
    // The error is the runtime's own, so podman has read it as JSON.
    let missing = ["run", "--rm", "--network=none", "--cgroup-parent", &parent, IMAGE, "no-such-program"];
    let _ = podman(&missing).fails(127, &["executable file not found in $PATH"]);
    register(&["podman", "--undo"]).ok();
    let info = podman(&["info", "--format", "{{.Host.OCIRuntime.Name}}"]).ok();
    assert_ne!(info.text(), "runsig");
}

fn dump(config: &Path) -> String {
    let mut command = Command::new("containerd");
    command.arg("--config").arg(config).args(["config", "dump"]);
    finish(command, LIMIT).ok().stdout
}

fn containerd_reads_it() {
    require_command("containerd");
    let default = finish(
        {
            let mut c = Command::new("containerd");
            c.args(["config", "default"]);
            c
        },
        LIMIT,
    )
    .ok();
    let config = put("etc/containerd/config.toml", &default.stdout);
    let before = dump(&config);
    register(&["containerd", "--default", "--systemd-cgroup"]).ok();
    let after = dump(&config);
    let program = format!("BinaryName = \"{}\"", Runtime::path().display());
    for line in [program.as_str(), "SystemdCgroup = true", "default_runtime_name = \"runsig\""] {
        assert!(after.contains(line) && !before.contains(line), "{line}: {after}");
    }
    register(&["containerd", "--undo"]).ok();
    assert_eq!(dump(&config), before);
}

/// An imported file would make containerd 1.x forget what the main one says of CRI.
fn containerd_keeps_its_own_settings() {
    require_command("containerd");
    let own = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"our/pause:1\"\n";
    let config = put("etc/containerd/config.toml", own);
    register(&["containerd"]).ok();
    let after = dump(&config);
    assert!(
        after.contains("sandbox_image = \"our/pause:1\"") && after.contains("runtimes.runsig]"),
        "{after}"
    );
}

/// dockerd, ended with the test.
struct Dockerd(Child);

impl Drop for Dockerd {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap_or(i32::MAX));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        if !wait::until(Duration::from_secs(5), || matches!(self.0.try_wait(), Ok(Some(_)) | Err(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn docker(args: &[&str]) -> Outcome {
    let client = PathBuf::from("/usr/bin/docker");
    let client = if client.exists() { client } else { find_in_path("docker").expect("a docker client") };
    let socket = harness::test_dir().join("d/sock");
    finish(
        {
            let mut c = Command::new(client);
            c.arg("--host").arg(format!("unix://{}", socket.display())).args(args);
            c
        },
        LIMIT,
    )
}

fn docker_reads_it_and_runs_a_container() {
    let Some(dockerd) = find_in_path("dockerd") else { skip("dockerd is not installed") };
    import_image();
    let archive = harness::test_dir().join("image-archive.tar");
    let archive = archive.to_str().expect("utf-8");
    podman(&["save", "--format", "docker-archive", "-o", archive, IMAGE]).ok();
    let dir = harness::test_dir().join("d");
    fs::create_dir(&dir).expect("mkdir");
    let own = format!(
        "{{\"bridge\": \"none\", \"iptables\": false, \"ip6tables\": false, \"userland-proxy\": false, \
         \"storage-driver\": \"overlay2\", \"cgroup-parent\": \"/{0}\", \"data-root\": \"{1}/data\", \
         \"exec-root\": \"{1}/exec\", \"pidfile\": \"{1}/pid\", \"hosts\": [\"unix://{1}/sock\"]}}",
        harness::tag(),
        dir.display()
    );
    let config = put("etc/docker/daemon.json", &own);
    register(&["docker", "--default"]).ok();
    let log = dir.join("log");
    let output = File::create(&log).expect("a log");
    let mut command = Command::new(dockerd);
    command
        .arg("--config-file")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("dup"))
        .stderr(output);
    let _server = Dockerd(command.spawn().expect("dockerd"));
    let up = wait::until(Duration::from_secs(30), || docker(&["version"]).code == 0);
    assert!(up, "{}", fs::read_to_string(&log).unwrap_or_default());
    let info =
        docker(&["info", "--format", "{{.DefaultRuntime}} {{(index .Runtimes \"runsig\").Path}}"]).ok();
    assert_eq!(info.text(), format!("runsig {}", Runtime::path().display()));
    docker(&["load", "-i", archive]).ok();
    let outcome = docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--runtime",
        "runsig",
        IMAGE,
        "sh",
        "-c",
        "echo out; exit 7",
    ]);
    assert_eq!((outcome.code, outcome.text()), (7, "out"), "{outcome:#?}");
}
