//! Policy routing: rules besides those that every namespace has.
#![forbid(unsafe_code)]

use futures::TryStreamExt;
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use rtnetlink::IpVersion;

use super::{Netlink, NetlinkError};

/// The priorities of the kernel's own rules: the tables `local`, `main` and `default`.
const OWN: [u32; 3] = [0, 32766, 32767];

impl Netlink {
    /// The priorities of the rules that somebody has made.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn rules_of_others(&self) -> Result<Vec<u32>, NetlinkError> {
        let mut found = Vec::new();
        for version in [IpVersion::V4, IpVersion::V6] {
            let dump = self.handle.rule().get(version).execute();
            let rules: Result<Vec<RuleMessage>, _> = dump.try_collect().await;
            let rules = rules.map_err(|e| NetlinkError::new("rules", "list", e))?;
            found.extend(rules.iter().map(priority).filter(|priority| !OWN.contains(priority)));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// The rule of priority 0 does not say so.
fn priority(rule: &RuleMessage) -> u32 {
    let given = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Priority(priority) => Some(*priority),
        _ => None,
    });
    given.unwrap_or_default()
}
