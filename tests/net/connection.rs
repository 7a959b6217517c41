//! A TCP connection that is to outlive what happens to the router.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::command::Namespace;
use super::seconds;
use super::wire::enter;

/// One end of it; the other says again what it hears.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    echo: Option<JoinHandle<io::Result<u64>>>,
    said: u64,
}

impl Connection {
    /// From a host to an address that another has.
    #[track_caller]
    pub fn open(from: &Namespace, to: &Namespace, address: &str) -> Self {
        let address: SocketAddr = address.parse().expect("an address with a port");
        let (listens, is_listening) = mpsc::channel();
        let place = to.path();
        let echo = std::thread::spawn(move || {
            enter(&place)?;
            let listener = TcpListener::bind(address)?;
            listens.send(()).map_err(io::Error::other)?;
            let (stream, _) = listener.accept()?;
            io::copy(&mut &stream, &mut &stream)
        });
        is_listening.recv().expect("the host can listen");
        let place = from.path();
        let opened = std::thread::spawn(move || {
            enter(&place)?;
            let stream = TcpStream::connect_timeout(&address, seconds(5))?;
            stream.set_read_timeout(Some(seconds(5)))?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        });
        let stream = opened.join().expect("no panic").expect("the host answers");
        Self { stream, echo: Some(echo), said: 0 }
    }

    /// What is said comes back.
    #[track_caller]
    pub fn is_alive(&mut self) {
        self.said += 1;
        let said = self.said.to_be_bytes();
        self.stream.write_all(&said).expect("the connection stands");
        let mut heard = [0; 8];
        self.stream.read_exact(&mut heard).expect("the other end answers");
        assert_eq!(heard, said);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without it the other end would wait for ever, if the network is gone.
        self.stream.shutdown(std::net::Shutdown::Both).ok();
        drop(self.echo.take());
    }
}
