//! The list of scenarios that run with every engine and with both runtimes. Each records what it sees;
//! the two records must be alike. What a scenario demands besides must hold with both.

mod confine;
mod exec;
mod faults;
mod kill;
mod life;
mod limits;
mod many;
mod mounts;
mod pause;
mod share;
mod stop;
mod streams;
mod systemd;

use runsig_tests::View;

use crate::session::Session;

/// One of the list.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The views it runs in.
    pub(crate) views: &'static [View],
    pub(crate) body: fn(&Session<'_>),
}

/// Makes a list of scenarios from functions: `list![V2: one, two; Host: three]`.
macro_rules! list {
    ($($view:ident: $($name:ident),+ $(,)?);+ $(;)?) => {
        &[$($(crate::scenarios::Scenario {
            name: stringify!($name),
            views: list!(@views $view),
            body: $name,
        },)+)+]
    };
    (@views V2) => { &[runsig_tests::View::V2] };
    (@views Host) => { &[runsig_tests::View::Host] };
    (@views Systemd) => { &[runsig_tests::View::Systemd, runsig_tests::View::Guest] };
    (@views Both) => { &[runsig_tests::View::V2, runsig_tests::View::Host] };
}
use list;

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    let parts: [&[Scenario]; 13] = [
        life::LIST,
        exec::LIST,
        stop::LIST,
        kill::LIST,
        pause::LIST,
        confine::LIST,
        mounts::LIST,
        share::LIST,
        limits::LIST,
        faults::LIST,
        many::LIST,
        systemd::LIST,
        streams::LIST,
    ];
    parts.into_iter().flatten()
}

/// The one with a name.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.name == name)
}
