//! What the in-memory benchmarks share: time, figures, and a router without cards.

pub mod clock;
pub mod figure;
pub mod router;
