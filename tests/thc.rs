//! The attack toolkit of THC (Debian's thc-ipv6, its commands `atk6-*`) against the router and
//! through it: while its tools attack, nobody else is harmed.

mod net;

#[path = "thc/attacks.rs"]
mod attacks;
#[path = "thc/crowd.rs"]
mod crowd;
