//! The program's terminal, from the container's own devpts.
//!
//! Owns: making the pair, sending the master away, the slave as standard streams.
//! Must not: trust any path inside the container: what is opened is checked to be a ptmx of a
//! devpts (CVE-2025-52565), and the slave comes from the master, not by name.

use runsig_proto::{InitPlan, Op};
use runsig_sys::fd::CWD;
use runsig_sys::raw::general::DEVPTS_SUPER_MAGIC;
use runsig_sys::{BorrowedFd, Errno, OwnedFd, fs, net, term};

use crate::error::{During, Failure, Result};

/// What the message with the master says: engines log it, runc sends the same.
const NAME: &[u8] = b"/dev/ptmx";

/// Device and inode of the ptmx node in a devpts: `TTYAUX_MAJOR` 5, minor 2; `fs/devpts/inode.c`.
const PTMX_DEVICE: (u32, u32) = (5, 2);
const PTMX_INODE: u64 = 2;

/// Makes a terminal if the plan asks for one. `mount` puts the slave on /dev/console.
///
/// # Errors
/// [`Op::Console`], or whatever `mount` fails with.
pub fn set_up(plan: &InitPlan, mount: impl FnOnce(BorrowedFd<'_>) -> Result<()>) -> Result<()> {
    if !plan.process.terminal {
        return Ok(());
    }
    let master = open_master()?;
    term::unlock_slave(master.as_fd()).during(Op::Console)?;
    let slave = term::open_slave(master.as_fd()).during(Op::Console)?;
    if let Some((rows, columns)) = plan.process.console_size {
        term::set_size(master.as_fd(), rows, columns).during(Op::Console)?;
    }
    mount(slave.as_fd())?;
    let socket = OwnedFd::from_raw(plan.fds.console);
    net::send_with_fds(socket.as_fd(), NAME, &[master.as_fd()]).during_at(Op::Console, c"console socket")?;
    for stream in 0..3 {
        fs::dup_to(slave.as_fd(), stream, false).during(Op::Console)?;
    }
    // The session that a resident init leaves the terminal to does not exist yet.
    if plan.resident.is_some() { Ok(()) } else { control() }
}

/// Makes the terminal on standard input the controlling one of our session, with our process group
/// in its foreground.
///
/// # Errors
/// [`Op::Console`].
pub fn control() -> Result<()> {
    term::set_controlling(BorrowedFd::from_raw(0)).during_at(Op::Console, c"controlling terminal")
}

/// Opens /dev/pts/ptmx: first the directory, which has to be a devpts, then the node in it, without
/// leaving that mount.
fn open_master() -> Result<OwnedFd> {
    let failed = |errno| Failure::at(Op::Console, c"/dev/pts/ptmx", errno);
    let directory = fs::openat2(CWD, c"/dev/pts", fs::O_PATH | fs::O_DIRECTORY, 0, fs::RESOLVE_NO_MAGICLINKS)
        .map_err(failed)?;
    if fs::fstatfs(directory.as_fd()).map_err(failed)?.0 != i64::from(DEVPTS_SUPER_MAGIC) {
        return Err(failed(Errno::EXDEV).with(c"not on a devpts"));
    }
    let inside = fs::RESOLVE_BENEATH | fs::RESOLVE_NO_XDEV | fs::RESOLVE_NO_SYMLINKS;
    let flags = fs::O_RDWR | fs::O_NOCTTY;
    let master = fs::openat2(directory.as_fd(), c"ptmx", flags, 0, inside).map_err(failed)?;
    let stat = fs::fstat(master.as_fd()).map_err(failed)?;
    let device = (stat.rdev_major, stat.rdev_minor);
    if stat.is(fs::S_IFCHR) && device == PTMX_DEVICE && stat.ino == PTMX_INODE {
        Ok(master)
    } else {
        Err(failed(Errno::ENXIO).with(c"not a ptmx"))
    }
}
