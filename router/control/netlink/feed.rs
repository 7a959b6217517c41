//! News of the kernel's routes, and all of them when asked for: over one socket.
//!
//! News and the parts of a dump stand in the socket's queue in the order in which they came to be.
//! So a route that changes while it is listed is told as it is at last, and nothing has to be
//! compared by time.
#![forbid(unsafe_code)]

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{
    Emitable, NLM_F_APPEND, NLM_F_DUMP, NLM_F_MULTIPART, NLM_F_REPLACE, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, parse_i32,
};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, SocketAddr, TokioSocket};

use super::object::{Object, RTM_DELNEXTHOP, RTM_GETNEXTHOP, RTM_NEWNEXTHOP};
use super::raw;
use super::routes::{KernelRoute, Unsuitable};
use super::{Netlink, NetlinkError};
use crate::io::socket::force_receive_buffer;

/// Octets of news that wait while control is busy: some 80,000 routes. What is beyond is lost, and
/// all is asked anew.
const RECEIVE_BUFFER: i32 = 64 << 20;
/// Octets of one read: the kernel makes the parts of a dump no larger.
const READ: usize = 32 << 10;

// Message types of `linux/rtnetlink.h`.
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

/// ENOBUFS. As libc has it; this file does without it.
pub const OVERRUN: i32 = 105;

/// What was heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// There is a route.
    Route(KernelRoute, Way),
    /// There is a route that cannot be forwarded by, perhaps in the place of one that could.
    Unsuitable(Unsuitable),
    /// A route is no more.
    Gone(KernelRoute),
    /// There is a next-hop object, or it is another now.
    Object(u32, Object),
    /// A next-hop object is no more.
    ObjectGone(u32),
    /// All that there is has been listed since [`Feed::ask`].
    AllListed,
    /// The queue ran over, or a list ended early: how much was lost is not known.
    Overrun,
}

/// How a route came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// It was there when all were listed.
    Listed,
    /// It stands in the place of the first one with the same destinations and metric.
    Replaces,
    /// It stands behind what has the same destinations and metric.
    Appended,
    /// It is new, or stands before what has the same destinations and metric.
    Added,
}

/// What a dump lists, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Listing {
    Nothing,
    Objects,
    /// The routes of a family in one of the tables, by its place among them.
    Routes(AddressFamily, usize),
}

/// A socket that hears of routes and next-hop objects.
pub struct Feed {
    socket: TokioSocket,
    buffer: Vec<u8>,
    tables: Vec<u32>,
    listing: Listing,
    /// Of the request that is being answered.
    sequence: u32,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("listing", &self.listing).finish_non_exhaustive()
    }
}

impl Netlink {
    /// Hear of routes, and list those of `tables` when asked to. The calling thread has to be in
    /// the network namespace.
    ///
    /// # Errors
    /// [`NetlinkError`], if no socket can be had.
    pub fn follow_routes(&self, tables: Vec<u32>) -> Result<Feed, NetlinkError> {
        let failed =
            |call| move |source| NetlinkError { object: "route news".into(), call, source };
        let mut shared = TokioSocket::new(NETLINK_ROUTE).map_err(failed("socket"))?;
        let socket = shared.socket_mut();
        force_receive_buffer(socket.as_fd(), RECEIVE_BUFFER).map_err(failed("SO_RCVBUFFORCE"))?;
        socket.set_netlink_get_strict_chk(true).map_err(failed("NETLINK_GET_STRICT_CHK"))?;
        socket.bind(&SocketAddr::new(0, 0)).map_err(failed("bind"))?;
        for group in [MulticastGroup::Ipv4Route, MulticastGroup::Ipv6Route] {
            socket.add_membership(group as u32).map_err(failed("NETLINK_ADD_MEMBERSHIP"))?;
        }
        // Kernels before 5.3 have no next-hop objects.
        let _none_to_hear_of = socket.add_membership(MulticastGroup::Nexthop as u32);
        let buffer = Vec::with_capacity(READ);
        Ok(Feed { socket: shared, buffer, tables, listing: Listing::Nothing, sequence: 0 })
    }
}

impl Feed {
    /// Ask for all that there is; [`News::AllListed`] ends it. To be called when nothing is being
    /// listed.
    ///
    /// # Errors
    /// What send(2) says.
    pub fn ask(&mut self) -> io::Result<()> {
        self.request(Listing::Objects)
    }

