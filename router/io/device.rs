//! Facts about a network device, asked of the kernel by ioctl(2).
//!
//! Not from /sys: in a network namespace entered by setns(2) that still shows the devices of the
//! namespace that mounted it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use thiserror::Error;

use crate::packet::ethernet::MacAddress;

/// What a device is, at the moment of asking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The kernel's name, never an alternative one (`altname`).
    pub name: String,
    /// The kernel's number in this network namespace.
    pub ifindex: u32,
    /// Its hardware address.
    pub mac: MacAddress,
    /// Longest payload of a frame in octets, without the Ethernet header.
    pub mtu: u32,
    /// Name of the driver, as `ethtool -i` has it; empty if the driver does not tell.
    pub driver: String,
    /// How many queues are in use.
    pub queues: Queues,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Up, and with a carrier (`IFF_RUNNING`).
    pub running: bool,
}

/// How many queues of a device are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Queues {
    /// Receive queues.
    pub receive: u32,
    /// Transmit queues.
    pub transmit: u32,
}

/// A fact about a device could not be had.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// There is no device of this name here.
    #[error("there is no network device {name:?} in this network namespace: see `ip link`")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// The device does not carry Ethernet frames.
    #[error("{name} is not an Ethernet device (hardware type {hardware}): a port needs one")]
    NotEthernet {
        /// The device.
        name: String,
        /// Its type, an `ARPHRD_` number.
        hardware: u16,
    },
    /// The kernel refused to answer.
    #[error("{name}: {call}: {cause}; has the device gone? see `ip link show dev {name}`")]
    Call {
        /// The device.
        name: String,
        /// The request of ioctl(2).
        call: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
}

impl Device {
    /// Find the device `name` (or, up to 15 octets long, one of its alternative names) and ask for
    /// all of its facts.
    pub fn find(name: &str) -> Result<Self, DeviceError> {
        let ifindex = index(name)?;
        let query = Query::new(ifindex, name)?;
        let flags = query.flags()?;
        Ok(Self {
            ifindex,
            mac: query.mac()?,
            mtu: query.mtu()?,
            driver: query.driver(),
            queues: query.queues(),
            up: flags & libc::IFF_UP != 0,
            running: flags & libc::IFF_RUNNING != 0,
            name: query.name,
        })
    }
}

/// The number of the device `name`. Not by if_nametoindex(3): glibc hides that there was no
/// descriptor for its socket.
pub fn index(name: &str) -> Result<u32, DeviceError> {
    let not_found = || DeviceError::NotFound { name: name.to_owned() };
    if name.len() >= libc::IF_NAMESIZE || name.contains('\0') {
        return Err(not_found());
    }
    let failed = |call| move |cause| DeviceError::Call { name: name.to_owned(), call, cause };
    let query = Query { socket: any_socket().map_err(failed("socket"))?, name: name.to_owned() };
    let mut request = query.request();
    match query.ioctl(libc::SIOCGIFINDEX, &mut request) {
        // SAFETY: SIOCGIFINDEX writes this member, and any number is a value of it.
        Ok(()) => Ok(unsafe { request.ifr_ifru.ifru_ifindex }.unsigned_abs()),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Err(not_found()),
        Err(error) => Err(failed("SIOCGIFINDEX")(error)),
    }
}

/// The name of the device with this number.
pub fn name(ifindex: u32) -> io::Result<String> {
    let query = Query { socket: any_socket()?, name: String::new() };
    let mut request = query.request();
    request.ifr_ifru.ifru_ifindex = i32::try_from(ifindex).map_err(io::Error::other)?;
    query.ioctl(libc::SIOCGIFNAME, &mut request)?;
    Ok(text_of(&request.ifr_name))
}

/// Name of the driver of the device with this number; empty if it does not tell.
pub fn driver(ifindex: u32) -> String {
    Query::new(ifindex, "").map(|query| query.driver()).unwrap_or_default()
}

/// How many queues the device `name` has in use now.
pub fn queues(name: &str) -> Result<Queues, DeviceError> {
    Ok(Query::new(index(name)?, name)?.queues())
}

/// linux/sockios.h, linux/ethtool.h.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GRXRINGS: u32 = 0x2d;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [libc::c_char; 32],
    rest: [u8; 160],
}
const _: () = assert!(size_of::<DriverInfo>() == 196);

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// The head of `struct ethtool_rxnfc`; the rest of its 192 octets is of other commands.
#[repr(C)]
struct RxRings {
    command: u32,
    flow_type: u32,
    count: u64,
    rest: [u64; 22],
}
const _: () = assert!(size_of::<RxRings>() == 192);

/// A socket to ask by, and the device to ask for.
struct Query {
    socket: OwnedFd,
    name: String,
}

