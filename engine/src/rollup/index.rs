//! From a key's hash to its group: open addressing with linear probing, one word a slot.

/// Slots of the smallest index.
const SLOTS_MIN: usize = 16;

/// A slot holds the hash in its upper half and the group's number plus one in its lower; 0 is empty.
/// At most half of the slots are taken.
#[derive(Debug)]
pub struct Index {
    slots: Vec<u64>,
    shift: u32,
    taken: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { slots: vec![0; SLOTS_MIN], shift: 32 - SLOTS_MIN.ilog2(), taken: 0 }
    }
}

impl Index {
    /// What the hash's own slot holds: most often its group, if it has one.
    #[inline(always)]
    pub fn peek(&self, hash: u32) -> u64 {
        self.slots[(hash >> self.shift) as usize]
    }

    /// The group in a slot of that hash.
    #[inline(always)]
    pub fn group(slot: u64, hash: u32) -> Option<u32> {
        ((slot >> 32) as u32 == hash && slot as u32 != 0).then(|| slot as u32 - 1)
    }

    /// The group with that hash for which `is` is true.
    #[inline]
    pub fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if let Some(group) = Self::group(slot, hash)
                && is(group)
            {
                return Some(group);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds a group that is not there.
    pub fn insert(&mut self, hash: u32, group: u32) {
        if (self.taken + 1) * 2 > self.slots.len() {
            self.grow();
        }
        self.taken += 1;
        self.place((u64::from(hash) << 32) | u64::from(group + 1));
    }

    fn place(&mut self, slot: u64) {
        let mut at = ((slot >> 32) as u32 >> self.shift) as usize;
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let slots = vec![0; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, slots);
        self.shift = 32 - self.slots.len().ilog2();
        old.into_iter().filter(|&slot| slot != 0).for_each(|slot| self.place(slot));
    }

    /// Forgets all groups and keeps the memory.
    pub fn clear(&mut self) {
        self.slots.fill(0);
        self.taken = 0;
    }

    /// Bytes held, and those that growing once would need on top.
    pub fn bytes(&self) -> usize {
        self.slots.len() * 8
    }
}
