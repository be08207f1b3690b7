//! A second program in a running container.

use crate::engine::{Container, Exec, Opt};
use crate::image::TELLS_SIGNAL;
use crate::scenarios::{Scenario, list};
use crate::session::Session;

pub(crate) const LIST: &[Scenario] = list![
    Both: exec_output_and_code;
    V2: exec_terminal, exec_user, exec_directory, exec_env, exec_detached, exec_missing, exec_not_executable,
        exec_in_a_stopped, exec_killed_by_a_signal, exec_is_confined, exec_ends_with_the_container;
];

fn exec_output_and_code(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    let outcome = s.exec("c", Exec::default(), &["sh", "-c", "echo out; echo err >&2; exit 5"]);
    assert_eq!((outcome.code, outcome.text()), (5, "out"), "{outcome:#?}");
    s.stop("c", 40);
    s.ends(3, "c");
}

fn exec_terminal(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    let how = Exec { tty: true, ..Exec::default() };
    let outcome =
        s.exec("c", how, &["sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2 && echo all; exit 6"]);
    assert!(outcome.stdout.contains("/dev/pts/") && outcome.stdout.contains("all"), "{outcome:#?}");
    assert_eq!(outcome.code, 6, "{outcome:#?}");
}

fn exec_user(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    for user in ["1000", "1000:2000", "alice", "alice:crew", "nobody-here"] {
        let how = Exec { user: Some(user), ..Exec::default() };
        s.exec("c", how, &["sh", "-c", "id; grep Cap /proc/self/status; echo $HOME"]);
    }
}

fn exec_directory(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    for dir in ["/usr", "/not/there", "/etc/passwd"] {
        s.exec("c", Exec { workdir: Some(dir), ..Exec::default() }, &["pwd"]);
    }
}

fn exec_env(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    let outcome =
        s.exec("c", Exec { env: Some("ONE=two words"), ..Exec::default() }, &["sh", "-c", "echo $ONE"]);
    assert_eq!(outcome.text(), "two words", "{outcome:#?}");
}

fn exec_detached(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    let how = Exec { detach: true, ..Exec::default() };
    let outcome = s.exec("c", how, &["sh", "-c", "sleep 0.2; touch /tmp/done"]);
    assert_eq!(outcome.code, 0, "{outcome:#?}");
    s.ask("c", "while ! test -e /tmp/done; do sleep 0.05; done");
}

fn exec_missing(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    for program in ["no-such-program", "/no/such/program"] {
        let outcome = s.exec("c", Exec::default(), &[program]);
        assert_ne!(outcome.code, 0, "{outcome:#?}");
    }
}

fn exec_not_executable(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    for program in ["/etc/passwd", "/etc"] {
        let outcome = s.exec("c", Exec::default(), &[program]);
        assert_ne!(outcome.code, 0, "{outcome:#?}");
    }
}

fn exec_in_a_stopped(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    s.stop("c", 40);
    let outcome = s.exec("c", Exec::default(), &["true"]);
    assert_ne!(outcome.code, 0, "{outcome:#?}");
}

fn exec_killed_by_a_signal(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    for (signal, code) in [("TERM", 143), ("KILL", 137)] {
        let script = format!("kill -{signal} $$; sleep 1000");
        let outcome = s.exec("c", Exec::default(), &["sh", "-c", &script]);
        assert_eq!(outcome.code, code, "{outcome:#?}");
    }
}

fn exec_is_confined(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL).with(Opt::CapDrop("NET_RAW")).with(Opt::SeccompDefault));
    let script = "grep -E 'Cap|NoNewPrivs|^Seccomp|Sig(Blk|Ign)' /proc/self/status; cat /proc/self/oom_score_adj; \
                  ulimit -n; ulimit -Hn; cut -d: -f2- /proc/self/cgroup; ls /proc/self/fd; env | sort; umask; \
                  for n in cgroup ipc mnt net pid user uts; do \
                  test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) && echo same $n; done";
    s.exec("c", Exec::default(), &["sh", "-c", script]);
}

fn exec_ends_with_the_container(s: &Session<'_>) {
    s.start(&Container::script("c", TELLS_SIGNAL));
    std::thread::scope(|scope| {
        let engine = s.engine();
        let owner = &s.owner;
        let waiting = scope.spawn(move || engine.exec(owner, "c", Exec::default(), &["sleep", "1000"]));
        s.ask("c", "while ! grep -q '^sleep.*100[0]' /proc/[0-9]*/cmdline 2>/dev/null; do sleep 0.05; done");
        s.stop("c", 40);
        let outcome = waiting.join().expect("the exec");
        s.note("the exec", &format!("exit {}", outcome.code));
    });
    s.ends(3, "c");
}
