//! A sandbox that lives longer than one test: started by the first test that asks it something, it
//! answers many tests on a socket until the run is over.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::harness::{self, SKIPPED};

/// Empty until it is asked for the first time.
type Slot = Arc<Mutex<Option<Service>>>;

/// Every service of this run, by its full name.
static SERVICES: LazyLock<Mutex<BTreeMap<String, Slot>>> = LazyLock::new(Mutex::default);

/// What a service says to a question.
#[derive(Debug)]
pub enum Answer {
    /// Its words.
    Text(String),
    /// It cannot run here, and says why.
    Skipped(String),
    /// It could not be asked, or ended without an answer.
    Failed(String),
}

/// A running sandbox.
struct Service {
    child: Child,
    dir: PathBuf,
}

/// Asks a service, starting it when it does not run yet.
pub fn ask(case: &Case, question: &str, limit: Duration) -> Answer {
    let slot = {
        let mut services = SERVICES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(services.entry(case.full_name()).or_default())
    };
    let socket = {
        let mut service = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let service = service.get_or_insert_with(|| Service::start(case));
        match service.wait_until_up(case.limit) {
            Ok(socket) => socket,
            Err(answer) => return answer,
        }
    };
    match converse(&socket, question, limit) {
        Ok(text) if !text.is_empty() => Answer::Text(text),
        Ok(_) => Answer::Failed(format!("no answer to {question}\n{}", log_of(&socket))),
        Err(error) => Answer::Failed(format!("{question}: {error}\n{}", log_of(&socket))),
    }
}

/// Ends all services of this run and removes what they used.
pub(crate) fn end_all() {
    let services = std::mem::take(&mut *SERVICES.lock().unwrap_or_else(PoisonError::into_inner));
    for slot in services.into_values() {
        if let Some(service) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
            service.end();
        }
    }
}

fn converse(socket: &Path, question: &str, limit: Duration) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit * crate::needs::patience()))?;
    stream.write_all(question.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn log_of(socket: &Path) -> String {
    fs::read_to_string(socket.with_file_name("output")).unwrap_or_default()
}

impl Service {
    fn start(case: &Case) -> Service {
        let dir = harness::make_test_dir();
        let child = harness::spawn(case, &dir, &dir.join("output"), Stdio::piped()).expect("a sandbox");
        Service { child, dir }
    }

    /// The socket to ask at.
    fn wait_until_up(&mut self, limit: Duration) -> Result<PathBuf, Answer> {
        let socket = self.dir.join("socket");
        let deadline = Instant::now() + limit * crate::needs::patience();
        while !socket.exists() {
            let ended = self.child.try_wait().ok().flatten();
            let log = log_of(&socket);
            match ended {
                Some(status) if status.code() == Some(i32::from(SKIPPED)) => {
                    let why = log.lines().rev().find_map(|line| line.strip_prefix("SKIP: "));
                    return Err(Answer::Skipped(why.unwrap_or("no reason").to_string()));
                }
                Some(status) => return Err(Answer::Failed(format!("the world ended: {status}\n{log}"))),
                None if Instant::now() > deadline => {
                    return Err(Answer::Failed(format!("the world does not come up\n{log}")));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok(socket)
    }

    /// Closing its standard input tells it to end.
    fn end(mut self) {
        drop(self.child.stdin.take());
        let ended = || !matches!(self.child.try_wait(), Ok(None));
        if !crate::wait::until(Duration::from_secs(30), ended) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        harness::clean_up(&self.dir);
    }
}

/// The other side: answers every question in a thread of its own, until the run is over.
pub fn serve(answer: impl Fn(&str) -> String + Sync) {
    let path = harness::test_dir().join("socket");
    let fresh = path.with_extension("fresh");
    let listener = UnixListener::bind(&fresh).expect("a socket");
    fs::rename(&fresh, &path).expect("rename");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = fs::write(path.with_extension("over"), "");
            let _ = UnixStream::connect(&path);
        });
        for mut stream in listener.incoming().flatten() {
            if path.with_extension("over").exists() {
                break;
            }
            let answer = &answer;
            scope.spawn(move || {
                let mut question = String::new();
                if stream.read_to_string(&mut question).is_ok() {
                    let _ = stream.write_all(answer(&question).as_bytes());
                }
            });
        }
    });
}
