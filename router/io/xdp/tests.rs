use super::*;

const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 2];
const GROUP: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

const NOT_OURS: [u64; 3] = [1, 0, 0];
const ETHER_TYPE: [u64; 3] = [0, 1, 0];
const TO_WORKER: [u64; 3] = [0, 0, 1];

const CONSTANTS: Constants = Constants {
    fib4_entries: 1 << 24,
    fib6_entries: 1 << 16,
    fib6_skips: 1,
    adjacencies: 2,
    ecmp_groups: 1,
    hash_seed: 0,
};

/// As large as the constants say.
const TABLES: [(&str, u32); 7] = [
    ("fib4", 1 << 25),
    ("fib6", (1 << 18) + 32),
    ("next_hops", 1 << 17),
    ("adjacencies", 64),
    ("ecmp", 256),
    ("used", 1 << 15),
    ("own", 1 << 13),
];

fn facts(mac: [u8; 6]) -> Facts {
    Facts {
        port: PortId::new(0).unwrap(),
        mac: MacAddress(mac),
        mtu: 1500,
        engine: 1,
        active: true,
        fast: true,
        unfinished_checksums: true,
    }
}

/// A program on no device, told who it is.
pub(in crate::io) fn program() -> Program {
    let shared = Shared::create(&TABLES, CONSTANTS).unwrap();
    let mut program = Program::load(0, facts(OURS), &shared).unwrap();
    program.join(MacAddress(GROUP)).unwrap();
    program
}

/// What one frame adds to the counters. The run ends with XDP_PASS always: no socket is set.
fn run(program: &Program, destination: [u8; 6], ether_type: u16) -> [u64; 3] {
    let mut frame = [0xa5; 14];
    frame[..6].copy_from_slice(&destination);
    frame[12..].copy_from_slice(&ether_type.to_be_bytes());
    let before = program.counters().unwrap();
    assert_eq!(run_once(program.fd(), &frame), libbpf_sys::XDP_PASS);
    let after = program.counters().unwrap();
    [
        after.passed_not_ours - before.passed_not_ours,
        after.passed_ether_type - before.passed_ether_type,
        after.to_worker - before.to_worker,
    ]
}

fn run_once(program: BorrowedFd<'_>, frame: &[u8]) -> u32 {
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        data_in: frame.as_ptr().cast(),
        data_size_in: u32::try_from(frame.len()).unwrap(),
        ..Default::default()
    };
    // SAFETY: the options are of the size that they say; they and the frame outlive the call.
    let result = unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &mut options) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    options.retval
}

#[test]
fn only_what_is_sent_to_us_goes_to_the_worker() {
    let mut program = program();
    assert_eq!(run(&program, OURS, 0x0800), TO_WORKER);
    assert_eq!(run(&program, OTHER, 0x0800), NOT_OURS);
    assert_eq!(run(&program, MacAddress::BROADCAST.octets(), 0x0806), TO_WORKER);
    assert_eq!(run(&program, GROUP, 0x86dd), TO_WORKER);
    assert_eq!(run(&program, [0x33, 0x33, 0, 0, 0, 2], 0x86dd), NOT_OURS);
    program.tell(facts(OTHER)).unwrap();
    assert_eq!(run(&program, OURS, 0x0800), NOT_OURS);
    assert_eq!(run(&program, OTHER, 0x0800), TO_WORKER);
}

#[test]
fn only_the_types_that_the_worker_knows_go_to_it() {
    let program = program();
    for routed in [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8] {
        assert_eq!(run(&program, OURS, routed), TO_WORKER, "{routed:#06x}");
    }
    // An 802.3 length, PPPoE discovery, LLDP, EAPOL, MACsec, MPLS.
    for passed in [64, 0x8863, 0x88cc, 0x888e, 0x88e5, 0x8847] {
        assert_eq!(run(&program, OURS, passed), ETHER_TYPE, "{passed:#06x}");
    }
}

#[test]
fn groups_are_left_and_activation_is_taken_back() {
    let mut program = program();
    for _ in 0..2 {
        program.leave(MacAddress(GROUP)).unwrap();
        assert_eq!(run(&program, GROUP, 0x86dd), NOT_OURS);
    }
    program.tell(Facts { active: false, ..facts(OURS) }).unwrap();
    assert_eq!(run(&program, OURS, 0x0800), NOT_OURS);
    assert_eq!(run(&program, MacAddress::BROADCAST.octets(), 0x0806), NOT_OURS);
}

#[test]
fn what_the_kernel_answers_has_a_mend_by_driver() {
    let of = |errno, driver| mend(&io::Error::from_raw_os_error(errno), driver);
    assert!(of(libc::EOPNOTSUPP, "virtio_net").contains("ctrl_guest_offloads=on"));
    assert!(of(libc::EOPNOTSUPP, "e1000").contains("no native XDP"));
    assert!(of(libc::ENOSPC, "veth").contains("ethtool -L"));
}

#[test]
fn the_shared_tables_can_be_mapped() {
    let shared = Shared::create(&TABLES, CONSTANTS).unwrap();
    let table = shared.tables().unwrap().remove(0);
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            TABLES[0].1 as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            table.as_raw_fd(),
            0,
        )
    };
    assert_ne!(base, libc::MAP_FAILED, "{}", io::Error::last_os_error());
    // SAFETY: mapped above, and nothing points into it.
    unsafe { libc::munmap(base, TABLES[0].1 as usize) };
    assert!(Shared::create(&[("ecmp", 0)], CONSTANTS).is_err());
}

#[test]
fn of_what_knows_nothing_of_xdp_nothing_is_known() {
    assert_eq!(takes_frames(1), None);
}
