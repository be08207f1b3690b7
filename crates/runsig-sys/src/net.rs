//! Local sockets that carry descriptors, and bringing up the loopback interface.
//!
//! Owns: socketpair, unix stream sockets, SCM_RIGHTS, SO_PEERCRED, SIOCSIFFLAGS. Must not: speak netlink.

use core::mem::MaybeUninit;

use linux_raw_sys::general as k;
use linux_raw_sys::net as n;

use crate::arch::sys;
use crate::errno::{Errno, Result, retry};
use crate::fd::{BorrowedFd, OwnedFd};
use crate::fs;

/// A connected pair of unix stream sockets, close-on-exec.
/// <https://man7.org/linux/man-pages/man2/socketpair.2.html>
///
/// # Errors
/// As socketpair(2).
pub fn socketpair() -> Result<(OwnedFd, OwnedFd)> {
    pair(n::SOCK_STREAM as usize)
}

/// A connected pair of unix sockets that keep the bounds of messages, close-on-exec.
/// <https://man7.org/linux/man-pages/man2/socketpair.2.html>
///
/// # Errors
/// As socketpair(2).
pub fn packet_pair() -> Result<(OwnedFd, OwnedFd)> {
    pair(n::SOCK_SEQPACKET as usize)
}

fn pair(kind: usize) -> Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1i32; 2];
    let kind = kind | fs::O_CLOEXEC as usize;
    // SAFETY: `fds` has room for two descriptors.
    unsafe { sys!(k::__NR_socketpair, n::AF_UNIX as usize, kind, 0, fds.as_mut_ptr() as usize) }?;
    Ok((OwnedFd::from_raw(fds[0]), OwnedFd::from_raw(fds[1])))
}

/// Connects to a unix stream socket by path, or by an abstract name when that begins with a NUL.
/// <https://man7.org/linux/man-pages/man7/unix.7.html>
///
/// # Errors
/// `ENAMETOOLONG` for a path over 107 bytes; as connect(2).
pub fn connect_unix(path: &[u8]) -> Result<OwnedFd> {
    let mut addr = [0u8; 110];
    addr.get_mut(..2).ok_or(Errno::EINVAL)?.copy_from_slice(&(n::AF_UNIX as u16).to_ne_bytes());
    if path.len() > 107 {
        return Err(Errno::ENAMETOOLONG);
    }
    addr.get_mut(2..2 + path.len()).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(path);
    let kind = n::SOCK_STREAM as usize | fs::O_CLOEXEC as usize;
    // SAFETY: no pointers.
    let fd = unsafe { sys!(k::__NR_socket, n::AF_UNIX as usize, kind, 0) }
        .map(|fd| OwnedFd::from_raw(fd as i32))?;
    // A path ends with a NUL; every byte of an abstract name counts.
    let terminator = usize::from(path.first() != Some(&0));
    let length = 2 + path.len() + terminator;
    // SAFETY: `addr` is a sockaddr_un of the length given.
    retry(|| unsafe { sys!(k::__NR_connect, fd.as_fd().arg(), addr.as_ptr() as usize, length) })?;
    Ok(fd)
}

/// The process at the other end of a unix socket, as it was when it listened or connected; 0 when it
/// is in no PID namespace of ours. SO_PEERCRED of <https://man7.org/linux/man-pages/man7/unix.7.html>
///
/// # Errors
/// As getsockopt(2).
pub fn peer_pid(sock: BorrowedFd<'_>) -> Result<i32> {
    let mut credentials = [0u32; 3];
    let mut length = size_of_val(&credentials) as u32;
    // SAFETY: `credentials` is a ucred (three 32-bit numbers), `length` its size.
    unsafe {
        sys!(
            k::__NR_getsockopt,
            sock.arg(),
            n::SOL_SOCKET as usize,
            n::SO_PEERCRED as usize,
            credentials.as_mut_ptr() as usize,
            &raw mut length as usize
        )
    }?;
    Ok(credentials[0].cast_signed())
}

/// Room for the control message of up to 16 descriptors, aligned as cmsghdr wants it.
#[repr(C, align(8))]
struct Control {
    len: usize,
    level: i32,
    kind: i32,
    fds: [i32; MAX_FDS],
}

/// The most descriptors one message carries.
pub const MAX_FDS: usize = 16;
const CONTROL_HEADER: usize = 16;
const SCM_RIGHTS: i32 = 1;

#[repr(C)]
struct IoVec {
    base: *mut u8,
    len: usize,
}

#[repr(C)]
struct MsgHdr {
    name: *mut u8,
    namelen: u32,
    iov: *mut IoVec,
    iovlen: usize,
    control: *mut Control,
    controllen: usize,
    flags: i32,
}

