//! Next hop -> adjacency, straight or by way of an ECMP group.
//!
//! Three arrays (layout: `bpf/shared.h`). `next_hops` has a word for each [`NextHopId`]: the slot
//! of its adjacency, or of its group. An adjacency or a group is never edited: a new one is filled
//! in a free slot, and one `Release` store of the word makes it the one in force, even behind a
//! million routes. The slot that it had before waits in limbo until no reader can have it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::adjacency::{ADJACENCY_OCTETS, ADJACENCY_WORDS, Adjacency, AdjacencyKind};
use super::group::{BUCKETS, Buckets, buckets};
use super::publish::{Grace, Limbo, Slots};
use super::shared::Region;
use super::{Budget, TableFull};
use crate::id::{NEXT_HOP_ID_MAX, NextHopId};
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// In a word of `next_hops`: the rest is the slot of a group, not of an adjacency.
pub const IS_GROUP: u32 = 0x8000_0000;

/// Words of `next_hops`: one for each number that a next hop can have, used or not.
const NUMBERS: usize = NEXT_HOP_ID_MAX as usize + 1;

/// For each one in use there is room for one in limbo: neighbours may all change at once.
const SLOTS_EACH: u32 = 2;

/// Octets of the array of next hops.
pub(super) const NEXT_HOPS_OCTETS: usize = NUMBERS * size_of::<AtomicU32>();

/// Slot 0 is empty for ever, so that a zeroed word leads nowhere.
fn adjacency_slots(budget: &Budget) -> u32 {
    1 + SLOTS_EACH * u32::from(budget.next_hops)
}

fn group_slots(budget: &Budget) -> u32 {
    SLOTS_EACH * u32::from(budget.ecmp_groups)
}

/// Octets of the array of adjacencies.
pub(super) fn adjacencies_octets(budget: &Budget) -> usize {
    ADJACENCY_OCTETS * adjacency_slots(budget) as usize
}

/// Octets of a group.
pub(super) const GROUP_OCTETS: usize = size_of::<AtomicU16>() * BUCKETS;

/// Octets of the array of groups.
pub(super) fn ecmp_octets(budget: &Budget) -> usize {
    // An array map cannot be empty.
    GROUP_OCTETS * group_slots(budget).max(1) as usize
}

/// The readers' side.
#[derive(Debug)]
pub struct NextHops {
    next_hops: Region,
    adjacencies: Region,
    adjacency_words: usize,
    ecmp: Region,
    ecmp_buckets: usize,
}

impl NextHops {
    pub(super) fn new(
        next_hops: Region,
        adjacencies: Region,
        ecmp: Region,
        budget: &Budget,
    ) -> Self {
        let adjacency_words = ADJACENCY_WORDS * adjacency_slots(budget) as usize;
        let ecmp_buckets = BUCKETS * group_slots(budget).max(1) as usize;
        Self { next_hops, adjacencies, adjacency_words, ecmp, ecmp_buckets }
    }

    /// What is done with a packet for this next hop, and whose adjacency that is: of a group, the
    /// member that the flow belongs to. `flow_hash` is asked for groups only. A next hop that
    /// does not exist is a black hole.
    // Inlined at any price: 32 octets returned by way of memory cost a packet some five nanoseconds.
    #[inline(always)]
    pub fn adjacency(
        &self,
        id: NextHopId,
        flow_hash: impl FnOnce() -> u32,
    ) -> (NextHopId, Adjacency) {
        let word = self.word(id).load(Ordering::Acquire);
        if word & IS_GROUP == 0 {
            return (id, self.load(word));
        }
        let Some(leaf) = self.member(word & !IS_GROUP, flow_hash()) else {
            return (id, Adjacency::plain(AdjacencyKind::Blackhole));
        };
        // A group in a group has a word far above all slots, and so ends as a black hole.
        (leaf, self.load(self.word(leaf).load(Ordering::Acquire)))
    }

    /// Whether what is done with packets for this next hop, or for any member of this group, is
    /// what `wanted` looks for.
    pub fn any(&self, id: NextHopId, wanted: impl Fn(&Adjacency) -> bool) -> bool {
        let word = self.word(id).load(Ordering::Acquire);
        if word & IS_GROUP == 0 {
            return wanted(&self.load(word));
        }
        let mut looked_at = None;
        (0..).take(BUCKETS).filter_map(|bucket| self.member(word & !IS_GROUP, bucket)).any(|leaf| {
            // A member's buckets are often neighbours.
            looked_at.replace(leaf) != Some(leaf)
                && wanted(&self.load(self.word(leaf).load(Ordering::Acquire)))
        })
    }

