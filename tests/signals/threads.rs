//! Programs whose first thread has ended while others run: they look like zombies and are not.

use runsig_tests::{Case, Container, cases};

use crate::world::{annotate, init, process, python, stopped};

/// The tests of this file.
pub const CASES: &[Case] = cases![
    V2 "threads": threads_that_follow_each_other, children_without_their_first_thread;
];

/// The first thread ends, and then each thread starts its successor and ends.
const RELAY: &str = "\
import ctypes, threading
def run():
    threading.Thread(target=run, daemon=True).start()
threading.Thread(target=run, daemon=True).start()
open('/up', 'w').write('up\\n')
ctypes.CDLL(None).syscall(60 if __import__('os').uname().machine == 'x86_64' else 93, 0)
";

/// PID 1 is deaf; its child takes TERM in its second thread, the first having ended.
const HEADLESS_CHILD: &str = "\
import ctypes, os, signal, threading, time
def take():
    open('/up', 'w').write('up\\n')
    signal.sigwait({signal.SIGTERM})
    open('/told', 'w').write('told\\n')
    os._exit(7)
if os.fork() == 0:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=take, daemon=True).start()
    ctypes.CDLL(None).syscall(60 if os.uname().machine == 'x86_64' else 93, 0)
os.wait()
";

fn started(name: &str, program: &str) -> Container {
    runsig_tests::require_runsig("what is said of such a process is Runsig's own");
    let bundle = python(name, program, &[]);
    let container =
        Container::running(bundle.with(|config| annotate(config, "dev.runsig.kill.on-dropped", "forward")));
    let _ = container.wait_for_file("/up");
    container
}

/// An engine that is told "container not running" takes a living container for a dead one.
fn threads_that_follow_each_other() {
    let container = started("relay.py", RELAY);
    for _ in 0..150 {
        container.kill("0").ok();
        let state = container.state();
        assert!(state["status"] == "running" && state.get("exiting").is_none(), "{state:#}");
    }
    let report = stopped(&container, &[]);
    assert_eq!(init(&report)["sent"][0]["signal"], "SIGKILL", "it is deaf and alone: {report:#}");
}

fn children_without_their_first_thread() {
    let container = started("headless.py", HEADLESS_CHILD);
    let report = stopped(&container, &[]);
    let _ = container.wait_for_file("/told");
    assert_eq!(process(&report, "[")["sent"][0]["signal"], "SIGTERM", "{report:#}");
}
