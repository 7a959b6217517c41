//! How many connections of TCP a second: each is opened, one octet comes, and it is closed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};
use std::{io, mem, ptr};

use anyhow::{Context, Result};
use serde_json::json;

/// Connections that are being made at a time: with one, only the round trip would be measured.
const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers each connection with an octet and closes it, until the process is ended.
pub fn accept(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| address.to_string())?;
    println!("ready");
    for connection in listener.incoming() {
        // The client may have gone already, which is its own affair.
        let _ = connection.and_then(|mut connection| connection.write_all(&[0]));
    }
    Ok(())
}

/// Prints how many connections there were, and how many did not come about.
pub fn connect(address: SocketAddr, seconds: f64) -> Result<()> {
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(seconds);
    let clients: Vec<_> =
        (0..AT_ONCE).map(|_| thread::spawn(move || repeat(address, end))).collect();
    let (mut made, mut failed) = (0, 0);
    for client in clients {
        let counts = client.join().ok().context("a client panicked")?;
        made += counts.0;
        failed += counts.1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = made as f64 / seconds;
    println!("{}", json!({"connections": made, "failed": failed, "per_second": rate}));
    Ok(())
}

fn repeat(address: SocketAddr, end: Instant) -> (u64, u64) {
    let (mut made, mut failed) = (0, 0);
    while Instant::now() < end {
        match once(address) {
            Ok(()) => made += 1,
            Err(_) => failed += 1,
        }
    }
    (made, failed)
}

fn once(address: SocketAddr) -> io::Result<()> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    reset_at_close(&connection)?;
    connection.read_exact(&mut [0])
}

/// Neither end keeps the port for a minute, as TIME-WAIT would: there are 28,000 of them.
fn reset_at_close(connection: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (value, length) = (ptr::from_ref(&linger).cast(), mem::size_of_val(&linger) as u32);
    let fd = connection.as_raw_fd();
    // SAFETY: a value of the length that is said.
    match unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, value, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_made_answered_and_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            connection.write_all(&[0]).unwrap();
        });
        once(address).unwrap();
    }

    #[test]
    fn without_a_server_there_is_none() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(once(free).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
