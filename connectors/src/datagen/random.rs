//! Numbers that depend on a seed and a place, and on nothing before: any event can be made at any time.

/// The bits of splitmix64 at one place.
pub(super) fn mix(value: u64) -> u64 {
    let z = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Draws that belong to one place.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    state: u64,
}

impl Draws {
    /// `stream` keeps draws for different ends at the same place apart.
    pub(super) fn at(seed: u64, stream: u64, place: u64) -> Self {
        Self { state: mix(mix(mix(seed).wrapping_add(stream)).wrapping_add(place)) }
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// Uniform in `0..n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }
}