    #[inline]
    fn word(&self, id: NextHopId) -> &AtomicU32 {
        &self.next_hops.words(0, NUMBERS)[usize::from(id.get())]
    }

    #[inline(always)]
    fn load(&self, slot: u32) -> Adjacency {
        let first = ADJACENCY_WORDS * slot as usize;
        let words = self.adjacency_words().get(first..).and_then(|words| words.first_chunk());
        let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
        words.map_or(Adjacency::plain(AdjacencyKind::Blackhole), |[a, b, c, _reserved]| {
            Adjacency::from_words([word(a), word(b), word(c)])
        })
    }

    #[inline]
    fn member(&self, slot: u32, flow_hash: u32) -> Option<NextHopId> {
        let bucket = BUCKETS * slot as usize + flow_hash as usize % BUCKETS;
        NextHopId::new(self.ecmp_buckets().get(bucket)?.load(Ordering::Relaxed))
    }

    #[inline]
    fn adjacency_words(&self) -> &[AtomicU64] {
        const { assert!(ADJACENCY_WORDS == 4) };
        self.adjacencies.words(0, self.adjacency_words)
    }

    #[inline]
    fn ecmp_buckets(&self) -> &[AtomicU16] {
        self.ecmp.words(0, self.ecmp_buckets)
    }

    fn group(&self, slot: u32) -> &[AtomicU16] {
        &self.ecmp_buckets()[BUCKETS * slot as usize..][..BUCKETS]
    }
}

/// The writer's side.
#[derive(Debug)]
pub(super) struct Writer {
    numbers: Slots,
    /// Released numbers; their words stay until no reader can have them.
    released: Limbo<NextHopId>,
    adjacencies: Slots,
    groups: Slots,
    groups_used: u32,
    groups_limit: u32,
    /// What [`Writer::set`] found no slot for: it takes effect with the next reclaim.
    deferred: BTreeMap<NextHopId, Adjacency>,
}

impl Writer {
    pub(super) fn new(budget: &Budget) -> Self {
        let mut adjacencies = Slots::new(adjacency_slots(budget));
        let empty = adjacencies.allocate();
        debug_assert_eq!(empty, Some(0), "the slot that stays empty");
        Self {
            numbers: Slots::new(u32::from(budget.next_hops)),
            released: Limbo::default(),
            adjacencies,
            groups: Slots::new(group_slots(budget)),
            groups_used: 0,
            groups_limit: u32::from(budget.ecmp_groups),
            deferred: BTreeMap::new(),
        }
    }

    /// Numbers in use, and how many there are; the same for groups.
    pub(super) fn usage(&self) -> [(u32, u32); 2] {
        let numbers = (self.numbers.used(), self.numbers.limit());
        [numbers, (self.groups_used, self.groups_limit)]
    }

    pub(super) fn allocate(
        &mut self,
        shared: &NextHops,
        adjacency: Adjacency,
    ) -> Result<NextHopId, TableFull> {
        let slot = self.adjacencies.allocate().ok_or(TableFull)?;
        let Some(id) = self.number() else {
            self.adjacencies.give_back(slot);
            return Err(TableFull);
        };
        store(shared, slot, adjacency);
        shared.word(id).store(slot, Ordering::Release);
        Ok(id)
    }

    /// Another adjacency for this next hop, at once, or, if too many changed since the last
    /// reclaim, with the next one.
    pub(super) fn set(&mut self, shared: &NextHops, id: NextHopId, adjacency: Adjacency) {
        let Some(slot) = self.adjacencies.allocate() else {
            self.deferred.insert(id, adjacency);
            return;
        };
        self.deferred.remove(&id);
        store(shared, slot, adjacency);
        self.point(shared, id, slot);
    }

