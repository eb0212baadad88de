//! Links, addresses, routes and neighbours (rtnetlink). Functions build messages, so that a caller can send
//! several at once; methods of [`Socket`] ask.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use super::message::{Attributes, Message, Reply, address, text, u32_at, u64_at};
use super::socket::{NetlinkError, Socket};
use crate::cidr::Cidr;
use crate::config::MacAddr;

const CREATE: u16 = libc::NLM_F_CREATE as u16;
const EXCLUSIVE: u16 = libc::NLM_F_EXCL as u16;
const REPLACE: u16 = libc::NLM_F_REPLACE as u16;
const IFF_UP: u32 = libc::IFF_UP as u32;
const INET: u8 = libc::AF_INET as u8;

const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_OPERSTATE: u16 = 16;
const IF_OPER_UP: u8 = 6;
const IFLA_STATS64: u16 = 23;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_FLAGS: u16 = 8;
const IFINFOMSG_LEN: usize = 16;
const IFADDRMSG_LEN: usize = 8;
const RTMSG_LEN: usize = 12;

/// Index of the loopback link, the first one of any namespace.
pub const LOOPBACK: u32 = 1;

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    pub name: &'a str,
    pub mac: Option<MacAddr>,
}

/// A veth pair: one end in the socket's namespace and up, the other born in `peer_namespace` and down (the
/// kernel refuses to bring it up before it has its peer).
pub fn add_veth(near: VethEnd<'_>, far: VethEnd<'_>, peer_namespace: BorrowedFd<'_>) -> Message {
    let mut message = Message::new(libc::RTM_NEWLINK, CREATE | EXCLUSIVE, &ifinfo(0, IFF_UP));
    end(&mut message, near);
    message.nest(libc::IFLA_LINKINFO, |info| {
        info.attr_str(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |data| {
            data.nest(VETH_INFO_PEER, |peer| {
                peer.raw(&ifinfo(0, 0));
                end(peer, far);
                peer.attr_u32(libc::IFLA_NET_NS_FD, peer_namespace.as_raw_fd().cast_unsigned());
            });
        });
    });
    message
}

fn end(message: &mut Message, end: VethEnd<'_>) {
    message.attr_str(libc::IFLA_IFNAME, end.name);
    if let Some(MacAddr(bytes)) = end.mac {
        message.attr(libc::IFLA_ADDRESS, &bytes);
    }
    // Left to itself the kernel makes one queue a CPU: memory on every task for a throughput few tasks need.
    message.attr_u32(libc::IFLA_NUM_TX_QUEUES, 1).attr_u32(libc::IFLA_NUM_RX_QUEUES, 1);
}

/// Brings a link up.
pub fn set_up(index: u32) -> Message {
    Message::new(libc::RTM_NEWLINK, 0, &ifinfo(index, IFF_UP))
}

/// Deletes a link, and so its peer, addresses and routes.
pub fn delete_link(index: u32) -> Message {
    Message::new(libc::RTM_DELLINK, 0, &ifinfo(index, 0))
}

/// Puts a link into a group, to be deleted with [`delete_group`].
pub fn set_group(index: u32, group: u32) -> Message {
    let mut message = Message::new(libc::RTM_NEWLINK, 0, &ifinfo(index, 0));
    message.attr_u32(libc::IFLA_GROUP, group);
    message
}

/// Deletes all links of a group at once: one grace period of the kernel for all of them, where each alone takes
/// tens of milliseconds with every other change of any network waiting.
pub fn delete_group(group: u32) -> Message {
    let mut message = Message::new(libc::RTM_DELLINK, 0, &ifinfo(0, 0));
    message.attr_u32(libc::IFLA_GROUP, group);
    message
}

