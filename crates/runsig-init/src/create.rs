//! The first process of a new container, from its plan to the program.
//!
//! Owns: the order, which is runc's but that the program is looked for before `Ready`, so that
//! `create` fails when there is none. Must not: do any step itself.

use runsig_proto::{FromInit, InitPlan, Op};
use runsig_sys::fd::CWD;
use runsig_sys::{Errno, fs, process};

use crate::error::{During, Failure, Result};
use crate::namespaces::Network;
use crate::procfs::ProcFs;
use crate::sync::Sync;
use crate::words::Text;
use crate::{console, hooks, namespaces, program, resident, rootfs, security};

/// Makes the container and becomes its program. Returns only on failure.
pub fn run(mut plan: InitPlan, sync: &mut Sync) -> Failure {
    let made = make(&mut plan, sync).and_then(|mut procfs| {
        // From here on, where an init is to stay, we are its child.
        resident::stay(&mut plan, &mut procfs)?;
        program::confine(&plan, &mut procfs)
    });
    match made {
        Ok(()) => program::start(plan, sync),
        Err(failure) => failure,
    }
}

fn make(plan: &mut InitPlan, sync: &Sync) -> Result<ProcFs> {
    let mut procfs = ProcFs::default();
    namespaces::enter(&plan.namespaces, &mut procfs)?;
    process::setsid().during_at(Op::Session, c"setsid")?;
    security::join_keyring(plan, &mut procfs)?;
    namespaces::bring_up_loopback(plan)?;
    make_root(plan, &mut procfs, sync)?;
    Ok(procfs)
}

/// The file system and what can only be done at one point of making it: hooks that still see the
/// host's paths; the terminal, for which devpts has to be there and /dev writable; sysctls, before
/// /proc/sys becomes read-only.
fn make_root(plan: &InitPlan, procfs: &mut ProcFs, sync: &Sync) -> Result<()> {
    if plan.rootfs.is_none() {
        Network::of(&plan.namespaces, sync).enter()?;
        run_hooks(plan, sync)?;
        console::set_up(plan, |_| Ok(()))?;
        return set_kernel(plan, procfs);
    }
    let mut prepared = rootfs::prepare(plan, sync)?;
    // Where runc runs createContainer hooks, and hooks rely on it.
    fs::fchdir(prepared.root()).during_at(Op::PrepareRoot, c"/")?;
    run_hooks(plan, sync)?;
    rootfs::switch(plan, &mut prepared)?;
    make_cwd(plan)?;
    console::set_up(plan, |slave| rootfs::console_mount(&prepared, slave))?;
    set_kernel(plan, procfs)?;
    rootfs::finalize(plan, prepared)
}

fn set_kernel(plan: &InitPlan, procfs: &mut ProcFs) -> Result<()> {
    namespaces::set_names(plan)?;
    namespaces::write_sysctls(plan, procfs)
}

fn run_hooks(plan: &InitPlan, sync: &Sync) -> Result<()> {
    if !plan.runtime_hooks {
        return Ok(());
    }
    let state = sync.ask(&FromInit::Hooks)?;
    hooks::create_container(plan, &state)
}

/// Makes the working directory, as runc does. The container's root is `/` by now, so no link leads
/// out of it.
fn make_cwd(plan: &InitPlan) -> Result<()> {
    let cwd = &plan.process.cwd;
    if fs::stat(CWD, cwd, true).is_ok() {
        return Ok(());
    }
    let bytes = cwd.as_bytes();
    let ends = (1..=bytes.len()).filter(|at| matches!(bytes.get(*at), None | Some(b'/')));
    for end in ends {
        let directory = Text::new().with(bytes.get(..end).unwrap_or_default()).into_cstring();
        match fs::mkdirat(CWD, &directory, 0o755) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(Failure::at(Op::Cwd, cwd, errno).with(c"mkdir")),
        }
    }
    Ok(())
}
