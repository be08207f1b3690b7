//! Containers that are systemd services: the word that the program is ready gets out, and says whom to
//! watch.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use runsig_tests::leftovers::Before;
use runsig_tests::runtime::{Running, scratch};
use runsig_tests::{Bundle, Case, Container, cases, spec, wait};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "sd_notify":
    detached_run_returns_when_ready, start_returns_when_ready, in_front_the_runtime_is_watched,
    program_that_ends_is_not_waited_for, nothing_without_a_manager, end_in_a_user_namespace, nameless_sockets];

/// The service manager's side.
struct Manager {
    socket: UnixDatagram,
    address: String,
}

impl Manager {
    fn listen() -> Manager {
        let path = scratch("manager");
        let socket = UnixDatagram::bind(&path).expect("bind");
        Manager::of(socket, path.to_str().expect("utf-8").to_owned())
    }

    fn of(socket: UnixDatagram, address: String) -> Manager {
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        Manager { socket, address }
    }

    fn call(&self, container: &Container, verb: &str, args: &[&str]) -> Running {
        let mut command = container.command(verb, args);
        command.env("NOTIFY_SOCKET", &self.address);
        Running::start(command)
    }

    /// The next message. A descriptor that comes with it is closed, as systemd does with a barrier's.
    #[track_caller]
    fn next(&self) -> String {
        let mut message = [0; 256];
        let n = self.socket.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..n]).into_owned()
    }
}

fn service() -> Bundle {
    Bundle::script("echo $NOTIFY_SOCKET > /address.new; mv /address.new /address; exec sleep 1000")
}

/// Says something at the container's end, which is where its program would look for it.
fn say(container: &Container, words: &str) {
    let address = container.wait_for_file("/address");
    let inside = PathBuf::from(format!("/proc/{}/root{}", container.pid(), address.trim_end()));
    let socket = UnixDatagram::unbound().expect("a socket");
    wait::expect("the container's socket", || socket.send_to(words.as_bytes(), &inside).is_ok());
}

fn still_waits(call: &mut Running) {
    std::thread::sleep(Duration::from_millis(300));
    assert!(call.child.try_wait().expect("wait").is_none(), "it is not ready yet");
}

fn detached_run_returns_when_ready() {
    let (manager, container) = (Manager::listen(), Container::new(service()));
    let before = Before::now(&container.runtime);
    let mut run = manager.call(&container, "run", &["--detach"]);
    say(&container, "STATUS=loading");
    still_waits(&mut run);
    say(&container, "STATUS=done\nREADY=1");
    assert_eq!(manager.next(), "READY=1\n");
    assert_eq!(manager.next(), format!("MAINPID={}\n", container.pid()));
    assert_eq!(manager.next(), "BARRIER=1");
    run.finish(wait::SOON).ok();
    // Who is executed later is not the service.
    let variables = container.runtime.call(&["exec", container.id(), "env"]).ok();
    assert!(!variables.stdout.contains("NOTIFY_SOCKET"), "{variables:#?}");
    container.delete_force().ok();
    before.assert_clean(&container.runtime, &container.bundle);
}

fn start_returns_when_ready() {
    let (manager, container) = (Manager::listen(), Container::new(service()));
    manager.call(&container, "create", &[]).finish(wait::SOON).ok();
    let mut start = manager.call(&container, "start", &[]);
    let _ = container.wait_for_file("/address");
    still_waits(&mut start);
    say(&container, "READY=1\n");
    assert_eq!(manager.next(), "READY=1\n");
    assert_eq!(manager.next(), format!("MAINPID={}\n", container.pid()));
    assert_eq!(manager.next(), "BARRIER=1");
    start.finish(wait::SOON).ok();
}

fn in_front_the_runtime_is_watched() {
    let (manager, container) = (Manager::listen(), Container::new(service()));
    let run = manager.call(&container, "run", &[]);
    say(&container, "READY=1");
    assert_eq!(manager.next(), "READY=1\n");
    assert_eq!(manager.next(), format!("MAINPID={}\n", run.child.id()));
    container.kill("KILL").ok();
    assert_eq!(run.finish(wait::SOON).code, 137);
}

fn program_that_ends_is_not_waited_for() {
    let manager = Manager::listen();
    let container = Container::new(Bundle::new().args(&["true"]));
    manager.call(&container, "run", &["--detach"]).finish(wait::SOON).ok();
    container.delete_force().ok();
    assert_eq!(manager.call(&container, "run", &[]).finish(wait::SOON).code, 0);
}

fn nothing_without_a_manager() {
    let container = Container::running(Bundle::script("echo x$NOTIFY_SOCKET > /address; exec sleep 1000"));
    assert_eq!(container.wait_for_file("/address"), "x\n");
    assert!(!container.bundle.rootfs().join("run").exists());
}

fn end_in_a_user_namespace() {
    let (manager, mut container) = (Manager::listen(), Container::new(service().owned_by(100_000)));
    spec::set_user_namespace(&mut container.bundle.config, 100_000);
    let run = manager.call(&container, "run", &["--detach"]);
    say(&container, "READY=1");
    assert_eq!(manager.next(), "READY=1\n");
    assert_eq!(manager.next(), format!("MAINPID={}\n", container.pid()));
    assert_eq!(manager.next(), "BARRIER=1");
    run.finish(wait::SOON).ok();
}

fn nameless_sockets() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = runsig_tests::harness::tag();
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let manager = Manager::of(UnixDatagram::bind_addr(&address).expect("bind"), format!("@{name}"));
    let container = Container::new(service());
    let run = manager.call(&container, "run", &["--detach"]);
    say(&container, "READY=1");
    assert_eq!(manager.next(), "READY=1\n");
    let _ = manager.next();
    assert_eq!(manager.next(), "BARRIER=1");
    run.finish(wait::SOON).ok();
}