    /// A group; flows that stay with a member of `like`, in whose place it comes, stay there.
    pub(super) fn allocate_group(
        &mut self,
        shared: &NextHops,
        members: &[(NextHopId, u16)],
        like: Option<NextHopId>,
    ) -> Result<NextHopId, TableFull> {
        if self.groups_used == self.groups_limit {
            return Err(TableFull);
        }
        let slot = self.groups.allocate().ok_or(TableFull)?;
        let Some(id) = self.number() else {
            self.groups.give_back(slot);
            return Err(TableFull);
        };
        self.groups_used += 1;
        let had = like.map_or([None; BUCKETS], |like| buckets_of(shared, like));
        store_group(shared, slot, &buckets(&had, members));
        shared.word(id).store(slot | IS_GROUP, Ordering::Release);
        Ok(id)
    }

    /// Other members for the group `id`; a plain next hop stays what it is.
    pub(super) fn set_group(
        &mut self,
        shared: &NextHops,
        id: NextHopId,
        members: &[(NextHopId, u16)],
    ) -> Result<(), TableFull> {
        let old = shared.word(id).load(Ordering::Relaxed);
        debug_assert!(old & IS_GROUP != 0, "not a group");
        if old & IS_GROUP == 0 {
            return Ok(());
        }
        let slot = self.groups.allocate().ok_or(TableFull)?;
        store_group(shared, slot, &buckets(&buckets_of(shared, id), members));
        self.point(shared, id, slot | IS_GROUP);
        Ok(())
    }

    /// The number is not needed any more: no route and no group leads to it.
    pub(super) fn release(&mut self, shared: &NextHops, id: NextHopId) {
        self.deferred.remove(&id);
        if shared.word(id).load(Ordering::Relaxed) & IS_GROUP != 0 {
            self.groups_used -= 1;
        }
        self.released.retire(id);
    }

    pub(super) fn reclaim(&mut self, shared: &NextHops, grace: Grace) {
        self.adjacencies.reclaim(grace);
        self.groups.reclaim(grace);
        let released: Vec<_> = self.released.take_passed(grace).collect();
        for id in released {
            let word = shared.word(id);
            let slot = word.load(Ordering::Relaxed);
            word.store(0, Ordering::Release);
            // Nobody can have come by the slot but through this number, which nobody has.
            self.slots_of(slot).give_back(slot & !IS_GROUP);
            self.numbers.give_back(u32::from(id.get()) - 1);
        }
        for (id, adjacency) in std::mem::take(&mut self.deferred) {
            self.set(shared, id, adjacency);
        }
    }

    fn number(&mut self) -> Option<NextHopId> {
        let number = u16::try_from(self.numbers.allocate()? + 1).ok()?;
        NextHopId::new(number)
    }

    fn point(&mut self, shared: &NextHops, id: NextHopId, to: u32) {
        let word = shared.word(id);
        let old = word.load(Ordering::Relaxed);
        word.store(to, Ordering::Release);
        self.slots_of(old).retire(old & !IS_GROUP);
    }

    fn slots_of(&mut self, word: u32) -> &mut Slots {
        if word & IS_GROUP != 0 { &mut self.groups } else { &mut self.adjacencies }
    }
}

fn store(shared: &NextHops, slot: u32, adjacency: Adjacency) {
    let words = &shared.adjacency_words()[ADJACENCY_WORDS * slot as usize..];
    for (word, value) in words.iter().zip(adjacency.to_words()) {
        word.store(value, Ordering::Relaxed);
    }
}

/// Who has the buckets of a group; those of a plain next hop it has itself.
fn buckets_of(shared: &NextHops, id: NextHopId) -> Buckets {
    let word = shared.word(id).load(Ordering::Relaxed);
    if word & IS_GROUP == 0 {
        return [Some(id); BUCKETS];
    }
    let members = shared.group(word & !IS_GROUP);
    std::array::from_fn(|bucket| NextHopId::new(members[bucket].load(Ordering::Relaxed)))
}

