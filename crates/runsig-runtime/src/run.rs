//! `run`: create and start in one, in front or detached.
//!
//! Owns: when the program starts, who waits for it, when the container is deleted.
//! Must not: set anything up itself ([`crate::create`]).

use runsig_sys::process;

use crate::answers::Answers;
use crate::build::Start;
use crate::console::Console;
use crate::create::{self, Made};
use crate::delete;
use crate::error::Result;
use crate::foreground::{Foreground, Signals};
use crate::options::{Globals, RunOptions};
use crate::sd_notify::Relay;
use crate::start;
use crate::store::Store;
use crate::talk;

/// Runs a container. Returns the exit code: the program's (128+n for a signal), or 0 at once when
/// detached.
///
/// # Errors
/// With nothing left behind, unless `keep` was asked for and the container had started.
pub fn run(globals: &Globals, options: &RunOptions) -> Result<i32> {
    let plan = create::load(globals, &options.create)?;
    if options.detach {
        return run_detached(globals, options, plan);
    }
    if options.create.console_socket.is_some() {
        return Err(create::unused_console_socket());
    }
    if !options.no_subreaper {
        // Not being one is no reason to fail: runc goes on too.
        let _ = process::set_child_subreaper(true);
    }
    // Before the clone: a container that ends at once must not end unseen.
    let signals = Signals::block()?;
    let (mut console, socket) = Console::for_terminal(plan.init.process.terminal)?;
    let made = create::make(globals, &options.create, plan, Start::Now, socket)?;
    let store = Store::new(&globals.root);
    let received = console.as_mut().map_or(Ok(()), Console::receive);
    let result = received
        .and_then(|()| Relay::listen(&made.container))
        .and_then(|relay| go(&made).map(|()| relay))
        .and_then(|relay| Foreground { signals, console, relay, child: &made.child }.wait());
    if result.is_err() {
        let _ = process::pidfd_send_signal(made.child.pidfd.as_fd(), 9);
    }
    // The program's exit code counts, whatever is left: what is, `delete` can take up.
    if !options.keep
        && let Err(error) = delete::destroy(&store, made.container)
    {
        globals.warn(&format!("unable to destroy container: {error}"));
    }
    result
}

fn run_detached(globals: &Globals, options: &RunOptions, plan: runsig_spec::Plan) -> Result<i32> {
    let console =
        create::console_socket(options.create.console_socket.as_deref(), plan.init.process.terminal)?;
    let made = create::make(globals, &options.create, plan, Start::Now, console)?;
    let started = Relay::listen(&made.container).and_then(|relay| go(&made).map(|()| relay));
    match started {
        Ok(relay) => {
            // A service that is started has to be ready when we end.
            if let Some(relay) = relay {
                relay.wait(made.child.pidfd.as_fd(), made.child.pid);
            }
            Ok(0)
        }
        Err(error) => {
            let _ = delete::destroy(&Store::new(&globals.root), made.container);
            Err(error)
        }
    }
}

/// Lets the init go and sees the program start.
fn go(made: &Made) -> Result<()> {
    talk::go(made.sync.as_fd(), made.go.clone())?;
    let mut answers = Answers { plan: &made.plan, state: &made.container.state, child: &made.child };
    talk::until_exec(made.sync.as_fd(), &mut answers)?;
    start::run_poststart(&made.container, &made.plan.hooks.poststart)
}
