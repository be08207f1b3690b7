//! `linux.netDevices`: devices of the host that move into the container's network namespace.
//!
//! Owns: the order of a move (addresses are read before the device goes down, because that loses
//! those of IPv6), and giving devices back when the container comes to nothing.
//! Must not: do anything at `delete`: a namespace's end is the kernel's work
//! (runtime-spec config-linux.md, Network Devices).

use std::path::{Path, PathBuf};

use runsig_sys::{BorrowedFd, Errno, OwnedFd, fd, fs};

use crate::error::{Error, Result};
use crate::rtnetlink::{Address, Link, Route};

/// Devices that have left the host for a container that is not finished.
pub(crate) struct Moved {
    host: Route,
    inside: Route,
    /// Ours, to send devices back to.
    home: OwnedFd,
    namespace: PathBuf,
    devices: Vec<Device>,
}

/// One device as it was on the host.
struct Device {
    name: String,
    link: Link,
    addresses: Vec<Address>,
    /// Its number in the container, once it is there.
    inside: Option<i32>,
}

/// Moves devices (name here, name there) into a namespace; `path` is what messages call it.
///
/// # Errors
/// Names the device and the step. Those that were moved are given back.
pub(crate) fn move_all(names: &[(String, String)], namespace: BorrowedFd<'_>, path: &Path) -> Result<Moved> {
    let cannot = |what: &'static str| Error::io(what, path);
    let home =
        fs::openat(fd::CWD, c"/proc/thread-self/ns/net", fs::O_RDONLY, 0).map_err(cannot("leave for"))?;
    let mut moved = Moved {
        host: Route::here().map_err(cannot("open a netlink socket for"))?,
        inside: Route::inside(namespace).map_err(cannot("open a netlink socket in"))?,
        home,
        namespace: path.to_owned(),
        devices: Vec::with_capacity(names.len()),
    };
    for (name, new_name) in names {
        if let Err((why, errno)) = moved.move_one(name, new_name, namespace) {
            moved.give_back();
            return Err(Error::NetDevice { name: name.clone(), namespace: path.to_owned(), why, errno });
        }
    }
    Ok(moved)
}

type Step<T> = std::result::Result<T, (String, Errno)>;

/// What failed, in runc's words.
fn because(why: String) -> impl FnOnce(Errno) -> (String, Errno) {
    move |errno| (why, errno)
}

impl Moved {
    fn move_one(&mut self, name: &str, new_name: &str, namespace: BorrowedFd<'_>) -> Step<()> {
        let there = self.namespace.display().to_string();
        let link = self
            .host
            .link(name)
            .map_err(because(format!("link not found for interface {name} on runtime namespace")))?;
        let addresses =
            self.host.addresses(link.index).map_err(because("fail to get ip addresses".to_owned()))?;
        let addresses = addresses.into_iter().filter(Address::is_permanent_and_global).collect();
        let before = self.inside.indices().map_err(because(format!("fail to list links on {there}")))?;
        self.devices.push(Device { name: name.to_owned(), link, addresses, inside: None });

        // Whoever listens on the host sees it go down before it vanishes.
        self.host.set_up(link.index, false).map_err(because("fail to set link down".to_owned()))?;
        let sent = self.host.move_link(link.index, namespace, new_name);
        let arrived = self.find_inside(&before, if sent.is_ok() { new_name } else { name });
        let Some(device) = self.devices.last_mut() else { return Ok(()) };
        device.inside = arrived;
        sent.map_err(because(format!("fail to move network device {name} to network namespace {there}")))?;
        let index = arrived
            .ok_or(Errno::ENODEV)
            .map_err(because(format!("link not found for interface {new_name} on namespace {there}")))?;
        for address in &device.addresses {
            self.inside
                .add_address(index, address)
                .map_err(because(format!("fail to set up address {address} on namespace {there}")))?;
        }
        self.inside
            .set_up(index, true)
            .map_err(because(format!("fail to set up interface {new_name} on namespace {there}")))
    }

    /// The device that was not there before. The kernel chooses the number in a template such as
    /// `eth%d`, and may have moved a device and then refused its new name.
    fn find_inside(&mut self, before: &[i32], name: &str) -> Option<i32> {
        let index = if name.contains('%') {
            self.inside.indices().ok()?.into_iter().find(|index| !before.contains(index))?
        } else {
            self.inside.link(name).ok()?.index
        };
        (!before.contains(&index)).then_some(index)
    }

    /// Brings every device back as it was, as far as possible: this follows an error, and a second
    /// one would only hide it.
    pub(crate) fn give_back(mut self) {
        for device in self.devices.iter().rev() {
            if let Some(index) = device.inside {
                let _ = self.inside.set_up(index, false);
                let _ = self.inside.move_link(index, self.home.as_fd(), &device.name);
            }
            // Its number may have been given away meanwhile.
            let Ok(link) = self.host.link(&device.name) else { continue };
            for address in &device.addresses {
                let _ = self.host.add_address(link.index, address);
            }
            if device.link.up {
                let _ = self.host.set_up(link.index, true);
            }
        }
    }
}
