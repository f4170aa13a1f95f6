//! Rows of words in pages, so that growing copies nothing and asks for no memory twice as large.

/// Rows of a page, as a power of two.
const PAGE_BITS: u32 = 12;
const PAGE_ROWS: usize = 1 << PAGE_BITS;

/// Rows of equal length, numbered from 0.
#[derive(Debug)]
pub struct Rows {
    pages: Vec<Vec<u64>>,
    /// Words of a row.
    stride: usize,
}

impl Rows {
    pub fn new(stride: usize) -> Self {
        Self { pages: Vec::new(), stride }
    }

    /// Adds row `number`, the next one, in two parts.
    #[inline]
    pub fn add(&mut self, number: u32, first: &[u64], rest: &[u64]) {
        let page = (number >> PAGE_BITS) as usize;
        if page == self.pages.len() {
            // The first page grows, since many tables have few rows.
            let words = if page == 0 { 0 } else { PAGE_ROWS * self.stride };
            self.pages.push(Vec::with_capacity(words));
        }
        self.pages[page].extend_from_slice(first);
        self.pages[page].extend_from_slice(rest);
    }

    #[inline(always)]
    fn at(&self, number: u32) -> usize {
        (number as usize & (PAGE_ROWS - 1)) * self.stride
    }

    #[inline(always)]
    pub fn get(&self, number: u32) -> &[u64] {
        let at = self.at(number);
        &self.pages[(number >> PAGE_BITS) as usize][at..at + self.stride]
    }

    #[inline(always)]
    pub fn get_mut(&mut self, number: u32) -> &mut [u64] {
        let at = self.at(number);
        &mut self.pages[(number >> PAGE_BITS) as usize][at..at + self.stride]
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.pages.iter_mut().for_each(Vec::clear);
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.pages.iter().map(|page| page.capacity() * 8).sum()
    }
}