fn ifinfo(index: u32, flags: u32) -> [u8; IFINFOMSG_LEN] {
    let mut bytes = [0; IFINFOMSG_LEN];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

/// Adds an address. Without `prefix_route` its subnet is not on-link: neighbours are reached by the router.
pub fn add_address(index: u32, address: Ipv4Addr, prefix: u8, prefix_route: bool) -> Message {
    let mut message = address_message(libc::RTM_NEWADDR, CREATE | REPLACE, index, address, prefix);
    if !prefix_route {
        message.attr_u32(IFA_FLAGS, IFA_F_NOPREFIXROUTE);
    }
    message
}

/// Deletes an address.
pub fn delete_address(index: u32, address: Ipv4Addr, prefix: u8) -> Message {
    address_message(libc::RTM_DELADDR, 0, index, address, prefix)
}

fn address_message(kind: u16, flags: u16, index: u32, address: Ipv4Addr, prefix: u8) -> Message {
    let mut fixed = [0; IFADDRMSG_LEN];
    fixed[0] = INET;
    fixed[1] = prefix;
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut message = Message::new(kind, flags, &fixed);
    message.attr(libc::IFA_LOCAL, &address.octets()).attr(libc::IFA_ADDRESS, &address.octets());
    message
}

/// Where packets to a block go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub to: Cidr,
    pub via: Via,
}

/// The way of a [`Route`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// Directly out of the link of that index.
    Link(u32),
    /// To a router, out of the link of that index.
    Router(Ipv4Addr, u32),
    /// Nowhere: dropped without a word, as a VPC's router does with unused addresses.
    Blackhole,
}

/// Adds a route, or replaces the one to the same block.
pub fn set_route(route: Route) -> Message {
    route_message(libc::RTM_NEWROUTE, CREATE | REPLACE, route)
}

/// Deletes a route.
pub fn delete_route(route: Route) -> Message {
    route_message(libc::RTM_DELROUTE, 0, route)
}

fn route_message(kind: u16, flags: u16, route: Route) -> Message {
    let (scope, route_kind) = match route.via {
        Via::Link(_) => (libc::RT_SCOPE_LINK, libc::RTN_UNICAST),
        Via::Router(..) => (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST),
        Via::Blackhole => (libc::RT_SCOPE_UNIVERSE, libc::RTN_BLACKHOLE),
    };
    let mut fixed = [0; RTMSG_LEN];
    fixed[0] = INET;
    fixed[1] = route.to.prefix();
    fixed[4] = libc::RT_TABLE_MAIN;
    fixed[5] = libc::RTPROT_STATIC;
    fixed[6] = scope;
    fixed[7] = route_kind;
    let mut message = Message::new(kind, flags, &fixed);
    if route.to.prefix() > 0 {
        message.attr(libc::RTA_DST, &route.to.network().octets());
    }
    match route.via {
        Via::Link(index) => {
            message.attr_u32(libc::RTA_OIF, index);
        }
        Via::Router(router, index) => {
            message.attr(libc::RTA_GATEWAY, &router.octets()).attr_u32(libc::RTA_OIF, index);
        }
        Via::Blackhole => {}
    }
    message
}

/// A neighbour that need not be asked for, and that nobody else can claim to be.
pub fn add_neighbour(index: u32, address: Ipv4Addr, mac: MacAddr) -> Message {
    let mut fixed = [0; 12];
    fixed[0] = INET;
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..10].copy_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
    let mut message = Message::new(libc::RTM_NEWNEIGH, CREATE | REPLACE, &fixed);
    message.attr(libc::NDA_DST, &address.octets()).attr(libc::NDA_LLADDR, &mac.0);
    message
}

/// A link as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// It and its peer are up, and its queue takes packets.
    pub is_running: bool,
    pub counters: LinkCounters,
}

/// What went through a link, as seen from its own end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    pub received_packets: u64,
    pub sent_packets: u64,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub received_errors: u64,
    pub sent_errors: u64,
    pub received_dropped: u64,
    pub sent_dropped: u64,
}

impl LinkCounters {
    /// The same traffic as the other end of a pair counts it.
    pub fn seen_from_peer(self) -> LinkCounters {
        LinkCounters {
            received_packets: self.sent_packets,
            sent_packets: self.received_packets,
            received_bytes: self.sent_bytes,
            sent_bytes: self.received_bytes,
            received_errors: self.sent_errors,
            sent_errors: self.received_errors,
            received_dropped: self.sent_dropped,
            sent_dropped: self.received_dropped,
        }
    }
}

