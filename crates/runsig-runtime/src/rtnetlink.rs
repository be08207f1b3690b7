//! The few requests to the kernel's network configuration that moving a device takes.
//!
//! Owns: the messages of rtnetlink(7) for links and addresses, their packing and unpacking.
//! Must not: decide which device goes where ([`crate::net_devices`]).

use runsig_sys::process::{self, CLONE_NEWNET};
use runsig_sys::{BorrowedFd, Errno, OwnedFd, Result, fs, netlink};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFF_UP: u32 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_RT_PRIORITY: u16 = 9;
const IFA_PROTO: u16 = 11;
/// What an address is made of and may be given again. The label is not: it repeats the device's
/// name, which may change.
const KEPT: [u16; 5] = [IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_RT_PRIORITY, IFA_PROTO];
const IFA_F_PERMANENT: u32 = 0x80;
/// NODAD, OPTIMISTIC, HOMEADDRESS, MANAGETEMPADDR, NOPREFIXROUTE, MCAUTOJOIN: what a user sets.
/// The other flags tell what has become of an address.
const SETTABLE_FLAGS: u32 = 0x02 | 0x04 | 0x10 | 0x100 | 0x200 | 0x400;
const RT_SCOPE_UNIVERSE: u8 = 0;

const MESSAGE_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
/// The kernel fills at most 32 KiB of one read.
const ROOM: usize = 64 * 1024;

/// A conversation with the kernel about one network namespace.
pub(crate) struct Route {
    socket: OwnedFd,
    sequence: u32,
}

/// A network device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number in its namespace.
    pub(crate) index: i32,
    /// Whether it is up.
    pub(crate) up: bool,
}

