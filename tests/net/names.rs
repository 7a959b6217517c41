//! The names of xrouter's JSON that the tests read, in one place.

/// Frames of a port that the XDP program forwarded itself; they are counted as received, too.
pub const FAST_PATH: &str = "fast_path";

/// Counters of a port by which frames come into the router. Together they are as many as those
/// of [`FRAMES_OUT`] when the router is at rest.
pub const FRAMES_IN: [&str; 3] = ["received", "from_kernel", "originated"];
/// Counters of a port by which frames leave the router, or wait in it.
pub const FRAMES_OUT: [&str; 5] = ["transmitted", "punted", "dropped", "absorbed", "waiting"];

/// Frames that the XDP program left to the kernel: they were not for this router.
pub const PASSED: &str = "passed";

/// What the kernel lost of a port's frames before the router saw them (`struct xdp_statistics`).
/// An empty fill ring is the cause of a loss that `rx_dropped` counts already.
pub const KERNEL_LOSSES: [&str; 2] = ["kernel_rx_dropped", "kernel_rx_ring_full"];
/// Descriptors that the kernel refused: each one is a bug of ours.
pub const INVALID_DESCRIPTORS: [&str; 2] = ["kernel_rx_invalid_descs", "kernel_tx_invalid_descs"];

/// A worker's ledger of its UMEM's chunks: an object of numbers, whose sum is its `total`.
pub const UMEM: &str = "umem";
/// All chunks there are.
pub const UMEM_TOTAL: &str = "total";
/// Where no chunk may be when nothing is going on.
pub const UMEM_BUSY: [&str; 3] = ["transmit", "held", "queued"];

/// All rounds of a worker's loop, and those of them in which it had nothing to do.
pub const WORKER_ROUNDS: [&str; 2] = ["rounds", "idle_rounds"];

/// The state of a neighbour that has just answered.
pub const REACHABLE: &str = "REACHABLE";

/// Drop reasons.
pub mod reason {
    /// No route to the destination.
    pub const NO_ROUTE: &str = "no_route";
    /// TTL or hop limit used up.
    pub const TTL_EXCEEDED: &str = "ttl_exceeded";
    /// The IPv4 header checksum is wrong.
    pub const IPV4_CHECKSUM: &str = "ipv4_checksum";
    /// Longer than the egress MTU and not to be fragmented.
    pub const TOO_BIG: &str = "too_big";
    /// The route says blackhole.
    pub const BLACKHOLE: &str = "blackhole";
    /// The route says prohibit.
    pub const PROHIBITED: &str = "prohibited";
    /// The neighbour did not answer, or the route says unreachable.
    pub const HOST_UNREACHABLE: &str = "host_unreachable";
}
