//! The least and the greatest text of each group, by bytes.

#[derive(Debug, Default)]
pub(super) struct Texts {
    best: Vec<Option<Box<str>>>,
    heap_bytes: usize,
}

impl Texts {
    pub fn grow(&mut self, groups: usize) {
        self.best.resize(groups, None);
    }

    pub fn get(&self, group: u32) -> Option<&str> {
        self.best[group as usize].as_deref()
    }

    pub fn offer(&mut self, group: u32, value: &str, max: bool) {
        let best = &mut self.best[group as usize];
        let better = best.as_deref().is_none_or(|b| if max { value > b } else { value < b });
        if better {
            self.heap_bytes += value.len();
            self.heap_bytes -= best.as_deref().map_or(0, str::len);
            *best = Some(value.into());
        }
    }

    pub fn clear(&mut self) {
        self.best.clear();
        self.heap_bytes = 0;
    }

    pub fn bytes(&self) -> usize {
        self.best.capacity() * size_of::<Option<Box<str>>>() + self.heap_bytes
    }
}
