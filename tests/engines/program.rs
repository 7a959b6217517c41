//! The XDP program on no device: a frame in, and what it does with it (`BPF_PROG_RUN`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use libbpf_rs::libbpf_sys;

use xrouter::io::xdp::{Constants, Facts, Program, Shared};
use xrouter::packet::ethernet::MacAddress;
use xrouter::table::{Budget, Memory};

/// More than any frame has that goes in.
pub const ROOM: usize = 4096;

/// Where the program sends a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ruling {
    /// Out of a port, by itself.
    Forwarded,
    /// Up to the worker.
    Worker,
    /// To the kernel.
    Kernel,
}

/// The program of one port.
#[derive(Debug)]
pub struct Engine {
    pub program: Program,
    /// The queue's: where there is none, a frame for the worker is the kernel's.
    _socket: OwnedFd,
}

impl Engine {
    /// A program that knows its port and the groups that this has joined.
    pub fn new(facts: Facts, groups: &[MacAddress], shared: &Shared) -> Self {
        let mut program = Program::load(0, facts, shared).expect("root, and Linux 6.1");
        groups.iter().for_each(|&group| program.join(group).expect("room"));
        let socket = socket();
        program.set_socket(0, socket.as_fd()).expect("a queue");
        Self { program, _socket: socket }
    }

    /// What becomes of a frame of 14 octets or more, and its octets then.
    pub fn run<'o>(&self, frame: &[u8], out: &'o mut [u8; ROOM]) -> (Ruling, &'o [u8]) {
        let size = |octets: usize| u32::try_from(octets).expect("short");
        let mut options = libbpf_sys::bpf_test_run_opts {
            sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
            data_in: frame.as_ptr().cast(),
            data_size_in: size(frame.len()),
            data_out: out.as_mut_ptr().cast(),
            data_size_out: size(out.len()),
            ..Default::default()
        };
        let program = self.program.fd().as_raw_fd();
        // SAFETY: the options are of the size that they say, and so are the frame and the room for
        // what comes out; all of them outlive the call.
        let result = unsafe { libbpf_sys::bpf_prog_test_run_opts(program, &mut options) };
        assert_eq!(result, 0, "{} with {frame:02x?}", io::Error::last_os_error());
        let ruling = match options.retval {
            // No port has a device.
            libbpf_sys::XDP_DROP => Ruling::Forwarded,
            libbpf_sys::XDP_REDIRECT => Ruling::Worker,
            libbpf_sys::XDP_PASS => Ruling::Kernel,
            other => panic!("{other} with {frame:02x?}"),
        };
        (ruling, &out[..options.data_size_out as usize])
    }
}

/// A socket that is bound to nothing, which a program may name all the same.
fn socket() -> OwnedFd {
    // SAFETY: a system call without memory of ours.
    let descriptor = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW, 0) };
    assert!(descriptor >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Maps for tables of this size, and the same maps for whoever writes these.
pub fn shared(budget: Budget, hash_seed: u32) -> (Shared, Memory) {
    let bounds = budget.bounds();
    let constants = Constants {
        fib4_entries: bounds.fib4_entries,
        fib6_entries: bounds.fib6_entries,
        fib6_skips: bounds.fib6_skips,
        adjacencies: bounds.adjacencies,
        ecmp_groups: bounds.ecmp_groups,
        hash_seed,
    };
    let shared = Shared::create(&budget.layout(), constants).expect("root, and memory");
    let tables = shared.tables().expect("descriptors");
    (shared, Memory::Maps(tables.try_into().expect("all tables")))
}
