//! Fifty containers at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::{Container, Opt, Verb};
use crate::image::TELLS_SIGNAL;
use crate::scenarios::{Scenario, list};
use crate::session::{Session, told};

pub(crate) const LIST: &[Scenario] = list![V2: fifty_at_once];

const NUMBER: usize = 50;
/// Callers at the same time.
const CALLERS: usize = 3;

fn fifty_at_once(s: &Session<'_>) {
    let names: Vec<String> = (0..NUMBER).map(|number| format!("c{number:02}")).collect();
    let (engine, owner) = (s.engine(), &s.owner);
    if engine.gathers() {
        s.make_pod("crowd");
    }
    let begin = |name: &str| {
        let container = Container::script(name, TELLS_SIGNAL);
        let container = if engine.gathers() { container.with(Opt::InPod("crowd")) } else { container };
        let outcome = engine.start(owner, &container);
        format!("exit {} {}", outcome.code, told(&outcome.stderr))
    };
    let codes = each(&names, begin);
    s.note("started", &counted(codes));
    names.iter().for_each(|name| s.will_remove(name));
    names.iter().for_each(|name| s.expect_ready(name));
    s.note("states", &counted(engine.together(owner, Verb::State, &names)));
    s.note("stopped", &counted(engine.together(owner, Verb::Stop(60), &names)));
    let codes = counted(engine.together(owner, Verb::Wait, &names));
    s.note("ended", &codes);
    assert_eq!(codes, format!("{NUMBER} x 3"));
    s.note("removed", &counted(engine.together(owner, Verb::Remove, &names)));
}

/// Does something for each name, a few at a time.
fn each(names: &[String], act: impl Fn(&str) -> String + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                        answers.push(act(name));
                    }
                    answers
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect()
    })
}

/// Each different text, and how often it came.
fn counted(mut texts: Vec<String>) -> String {
    texts.sort();
    let lines: Vec<String> =
        texts.chunk_by(PartialEq::eq).map(|same| format!("{} x {}", same.len(), same[0])).collect();
    lines.join("\n")
}