/// An address of a device, as the kernel told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    family: u8,
    prefix: u8,
    scope: u8,
    flags: u32,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Route {
    /// About the namespace we are in.
    ///
    /// # Errors
    /// As socket(2).
    pub(crate) fn here() -> Result<Self> {
        Ok(Self { socket: netlink::route_socket()?, sequence: 0 })
    }

    /// About another namespace. A thread of its own enters it and ends, so that we never leave ours.
    ///
    /// # Errors
    /// As setns(2) and socket(2).
    pub(crate) fn inside(namespace: BorrowedFd<'_>) -> Result<Self> {
        let open = || {
            process::setns(namespace, CLONE_NEWNET)?;
            Self::here()
        };
        std::thread::scope(|scope| match std::thread::Builder::new().spawn_scoped(scope, open) {
            Ok(thread) => thread.join().unwrap_or(Err(Errno::EIO)),
            Err(error) => Err(Errno::from_io(&error)),
        })
    }

    /// The device with this name.
    ///
    /// # Errors
    /// `ENODEV` when there is none.
    pub(crate) fn link(&mut self, name: &str) -> Result<Link> {
        let body = Message::link(0, 0, 0).text(IFLA_IFNAME, name);
        let answers = self.ask(RTM_GETLINK, NLM_F_ACK, &body)?;
        answers.iter().find_map(|(kind, body)| as_link(*kind, body)).ok_or(Errno::ENODEV)
    }

    /// The numbers of all devices.
    ///
    /// # Errors
    /// As the kernel's.
    pub(crate) fn indices(&mut self) -> Result<Vec<i32>> {
        let answers = self.ask(RTM_GETLINK, NLM_F_DUMP, &Message::link(0, 0, 0))?;
        Ok(answers.iter().filter_map(|(kind, body)| as_link(*kind, body)).map(|link| link.index).collect())
    }

    /// Puts a device up or down.
    ///
    /// # Errors
    /// As the kernel's.
    pub(crate) fn set_up(&mut self, index: i32, up: bool) -> Result<()> {
        let body = Message::link(index, if up { IFF_UP } else { 0 }, IFF_UP);
        self.ask(RTM_NEWLINK, NLM_F_ACK, &body).map(drop)
    }

    /// Moves a device to another namespace and names it, in one request.
    ///
    /// # Errors
    /// `EEXIST` when the name is taken there; as the kernel's. An error does not tell on which side
    /// the device is now.
    pub(crate) fn move_link(&mut self, index: i32, namespace: BorrowedFd<'_>, name: &str) -> Result<()> {
        let body = Message::link(index, 0, 0)
            .text(IFLA_IFNAME, name)
            .attribute(IFLA_NET_NS_FD, &namespace.raw().to_ne_bytes());
        self.ask(RTM_NEWLINK, NLM_F_ACK, &body).map(drop)
    }

    /// The addresses of a device, of every family.
    ///
    /// # Errors
    /// As the kernel's.
    pub(crate) fn addresses(&mut self, index: i32) -> Result<Vec<Address>> {
        let answers = self.ask(RTM_GETADDR, NLM_F_DUMP, &Message(vec![0; ADDRESS_HEADER]))?;
        Ok(answers.iter().filter_map(|(kind, body)| as_address(*kind, body, index)).collect())
    }

    /// Gives a device an address.
    ///
    /// # Errors
    /// `EEXIST` when it has it; as the kernel's.
    pub(crate) fn add_address(&mut self, index: i32, address: &Address) -> Result<()> {
        let mut body = Message::address(index, address);
        for (kind, value) in &address.attributes {
            body = body.attribute(*kind, value);
        }
        let flags = address.flags & SETTABLE_FLAGS;
        let body = body.attribute(IFA_FLAGS, &flags.to_ne_bytes());
        self.ask(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &body).map(drop)
    }

    /// Sends one request and reads what comes back for it: (type, body) of each message.
    fn ask(&mut self, kind: u16, flags: u16, body: &Message) -> Result<Vec<(u16, Vec<u8>)>> {
        self.sequence += 1;
        let length = u32::try_from(MESSAGE_HEADER + body.0.len()).map_err(|_| Errno::EINVAL)?;
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(&body.0);
        fs::write(self.socket.as_fd(), &bytes)?;
        self.answers()
    }

    /// Up to the acknowledgement, or to the end of a list.
    fn answers(&self) -> Result<Vec<(u16, Vec<u8>)>> {
        let (mut found, mut room) = (Vec::new(), vec![0; ROOM]);
        loop {
            let got = fs::read(self.socket.as_fd(), &mut room)?;
            let mut rest = room.get(..got).unwrap_or_default();
            while let Some((header, body)) = next_message(&mut rest) {
                match header.kind {
                    _ if header.sequence != self.sequence => {}
                    NLMSG_ERROR | NLMSG_DONE => return outcome(body).map(|()| found),
                    kind => found.push((kind, body.to_vec())),
                }
            }
        }
    }
}

impl Address {
    /// Whether it was given for good and for the whole network: what a container takes over.
    pub(crate) fn is_permanent_and_global(&self) -> bool {
        self.flags & IFA_F_PERMANENT != 0 && self.scope == RT_SCOPE_UNIVERSE
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |kind| self.attributes.iter().find(|(found, _)| *found == kind).map(|(_, value)| value);
        let bytes = of(IFA_LOCAL).or_else(|| of(IFA_ADDRESS)).map(Vec::as_slice).unwrap_or_default();
        if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
            write!(f, "{}/{}", std::net::Ipv4Addr::from(v4), self.prefix)
        } else if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
            write!(f, "{}/{}", std::net::Ipv6Addr::from(v6), self.prefix)
        } else {
            write!(f, "of family {}", self.family)
        }
    }
}

/// The body of a request: a fixed header and attributes.
struct Message(Vec<u8>);

impl Message {
    fn link(index: i32, flags: u32, change: u32) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(index.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(change.to_ne_bytes());
        Self(bytes)
    }

    fn address(index: i32, address: &Address) -> Self {
        let mut bytes = vec![address.family, address.prefix, 0, address.scope];
        bytes.extend(index.to_ne_bytes());
        Self(bytes)
    }

    fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        // Names are checked to be below 16 bytes, and all else comes from the kernel.
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

struct Header {
    kind: u16,
    sequence: u32,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Splits the first message off.
fn next_message<'a>(rest: &mut &'a [u8]) -> Option<(Header, &'a [u8])> {
    let bytes = *rest;
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let header = Header { kind: u16_at(bytes, 4)?, sequence: u32_at(bytes, 8)? };
    let body = bytes.get(MESSAGE_HEADER..length)?;
    *rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((header, body))
}

/// The number in an acknowledgement or at a list's end.
fn outcome(body: &[u8]) -> Result<()> {
    match u32_at(body, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(number) if number < 0 => Err(Errno::from_raw(-number)),
        _ => Err(Errno::EIO),
    }
}

fn as_link(kind: u16, body: &[u8]) -> Option<Link> {
    if kind != RTM_NEWLINK || body.len() < LINK_HEADER {
        return None;
    }
    Some(Link { index: u32_at(body, 4)?.cast_signed(), up: u32_at(body, 8)? & IFF_UP != 0 })
}

fn as_address(kind: u16, body: &[u8], of: i32) -> Option<Address> {
    let [family, prefix, flags, scope, ..] = *body else { return None };
    if kind != RTM_NEWADDR || u32_at(body, 4)?.cast_signed() != of {
        return None;
    }
    let mut address = Address { family, prefix, scope, flags: u32::from(flags), attributes: Vec::new() };
    let mut rest = body.get(ADDRESS_HEADER..)?;
    while let Some((kind, value)) = next_attribute(&mut rest) {
        if kind == IFA_FLAGS {
            address.flags = u32_at(value, 0)?;
        } else if KEPT.contains(&kind) {
            address.attributes.push((kind, value.to_vec()));
        }
    }
    Some(address)
}

/// Splits the first attribute off.
fn next_attribute<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let bytes = *rest;
    let length = usize::from(u16_at(bytes, 0)?);
    let value = bytes.get(ATTRIBUTE_HEADER..length)?;
    let kind = u16_at(bytes, 2)?;
    *rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_messages_end_the_reading() {
        for bytes in [&[][..], &[1, 0, 0, 0], &[255; 16], &[15, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]
        {
            assert!(next_message(&mut &*bytes).is_none(), "{bytes:?}");
        }
        assert!(next_attribute(&mut &[3u8, 0, 1, 0][..]).is_none());
        assert!(as_link(RTM_NEWLINK, &[0; 15]).is_none());
        assert!(as_address(RTM_NEWADDR, &[2, 24, 0], 0).is_none());
        assert_eq!(outcome(&[]), Err(Errno::EIO));
        assert_eq!(outcome(&(-19i32).to_ne_bytes()), Err(Errno::ENODEV));
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let wanted = Address {
            family: 2,
            prefix: 24,
            scope: RT_SCOPE_UNIVERSE,
            flags: 0x280,
            attributes: vec![(IFA_ADDRESS, vec![10, 1, 2, 3]), (IFA_LOCAL, vec![10, 1, 2, 4])],
        };
        let mut message = Message::address(7, &wanted);
        for (kind, value) in &wanted.attributes {
            message = message.attribute(*kind, value);
        }
        // What is not kept: the label, of a length that needs padding.
        let message = message.attribute(3, b"eth0\0").attribute(IFA_FLAGS, &0x280u32.to_ne_bytes());
        assert_eq!(as_address(RTM_NEWADDR, &message.0, 7), Some(wanted.clone()));
        assert_eq!(as_address(RTM_NEWADDR, &message.0, 8), None);
        assert!(wanted.is_permanent_and_global());
        assert_eq!(wanted.to_string(), "10.1.2.4/24");
    }

    #[test]
    fn the_loopback_is_found_and_nothing_else_by_a_wrong_name() {
        let mut route = Route::here().unwrap();
        let lo = route.link("lo").unwrap();
        assert_eq!(lo.index, 1);
        assert!(route.indices().unwrap().contains(&1));
        assert_eq!(route.link("no-such-device"), Err(Errno::ENODEV));
    }
}