/// Sends bytes with descriptors. Returns how many bytes went; SIGPIPE is not raised.
/// <https://man7.org/linux/man-pages/man2/sendmsg.2.html>
///
/// # Errors
/// `E2BIG` for more than [`MAX_FDS`] descriptors; as sendmsg(2).
pub fn send_with_fds(sock: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    if fds.len() > MAX_FDS {
        return Err(Errno::E2BIG);
    }
    let len = CONTROL_HEADER + fds.len() * 4;
    let mut control = Control { len, level: n::SOL_SOCKET as i32, kind: SCM_RIGHTS, fds: [-1; MAX_FDS] };
    for (slot, fd) in control.fds.iter_mut().zip(fds) {
        *slot = fd.raw();
    }
    let mut iov = IoVec { base: bytes.as_ptr().cast_mut(), len: bytes.len() };
    let msg = MsgHdr {
        name: core::ptr::null_mut(),
        namelen: 0,
        iov: &raw mut iov,
        iovlen: 1,
        control: if fds.is_empty() { core::ptr::null_mut() } else { &raw mut control },
        controllen: if fds.is_empty() { 0 } else { len.next_multiple_of(8) },
        flags: 0,
    };
    const MSG_NOSIGNAL: usize = 0x4000;
    // SAFETY: the msghdr and all it points to live through the call; sendmsg only reads them.
    retry(|| unsafe { sys!(k::__NR_sendmsg, sock.arg(), &raw const msg as usize, MSG_NOSIGNAL) })
}

/// Receives bytes and descriptors (close-on-exec). Returns the number of bytes; the descriptors
/// are put into the first free slots of `fds`, and any beyond its room are closed.
/// <https://man7.org/linux/man-pages/man2/recvmsg.2.html>
///
/// # Errors
/// As recvmsg(2).
pub fn recv_with_fds(sock: BorrowedFd<'_>, bytes: &mut [u8], fds: &mut [Option<OwnedFd>]) -> Result<usize> {
    let mut control = MaybeUninit::<Control>::zeroed();
    let mut iov = IoVec { base: bytes.as_mut_ptr(), len: bytes.len() };
    let mut msg = MsgHdr {
        name: core::ptr::null_mut(),
        namelen: 0,
        iov: &raw mut iov,
        iovlen: 1,
        control: control.as_mut_ptr(),
        controllen: size_of::<Control>(),
        flags: 0,
    };
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    // SAFETY: the msghdr and all it points to live through the call and are writable.
    let got =
        retry(|| unsafe { sys!(k::__NR_recvmsg, sock.arg(), &raw mut msg as usize, MSG_CMSG_CLOEXEC) })?;
    // SAFETY: zeroed before; every bit pattern is a Control.
    let control = unsafe { control.assume_init() };
    if msg.controllen >= CONTROL_HEADER && control.level == n::SOL_SOCKET as i32 && control.kind == SCM_RIGHTS
    {
        let count = control.len.saturating_sub(CONTROL_HEADER) / 4;
        for fd in control.fds.iter().take(count) {
            let fd = OwnedFd::from_raw(*fd);
            if let Some(slot) = fds.iter_mut().find(|slot| slot.is_none()) {
                *slot = Some(fd);
            }
        }
    }
    Ok(got)
}

/// Brings up the loopback interface of our network namespace.
/// <https://man7.org/linux/man-pages/man7/netdevice.7.html>
///
/// # Errors
/// As socket(2) and ioctl(2).
pub fn loopback_up() -> Result<()> {
    const SIOCGIFFLAGS: usize = 0x8913;
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u16 = 1;
    // struct ifreq: 16 bytes of name, then a union of which flags is a short; 40 bytes.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    let kind = n::SOCK_DGRAM as usize | fs::O_CLOEXEC as usize;
    // SAFETY: no pointers.
    let sock = unsafe { sys!(k::__NR_socket, n::AF_INET as usize, kind, 0) }
        .map(|fd| OwnedFd::from_raw(fd as i32))?;
    // SAFETY: `request` has the size of struct ifreq.
    unsafe { sys!(k::__NR_ioctl, sock.as_fd().arg(), SIOCGIFFLAGS, request.as_mut_ptr() as usize) }?;
    let flags = u16::from_ne_bytes([request[16], request[17]]) | IFF_UP;
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: as above.
    unsafe { sys!(k::__NR_ioctl, sock.as_fd().arg(), SIOCSIFFLAGS, request.as_ptr() as usize) }.map(drop)
}
