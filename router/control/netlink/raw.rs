//! Requests that rtnetlink has no words for, octet by octet, over a socket of their own.
#![forbid(unsafe_code)]

use std::io;

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, parse_i32,
};
use rtnetlink::sys::{Socket, SocketAddr};

/// Octets of `struct nlmsghdr`.
const HEADER: usize = 16;

/// A message with this body.
pub(super) fn request(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0; HEADER];
    octets.extend_from_slice(body);
    let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    let mut message = NetlinkBuffer::new(&mut octets);
    message.set_length(length);
    message.set_message_type(kind);
    message.set_flags(NLM_F_REQUEST | flags);
    message.set_sequence_number(sequence);
    octets
}

/// Everything that the kernel lists when asked so: the bodies of its messages.
///
/// # Errors
/// What the kernel says.
pub(super) fn list(protocol: isize, kind: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let socket = send(protocol, &request(kind, NLM_F_DUMP, 1, body))?;
    let mut bodies = Vec::new();
    while !read(&socket, |body| bodies.push(body.to_vec()))? {}
    Ok(bodies)
}

/// Ask the kernel to do something, and wait until it is done.
///
/// # Errors
/// What the kernel says.
pub(super) fn order(protocol: isize, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let socket = send(protocol, &request(kind, NLM_F_ACK | flags, 1, body))?;
    while !read(&socket, |_| {})? {}
    Ok(())
}

fn send(protocol: isize, octets: &[u8]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.send_to(octets, &SocketAddr::new(0, 0), 0)?;
    Ok(socket)
}

/// One read; whether that was the end.
fn read(socket: &Socket, mut tell: impl FnMut(&[u8])) -> io::Result<bool> {
    let (buffer, _) = socket.recv_from_full()?;
    let mut octets = &buffer[..];
    while let Ok(message) = NetlinkBuffer::new_checked(octets) {
        match message.message_type() {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => return verdict(message.payload()).map(|()| true),
            _ => tell(message.payload()),
        }
        let length = (message.length() as usize).next_multiple_of(4);
        octets = octets.get(length..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct nlmsgerr` begins with the error, negative; 0 is an acknowledgement.
fn verdict(payload: &[u8]) -> io::Result<()> {
    let code = payload.get(..4).and_then(|octets| parse_i32(octets).ok());
    match code.unwrap_or_default() {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_no_error() {
        assert!(verdict(&[0; 20]).is_ok() && verdict(&[]).is_ok());
        let refused = verdict(&(-22i32).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(22));
    }
}
