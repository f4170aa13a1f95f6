//! Bytes by the word: eight, sixteen or sixty-four looked at in a few operations, on any processor and
//! without `unsafe`. The tricks are those of Mycroft (a zero byte in a word) and of simdjson.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Eight bytes from `at` on, the first one lowest; zeros behind the end.
#[inline(always)]
pub(crate) fn load8(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => load_end(bytes, at) as u64,
    }
}

/// Sixteen bytes from `at` on, the first one lowest; zeros behind the end.
#[inline(always)]
pub(crate) fn load16(bytes: &[u8], at: usize) -> u128 {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => u128::from_le_bytes(*chunk),
        None => load_end(bytes, at),
    }
}

#[cold]
#[inline(never)]
fn load_end(bytes: &[u8], at: usize) -> u128 {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut chunk = [0; 16];
    let length = rest.len().min(chunk.len());
    chunk[..length].copy_from_slice(&rest[..length]);
    u128::from_le_bytes(chunk)
}

/// The lowest `length` bytes of a word, at most 8.
#[inline(always)]
pub(crate) fn lowest8(word: u64, length: usize) -> u64 {
    if length >= 8 { word } else { word & ((1 << (8 * length)) - 1) }
}

/// The lowest `length` bytes of a word, at most 16.
#[inline(always)]
pub(crate) fn lowest16(word: u128, length: usize) -> u128 {
    if length >= 16 { word } else { word & ((1 << (8 * length)) - 1) }
}

/// Marks each byte of a word that is `byte` with its top bit. Only the lowest mark is to be relied on.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    let other = word ^ (ONES * byte as u64);
    other.wrapping_sub(ONES) & !other & TOPS
}

/// Marks each byte of a word that is less than `byte`, which is at most 128, in the same way.
#[inline(always)]
fn below(word: u64, byte: u8) -> u64 {
    word.wrapping_sub(ONES * byte as u64) & !word & TOPS
}

/// How many bytes of `word` stand before the first that is `byte`; 8 if none is.
#[inline(always)]
pub(crate) fn before8(word: u64, byte: u8) -> usize {
    (equal(word, byte).trailing_zeros() / 8) as usize
}

/// Where the JSON string whose text starts at `at` has its closing quote. `None`: an escape or a control
/// character stands before it, or there is none.
#[inline(always)]
pub(crate) fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = next_mark(bytes, at, |word| equal(word, b'"') | equal(word, b'\\') | below(word, b' '));
    (bytes.get(end) == Some(&b'"')).then_some(end)
}

/// Where something stands that ends a number or a name of JSON: a comma, a closing brace, a space, a
/// control character, or the end.
#[inline(always)]
pub(crate) fn scalar_end(bytes: &[u8], at: usize) -> usize {
    next_mark(bytes, at, |word| equal(word, b',') | equal(word, b'}') | below(word, b' ' + 1))
}

/// Where the next byte stands that `marks` marks, as it must zero: behind the last byte at most.
#[inline(always)]
fn next_mark(bytes: &[u8], mut at: usize, marks: impl Fn(u64) -> u64) -> usize {
    loop {
        let chunk = load16(bytes, at);
        let (first, second) = (marks(chunk as u64), marks((chunk >> 64) as u64));
        // Both words at once: which one it is, is seldom foreseen.
        if first | second != 0 {
            let bits = u128::from(second) << 64 | u128::from(first);
            return at + (bits.trailing_zeros() / 8) as usize;
        }
        at += 16;
    }
}

/// A bit for each of 64 bytes that is `a` or `b`, the first one lowest.
#[inline(always)]
pub(crate) fn either64(chunk: &[u8; 64], a: u8, b: u8) -> u64 {
    let mut bits = [0u8; 64];
    for (at, (bit, byte)) in bits.iter_mut().zip(chunk).enumerate() {
        *bit = if (*byte == a) | (*byte == b) { 1 << (at % 8) } else { 0 };
    }
    // Eight bytes, each with another bit or none: their sum stands in the top byte of the product.
    let eights = bits.as_chunks::<8>().0.iter().enumerate();
    eights
        .fold(0, |mask, (at, eight)| mask | (u64::from_le_bytes(*eight).wrapping_mul(ONES) >> 56) << (8 * at))
}

/// Whether all bytes together are valid UTF-8; mostly they are ASCII.
pub(crate) fn is_utf8(bytes: &[u8]) -> bool {
    bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_what_bytes_are(bytes in prop::collection::vec(prop::sample::select(&b"a,}\"\\ \x1f\x7f\x80\xff\0\n"[..]), 0..80), at in 0usize..80) {
            let rest = bytes.get(at..).unwrap_or_default();
            let mut padded = rest.to_vec();
            padded.resize(rest.len() + 64, 0);
            prop_assert_eq!(&load8(&bytes, at).to_le_bytes(), &padded[..8]);
            prop_assert_eq!(&load16(&bytes, at).to_le_bytes(), &padded[..16]);
            for length in 0..=16 {
                let mut kept = padded[..16].to_vec();
                kept[length..].fill(0);
                prop_assert_eq!(&lowest16(load16(&bytes, at), length).to_le_bytes(), &kept[..]);
                prop_assert_eq!(&lowest8(load8(&bytes, at), length.min(8)).to_le_bytes(), &kept[..8]);
            }
            prop_assert_eq!(before8(load8(&bytes, at), b','), padded[..8].iter().position(|b| *b == b',').unwrap_or(8));

            let first = |is: fn(&u8) -> bool| padded.iter().position(is).map(|n| at + n);
            let closing = first(|b| matches!(b, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(string_end(&bytes, at), closing.filter(|n| bytes.get(*n) == Some(&b'"')));
            prop_assert_eq!(Some(scalar_end(&bytes, at)), first(|b| matches!(b, b',' | b'}' | 0..=0x20)));

            let chunk: &[u8; 64] = padded.first_chunk().unwrap();
            for (at, byte) in chunk.iter().enumerate() {
                prop_assert_eq!(either64(chunk, b',', 0xff) >> at & 1 == 1, matches!(byte, b',' | 0xff));
            }
        }
    }
}
