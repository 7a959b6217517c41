//! Who makes routes in the kernel: the numbers of `rtm_protocol` and their names, which are those of
//! iproute2's and FRR's `rt_protos`.
#![forbid(unsafe_code)]

/// The names that are given.
const NAMES: &[(u8, &str)] = &[
    (1, "redirect"),
    (2, "kernel"),
    (3, "boot"),
    (4, "static"),
    (9, "ra"),
    (11, "zebra"),
    (12, "bird"),
    (16, "dhcp"),
    (18, "keepalived"),
    (42, "babel"),
    (99, "openr"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
    (189, "rip"),
    (190, "ripng"),
    (191, "nhrp"),
    (192, "eigrp"),
    (193, "ldp"),
    (194, "sharp"),
    (195, "pbr"),
    (196, "zstatic"),
    (197, "openfabric"),
    (198, "srte"),
];

/// What this number is called; the number itself if it has no name.
pub fn name(number: u8) -> String {
    let named = NAMES.iter().find(|(other, _)| *other == number);
    named.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// The number of this name.
pub fn number(name: &str) -> Option<u8> {
    NAMES.iter().find(|(_, other)| *other == name).map(|(number, _)| *number)
}
