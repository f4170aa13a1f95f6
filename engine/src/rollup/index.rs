//! From a key's hash to its group: open addressing with linear probing, one word a slot.

/// Slots of the smallest index.
const SLOTS_MIN: usize = 16;

/// What an empty slot holds. Not 0: memory that is to be zero is mapped when it is read and again when it is
/// written, and the second time all processors have to be told.
const EMPTY: u64 = u64::MAX;

/// A slot holds the hash in its upper half and the group's number in its lower. At most half of the slots are
/// taken.
#[derive(Debug)]
pub struct Index {
    slots: Vec<u64>,
    shift: u32,
    taken: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { slots: vec![EMPTY; SLOTS_MIN], shift: 32 - SLOTS_MIN.ilog2(), taken: 0 }
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
        ((slot >> 32) as u32 == hash && slot != EMPTY).then_some(slot as u32)
    }

    /// The group with that hash for which `is` is true.
    #[inline]
    pub fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
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
        self.place((u64::from(hash) << 32) | u64::from(group));
    }

    fn place(&mut self, slot: u64) {
        let mut at = ((slot >> 32) as u32 >> self.shift) as usize;
        while self.slots[at] != EMPTY {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        self.resize(self.slots.len() * 2);
    }

    /// Makes room for so many groups, at once instead of by growing again and again.
    pub fn reserve(&mut self, groups: usize) {
        let slots = (groups * 2).next_power_of_two();
        if slots > self.slots.len() {
            self.resize(slots);
        }
    }

    fn resize(&mut self, slots: usize) {
        let slots = vec![EMPTY; slots];
        let old = std::mem::replace(&mut self.slots, slots);
        self.shift = 32 - self.slots.len().ilog2();
        old.into_iter().filter(|&slot| slot != EMPTY).for_each(|slot| self.place(slot));
    }

    /// Forgets all groups and keeps the memory.
    pub fn clear(&mut self) {
        self.slots.fill(EMPTY);
        self.taken = 0;
    }

    /// Bytes held, and those that growing once would need on top.
    pub fn bytes(&self) -> usize {
        self.slots.len() * 8
    }
}