impl Query {
    fn new(ifindex: u32, asked: &str) -> Result<Self, DeviceError> {
        let call = |call| move |cause| DeviceError::Call { name: asked.to_owned(), call, cause };
        let name = name(ifindex).map_err(call("SIOCGIFNAME"))?;
        Ok(Self { socket: any_socket().map_err(call("socket"))?, name })
    }

    fn flags(&self) -> Result<libc::c_int, DeviceError> {
        let request = self.ask("SIOCGIFFLAGS", libc::SIOCGIFFLAGS)?;
        // SAFETY: SIOCGIFFLAGS writes this member, and any number is a value of it.
        Ok(libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags }))
    }

    fn mtu(&self) -> Result<u32, DeviceError> {
        let request = self.ask("SIOCGIFMTU", libc::SIOCGIFMTU)?;
        // SAFETY: SIOCGIFMTU writes this member, and any number is a value of it.
        Ok(unsafe { request.ifr_ifru.ifru_mtu }.unsigned_abs())
    }

    fn mac(&self) -> Result<MacAddress, DeviceError> {
        let request = self.ask("SIOCGIFHWADDR", libc::SIOCGIFHWADDR)?;
        // SAFETY: SIOCGIFHWADDR writes this member, and any numbers are a value of it.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        if address.sa_family != libc::ARPHRD_ETHER {
            let (name, hardware) = (self.name.clone(), address.sa_family);
            return Err(DeviceError::NotEthernet { name, hardware });
        }
        let mut octets = [0; 6];
        for (octet, data) in octets.iter_mut().zip(address.sa_data) {
            *octet = data.to_ne_bytes()[0];
        }
        Ok(MacAddress(octets))
    }

    fn driver(&self) -> String {
        let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
        self.ethtool(&mut info).map(|()| text_of(&info.driver)).unwrap_or_default()
    }

    /// The queues in use. A driver that does not tell (`ETHTOOL_GCHANNELS`) may tell its receive
    /// rings; else it is taken to have one queue.
    fn queues(&self) -> Queues {
        let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
        if self.ethtool(&mut channels).is_ok() {
            let Channels { rx, tx, combined, .. } = channels;
            return Queues { receive: (rx + combined).max(1), transmit: (tx + combined).max(1) };
        }
        Queues { receive: self.receive_rings().unwrap_or(1).max(1), transmit: 1 }
    }

    fn receive_rings(&self) -> Option<u32> {
        let mut rings =
            RxRings { command: ETHTOOL_GRXRINGS, flow_type: 0, count: 0, rest: [0; 22] };
        self.ethtool(&mut rings).ok()?;
        u32::try_from(rings.count).ok()
    }

    fn ask(&self, call: &'static str, number: libc::Ioctl) -> Result<libc::ifreq, DeviceError> {
        let mut request = self.request();
        self.ioctl(number, &mut request).map_err(|cause| DeviceError::Call {
            name: self.name.clone(),
            call,
            cause,
        })?;
        Ok(request)
    }

    /// `command` is the structure that belongs to the command in its first member.
    fn ethtool<T>(&self, command: &mut T) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_data = std::ptr::from_mut(command).cast();
        self.ioctl(SIOCETHTOOL, &mut request)
    }

    fn ioctl(&self, number: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: the kernel reads and writes an `ifreq` for all the numbers used here, and for
        // SIOCETHTOOL what it points to, which is of the command's type and outlives the call.
        match unsafe { libc::ioctl(self.socket.as_raw_fd(), number, std::ptr::from_mut(request)) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn request(&self) -> libc::ifreq {
        // SAFETY: an `ifreq` is numbers and a pointer that nobody follows before it is set.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // The last octet stays 0: names have at most 15.
        let room = &mut request.ifr_name[..libc::IF_NAMESIZE - 1];
        for (to, from) in room.iter_mut().zip(self.name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request
    }
}

/// Any socket will do for these questions; a datagram one needs no privilege.
fn any_socket() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The text up to the first zero octet.
fn text_of(text: &[libc::c_char]) -> String {
    let octets: Vec<u8> = text.iter().map(|c| c.to_ne_bytes()[0]).chain([0]).collect();
    CStr::from_bytes_until_nul(&octets)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_and_is_no_port() {
        let ifindex = index("lo").unwrap();
        assert_eq!(name(ifindex).unwrap(), "lo");
        let error = Device::find("lo").unwrap_err();
        assert!(matches!(error, DeviceError::NotEthernet { hardware: 772, .. }), "{error}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        for missing in ["no-such-device", "", "with\0zero", "longer-than-fifteen-octets"] {
            let error = Device::find(missing).unwrap_err().to_string();
            assert!(error.contains(&format!("{missing:?}")), "{error}");
        }
        assert!(name(0).is_err());
    }

    #[test]
    fn text_ends_at_a_zero_or_at_its_end() {
        assert_eq!(text_of(&[101, 116, 104, 0, 120]), "eth");
        assert_eq!(text_of(&[101, 116]), "et");
    }
}
