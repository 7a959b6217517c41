//! The `[api]` section: where the running router answers.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;

use super::section::{Keys, Section};

/// What `[api]` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Api {
    /// The Unix socket of the API. An absolute path that fits a socket address (107 octets).
    pub socket: PathBuf,
    /// Where the web page, the JSON API and `/metrics` listen, in the kernel's stack.
    pub listen: Vec<SocketAddr>,
}

/// Octets of a path in a socket address, the closing zero not among them (unix(7)).
const SOCKET_PATH_MAX: usize = 107;

impl Default for Api {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/xrouter/xrouter.sock"), listen: Vec::new() }
    }
}

impl Api {
    pub(super) const KEYS: Keys = &["socket", "listen"];

    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            socket: read_socket(section).unwrap_or(Self::default().socket),
            listen: read_listen(section),
        }
    }
}

fn read_socket(section: &mut Section<'_, '_>) -> Option<PathBuf> {
    let text = section.text("socket")?;
    if !text.value.starts_with('/') || text.value.contains('\0') {
        let help = "write the whole path, such as \"/run/xrouter/xrouter.sock\"";
        section.refuse("socket", text.span, "this is not an absolute path", help);
        return None;
    }
    if text.value.len() > SOCKET_PATH_MAX {
        let message = format_args!("{} octets do not fit a socket's address", text.value.len());
        let help = format_args!("choose a path of at most {SOCKET_PATH_MAX} octets");
        section.refuse("socket", text.span, message, help);
        return None;
    }
    Some(PathBuf::from(text.value))
}

fn read_listen(section: &mut Section<'_, '_>) -> Vec<SocketAddr> {
    let mut listen = Vec::new();
    for text in section.texts("listen", "[\"[::]:8080\"]") {
        match text.value.parse() {
            Err(_) => {
                let message = format_args!("\"{}\" is not an address with a port", text.value);
                let help = "write it like \"192.168.1.1:8080\" or \"[::]:8080\"";
                section.refuse("listen", text.span, message, help);
            }
            Ok(address) if listen.contains(&address) => {
                let message = format_args!("{address} is given twice");
                section.refuse("listen", text.span, message, "leave one of them out");
            }
            Ok(address) => listen.push(address),
        }
    }
    listen
}