fn store_group(shared: &NextHops, slot: u32, members: &Buckets) {
    for (bucket, member) in shared.group(slot).iter().zip(members) {
        bucket.store(member.map_or(0, NextHopId::get), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::publish::Epochs;

    fn small() -> (NextHops, Writer) {
        let budget = Budget { next_hops: 4, ecmp_groups: 1, ..Budget::default() };
        let region = |octets| Region::anonymous(octets).unwrap();
        let next_hops = region(NEXT_HOPS_OCTETS);
        let adjacencies = region(adjacencies_octets(&budget));
        let ecmp = region(ecmp_octets(&budget));
        (NextHops::new(next_hops, adjacencies, ecmp, &budget), Writer::new(&budget))
    }

    fn numbered(number: u32) -> Adjacency {
        let port = crate::id::PortId::new(1).unwrap();
        Adjacency::unresolved(AdjacencyKind::Glean, port, number, 1500)
    }

    fn ifindex(shared: &NextHops, id: NextHopId, hash: u32) -> u32 {
        shared.adjacency(id, || hash).1.ifindex
    }

    #[test]
    fn a_next_hop_that_does_not_exist_is_a_black_hole() {
        let (shared, _) = small();
        let id = NextHopId::new(7).unwrap();
        assert_eq!(shared.adjacency(id, || 0).1.kind(), AdjacencyKind::Blackhole);
    }

    #[test]
    fn a_change_is_seen_and_a_number_comes_back_after_its_grace() {
        let ((shared, mut writer), epochs) = (small(), Epochs::new(1));
        epochs.online(0);
        let ids = [1, 2, 3, 4].map(|n| writer.allocate(&shared, numbered(n)).unwrap());
        assert_eq!(writer.allocate(&shared, numbered(5)), Err(TableFull));
        writer.set(&shared, ids[2], numbered(9));
        assert_eq!(ids.map(|id| ifindex(&shared, id, 0)), [1, 2, 9, 4]);
        writer.release(&shared, ids[0]);
        writer.reclaim(&shared, Grace::new(&epochs));
        assert_eq!(ifindex(&shared, ids[0], 0), 1, "a reader may still have it");
        assert_eq!(writer.allocate(&shared, numbered(5)), Err(TableFull));
        epochs.pass(0);
        writer.reclaim(&shared, Grace::new(&epochs));
        assert_eq!(writer.allocate(&shared, numbered(5)), Ok(ids[0]));
        assert_eq!(writer.usage()[0], (4, 4));
    }

    #[test]
    fn too_many_changes_at_once_wait_for_the_next_reclaim() {
        let ((shared, mut writer), epochs) = (small(), Epochs::new(1));
        let id = writer.allocate(&shared, numbered(1)).unwrap();
        (2..40).for_each(|n| writer.set(&shared, id, numbered(n)));
        assert!(ifindex(&shared, id, 0) < 39);
        writer.reclaim(&shared, Grace::new(&epochs));
        assert_eq!(ifindex(&shared, id, 0), 39);
    }

    #[test]
    fn a_group_leads_to_its_members_by_weight() {
        let ((shared, mut writer), epochs) = (small(), Epochs::new(1));
        let [a, b] = [1, 2].map(|n| writer.allocate(&shared, numbered(n)).unwrap());
        let group = writer.allocate_group(&shared, &[(a, 1), (b, 3)], None).unwrap();
        assert_eq!(writer.allocate_group(&shared, &[(a, 1)], None), Err(TableFull));
        let count = |n| (0..128).filter(|&hash| ifindex(&shared, group, hash) == n).count();
        assert_eq!((count(1), count(2)), (32, 96));
        assert!([a, b].contains(&shared.adjacency(group, || 77).0), "the leaf, not the group");
        let has = |id, n| shared.any(id, |way| way.ifindex == n);
        assert_eq!([1, 2, 3].map(|n| has(group, n)), [true, true, false]);
        assert_eq!([1, 2].map(|n| has(a, n)), [true, false]);
        writer.set_group(&shared, group, &[(a, 1)]).unwrap();
        assert_eq!((count(1), count(2)), (128, 0));
        writer.release(&shared, group);
        writer.reclaim(&shared, Grace::new(&epochs));
        assert_eq!(writer.usage(), [(2, 4), (0, 1)]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "200,000 stores")]
    fn garbage_never_panics() {
        let (shared, _) = small();
        for word in [1, 8, 9, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX] {
            for id in 1..=NEXT_HOP_ID_MAX {
                shared.word(NextHopId::new(id).unwrap()).store(word, Ordering::Relaxed);
            }
            for bucket in shared.ecmp_buckets() {
                bucket.store(0xffff ^ 0x8000, Ordering::Relaxed);
            }
            let (_, adjacency) = shared.adjacency(NextHopId::new(3).unwrap(), || u32::MAX);
            assert_eq!(adjacency.kind(), AdjacencyKind::Blackhole);
            let leads = |way: &Adjacency| way.kind() != AdjacencyKind::Blackhole;
            assert!(!shared.any(NextHopId::new(3).unwrap(), leads));
        }
    }
}