impl Socket {
    /// The link of that name, if there is one.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, NetlinkError> {
        let mut message = Message::new(libc::RTM_GETLINK, 0, &ifinfo(0, 0));
        message.attr_str(libc::IFLA_IFNAME, name);
        match self.query(&message, false, read_link) {
            Ok(links) => Ok(links.into_iter().next()),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until a link, which came up before its peer did, takes packets. The kernel arranges that in the
    /// background; until then it drops what is sent, and the first connection would lose its first packet, a
    /// second. Since Linux 6.8 the question itself brings the answer about.
    pub fn await_running(&mut self, name: &str) -> Result<(), NetlinkError> {
        const PAUSE: Duration = Duration::from_micros(200);
        for _ in 0..2500 {
            match self.link(name)? {
                Some(link) if !link.is_running => std::thread::sleep(PAUSE),
                // One that is gone went with its peer, and whoever waits will find out.
                _ => return Ok(()),
            }
        }
        tracing::warn!(link = name, "link is slow to come up");
        Ok(())
    }

    /// Every link of the namespace.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        self.query(&Message::new(libc::RTM_GETLINK, 0, &ifinfo(0, 0)), true, read_link)
    }

    /// IPv4 addresses of a link, with their prefix lengths.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<(Ipv4Addr, u8)>, NetlinkError> {
        let mut fixed = [0; IFADDRMSG_LEN];
        fixed[0] = INET;
        self.query(&Message::new(libc::RTM_GETADDR, 0, &fixed), true, |reply| {
            let prefix = *reply.payload.get(1)?;
            let local = address(reply.attributes(IFADDRMSG_LEN).get(libc::IFA_LOCAL)?)?;
            (u32_at(reply.payload, 4)? == index).then_some((local, prefix))
        })
    }

    /// Routes of the main table that [`set_route`] could have made.
    pub fn routes(&mut self) -> Result<Vec<Route>, NetlinkError> {
        let mut fixed = [0; RTMSG_LEN];
        fixed[0] = INET;
        self.query(&Message::new(libc::RTM_GETROUTE, 0, &fixed), true, read_route)
    }
}

fn read_link(reply: Reply<'_>) -> Option<Link> {
    let attributes = reply.attributes(IFINFOMSG_LEN);
    let counters = attributes.get(IFLA_STATS64).and_then(read_counters).unwrap_or_default();
    Some(Link {
        index: u32_at(reply.payload, 4)?,
        name: text(attributes.get(libc::IFLA_IFNAME)?),
        is_running: attributes.get(IFLA_OPERSTATE) == Some(&[IF_OPER_UP]),
        counters,
    })
}

fn read_counters(bytes: &[u8]) -> Option<LinkCounters> {
    let counter = |position: usize| u64_at(bytes, position * 8);
    Some(LinkCounters {
        received_packets: counter(0)?,
        sent_packets: counter(1)?,
        received_bytes: counter(2)?,
        sent_bytes: counter(3)?,
        received_errors: counter(4)?,
        sent_errors: counter(5)?,
        received_dropped: counter(6)?,
        sent_dropped: counter(7)?,
    })
}

fn read_route(reply: Reply<'_>) -> Option<Route> {
    let [family, prefix, _, _, table, protocol, _, kind] = *reply.payload.first_chunk()?;
    if family != INET || table != libc::RT_TABLE_MAIN || protocol != libc::RTPROT_STATIC {
        return None;
    }
    let attributes: Attributes<'_> = reply.attributes(RTMSG_LEN);
    let network = attributes.get(libc::RTA_DST).and_then(address).unwrap_or(Ipv4Addr::UNSPECIFIED);
    let link = attributes.get(libc::RTA_OIF).and_then(|bytes| u32_at(bytes, 0));
    let via = match (kind, attributes.get(libc::RTA_GATEWAY).and_then(address), link) {
        (libc::RTN_BLACKHOLE, _, _) => Via::Blackhole,
        (libc::RTN_UNICAST, Some(router), Some(index)) => Via::Router(router, index),
        (libc::RTN_UNICAST, None, Some(index)) => Via::Link(index),
        _ => return None,
    };
    Some(Route { to: Cidr::containing(network, prefix)?, via })
}