    /// Wait until something was read, for [`Feed::hear`]. A call that is abandoned (`select!`)
    /// loses nothing.
    ///
    /// # Errors
    /// What recv(2) says; [`OVERRUN`] among it.
    pub async fn read(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            poll_fn(|context| self.socket.poll_recv(context, &mut self.buffer)).await
        } else {
            Ok(())
        }
    }

    /// Tell what was read, and go on reading as long as there is something and less than `most`
    /// news were told. Whether nothing is left: what ran over is heard of again from then on.
    ///
    /// # Errors
    /// What recv(2) says, and send(2) to ask for the next part of a list.
    pub fn hear(&mut self, most: usize, mut tell: impl FnMut(News)) -> io::Result<bool> {
        let mut told = 0;
        loop {
            let buffer = std::mem::take(&mut self.buffer);
            let heard = self.parse(&buffer, &mut |news| {
                told += 1;
                tell(news);
            });
            self.buffer = buffer;
            self.buffer.clear();
            heard?;
            if told >= most {
                return Ok(false);
            }
            match self.socket.socket_ref().recv(&mut self.buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.raw_os_error() == Some(OVERRUN) => tell(News::Overrun),
                Err(error) => return Err(error),
            }
        }
    }

    fn parse(&mut self, octets: &[u8], tell: &mut impl FnMut(News)) -> io::Result<()> {
        messages(octets).try_for_each(|message| self.understand(&message, tell))
    }

    fn understand(
        &mut self,
        message: &NetlinkBuffer<&[u8]>,
        tell: &mut impl FnMut(News),
    ) -> io::Result<()> {
        match message.message_type() {
            NLMSG_DONE | NLMSG_ERROR if message.sequence_number() == self.sequence => {
                if !is_whole(message.payload()) {
                    tell(News::Overrun);
                }
                return self.list_next(tell);
            }
            RTM_NEWROUTE => tell(match KernelRoute::parse(message.payload()) {
                Ok(route) => News::Route(route, way(message.flags())),
                Err(why) => News::Unsuitable(why),
            }),
            RTM_DELROUTE => {
                KernelRoute::parse(message.payload()).map(|route| tell(News::Gone(route))).ok();
            }
            RTM_NEWNEXTHOP => {
                let object = Object::parse(message.payload());
                object.map(|(id, object)| tell(News::Object(id, object))).ok();
            }
            RTM_DELNEXTHOP => {
                Object::parse(message.payload()).map(|(id, _)| tell(News::ObjectGone(id))).ok();
            }
            _ => {}
        }
        Ok(())
    }

    /// One listing has ended.
    fn list_next(&mut self, tell: &mut impl FnMut(News)) -> io::Result<()> {
        let next = match self.listing {
            Listing::Nothing => return Ok(()),
            Listing::Objects => Listing::Routes(AddressFamily::Inet, 0),
            Listing::Routes(family, table) if table + 1 < self.tables.len() => {
                Listing::Routes(family, table + 1)
            }
            Listing::Routes(AddressFamily::Inet, _) => Listing::Routes(AddressFamily::Inet6, 0),
            Listing::Routes(..) => {
                self.listing = Listing::Nothing;
                tell(News::AllListed);
                return Ok(());
            }
        };
        self.request(next)
    }

    fn request(&mut self, listing: Listing) -> io::Result<()> {
        self.listing = listing;
        self.sequence += 1;
        let (kind, body) = match listing {
            Listing::Nothing => return Ok(()),
            // `struct nhmsg`: all of them, of whatever family.
            Listing::Objects => (RTM_GETNEXTHOP, vec![0; 8]),
            Listing::Routes(family, table) => (RTM_GETROUTE, filter(family, self.tables[table])),
        };
        let octets = raw::request(kind, NLM_F_DUMP, self.sequence, &body);
        self.socket.socket_ref().send_to(&octets, &SocketAddr::new(0, 0), 0).map(drop)
    }
}

/// The messages of one read, as far as they are whole.
pub fn messages(mut octets: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(octets).ok()?;
        let length = (message.length() as usize).next_multiple_of(4);
        octets = octets.get(length..).unwrap_or_default();
        Some(message)
    })
}

fn way(flags: u16) -> Way {
    if flags & NLM_F_MULTIPART != 0 {
        Way::Listed
    } else if flags & NLM_F_REPLACE != 0 {
        Way::Replaces
    } else if flags & NLM_F_APPEND != 0 {
        Way::Appended
    } else {
        Way::Added
    }
}

/// Whether all was listed. ENOENT, EOPNOTSUPP, EAFNOSUPPORT: the kernel has no such table, no objects,
/// no IPv6. Any other error says nothing of what there is.
fn is_whole(payload: &[u8]) -> bool {
    let error = payload.get(..4).and_then(|octets| parse_i32(octets).ok());
    matches!(error, None | Some(0 | -2 | -95 | -97))
}

/// The body of a request for the routes of one table: the kernel filters.
fn filter(family: AddressFamily, table: u32) -> Vec<u8> {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    message.attributes.push(RouteAttribute::Table(table));
    let mut body = vec![0; message.buffer_len()];
    message.emit(&mut body);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flags_say_of_a_route() {
        const CREATE: u16 = 0x400;
        assert_eq!(way(CREATE), Way::Added);
        assert_eq!(way(CREATE | NLM_F_REPLACE), Way::Replaces);
        assert_eq!(way(CREATE | NLM_F_APPEND), Way::Appended);
        assert_eq!(way(NLM_F_MULTIPART), Way::Listed);
    }

    #[test]
    fn a_list_that_ended_early_is_not_all_there_is() {
        assert!(is_whole(&[]) && is_whole(&0i32.to_ne_bytes()));
        assert!(is_whole(&(-2i32).to_ne_bytes()), "no such table");
        assert!(!is_whole(&(-16i32).to_ne_bytes()), "EBUSY");
        assert!(!is_whole(&(-12i32).to_ne_bytes()), "ENOMEM");
    }

    #[test]
    fn a_request_is_as_the_kernel_reads_it() {
        let filter = filter(AddressFamily::Inet6, 1000);
        let octets = raw::request(RTM_GETROUTE, NLM_F_DUMP, 7, &filter);
        let message = NetlinkBuffer::new_checked(&octets[..]).unwrap();
        assert_eq!((message.message_type(), message.sequence_number()), (RTM_GETROUTE, 7));
        assert_eq!(message.flags(), 1 | NLM_F_DUMP);
        let table = [[8, 0, 15, 0], 1000u32.to_le_bytes()].concat();
        assert_eq!(message.payload(), [&[10][..], &[0; 11], &table].concat());
    }
}
