//! Terminals: the console socket, the size, and what the process gets as its terminal.

use runsig_tests::console::DescriptorSocket;
use runsig_tests::{Bundle, Case, Container, cases, json};

/// The tests of this file.
pub const CASES: &[Case] = cases![V2 "terminal":
    master_arrives_on_the_socket, size_is_set, it_is_the_controlling_terminal, console_is_made,
    socket_without_terminal_is_refused, terminal_without_socket_is_refused_for_create,
    socket_that_is_not_there, run_detached_with_terminal, owner_is_the_user];

fn terminal(script: &str) -> Bundle {
    Bundle::script(script).with(|config| config["process"]["terminal"] = true.into())
}

fn with_socket(container: &Container, verb: &str, more: &[&str]) -> DescriptorSocket {
    let socket = DescriptorSocket::listen();
    let path = socket.path().to_str().expect("utf-8");
    let mut args = vec!["--console-socket", path];
    args.extend(more);
    container.verb(verb, &args).ok();
    socket
}

fn master_arrives_on_the_socket() {
    let container = Container::new(terminal("read line; echo \"got $line\""));
    let socket = with_socket(&container, "create", &[]);
    container.start().ok();
    let mut terminal = socket.terminal();
    terminal.write("hello\n");
    let _ = terminal.read_until("got hello");
}

fn run_detached_with_terminal() {
    let container = Container::new(terminal("tty; sleep 1000"));
    let socket = with_socket(&container, "run", &["--detach"]);
    let _ = socket.terminal().read_until("/dev/");
}

fn size_is_set() {
    let bundle = terminal("stty size; sleep 1000")
        .with(|config| config["process"]["consoleSize"] = json!({"height": 33, "width": 77}));
    let container = Container::new(bundle);
    let socket = with_socket(&container, "create", &[]);
    container.start().ok();
    let _ = socket.terminal().read_until("33 77");
}

fn it_is_the_controlling_terminal() {
    // Field 7 is the terminal, 6 the session: its leader is the process itself.
    let container =
        Container::new(terminal("echo tty > /dev/tty; cut -d' ' -f6,7 /proc/$$/stat; sleep 1000"));
    let socket = with_socket(&container, "create", &[]);
    container.start().ok();
    let mut terminal = socket.terminal();
    let seen = terminal.read_until("\n1 ");
    assert!(seen.contains("tty"), "{seen}");
}

fn console_is_made() {
    let container =
        Container::new(terminal("test -c /dev/console && echo device; echo x > /dev/console; sleep 1000"));
    let socket = with_socket(&container, "create", &[]);
    container.start().ok();
    let _ = socket.terminal().read_until("device");
}

fn owner_is_the_user() {
    let bundle = terminal("stat -c 'owner %u' $(tty); sleep 1000")
        .with(|config| config["process"]["user"] = json!({"uid": 1000, "gid": 1000}));
    let container = Container::new(bundle);
    let socket = with_socket(&container, "create", &[]);
    container.start().ok();
    let _ = socket.terminal().read_until("owner 1000");
}

fn socket_without_terminal_is_refused() {
    let container = Container::new(Bundle::new());
    if container.runtime.kind() == "crun" {
        runsig_tests::skip("crun ignores a console socket without a terminal");
    }
    let socket = DescriptorSocket::listen();
    let outcome = container.verb("create", &["--console-socket", socket.path().to_str().expect("utf-8")]);
    let _ = outcome.fails(1, &["console socket"]);
}

fn terminal_without_socket_is_refused_for_create() {
    let container = Container::new(terminal("true"));
    let outcome = container.create();
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    if container.runtime.kind() != "crun" {
        assert!(outcome.stderr.contains("console socket"), "{outcome:#?}");
    }
}

fn socket_that_is_not_there() {
    let container = Container::new(terminal("true"));
    let outcome = container.verb("create", &["--console-socket", "/no/such/socket"]);
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(outcome.stderr.to_lowercase().contains("no such file or directory"), "{outcome:#?}");
}
