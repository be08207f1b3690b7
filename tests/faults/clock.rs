//! The machine's clock jumps. Only a guest's may be set: anywhere else these are skipped.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use runsig_tests::runtime::{LIMIT, Running, finish};
use runsig_tests::{Bundle, Case, Container, cases, procs, require_runsig, skip};

/// The tests of this file.
pub const CASES: &[Case] =
    cases![V2 "clock": a_stop_has_its_time_while_the_clock_jumps, a_container_outlives_jumps];

/// Sets the clock back when the test is over.
struct Clock {
    begin: Instant,
    time: u64,
}

impl Clock {
    fn of_the_guest() -> Clock {
        if std::env::var_os("RUNSIG_TEST_VM").is_none() {
            skip("the clock belongs to this machine (hack/vm has one to set)");
        }
        let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        Clock { begin: Instant::now(), time }
    }

    /// So many seconds from what it would be.
    fn jump(&self, seconds: i64) {
        let now = self.time + self.begin.elapsed().as_secs();
        let mut date = Command::new("date");
        date.arg("--set").arg(format!("@{}", now.cast_signed() + seconds));
        finish(date, LIMIT).ok();
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.jump(0);
    }
}

const DAY: i64 = 86_400;

fn a_stop_has_its_time_while_the_clock_jumps() {
    require_runsig("stop is Runsig's own verb");
    let clock = Clock::of_the_guest();
    let container =
        Container::running(Bundle::script("trap '' TERM; echo up > /up; while :; do sleep 1000; done"));
    let _ = container.wait_for_file("/up");
    let begin = Instant::now();
    let stop = Running::start(container.command("stop", &["--timeout", "4s"]));
    for seconds in [DAY, -DAY, 400 * DAY] {
        std::thread::sleep(Duration::from_millis(500));
        clock.jump(seconds);
    }
    stop.finish(LIMIT).ok();
    let took = begin.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(12)).contains(&took), "{took:?}");
    assert_eq!(container.status(), "stopped");
}

/// Who init is does not depend on what time it is.
fn a_container_outlives_jumps() {
    let clock = Clock::of_the_guest();
    let container = Container::running(Bundle::script("echo up > /up; sleep 1000; true"));
    let _ = container.wait_for_file("/up");
    let (pid, created) = (container.pid(), container.state()["created"].clone());
    for seconds in [DAY, -DAY, -10_000 * DAY] {
        clock.jump(seconds);
        assert_eq!(container.status(), "running");
        assert_eq!((container.pid(), &container.state()["created"]), (pid, &created));
        container.runtime.call(&["exec", container.id(), "true"]).ok();
        container.kill("0").ok();
    }
    container.kill("KILL").ok();
    container.expect_status("stopped");
    container.delete().ok();
    assert!(!procs::alive(pid));
}
