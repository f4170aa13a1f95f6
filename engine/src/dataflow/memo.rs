//! What of a batch has been computed already, for the operators that are still to see it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::rollup::Codes;

/// Codes, or `None` where there are none to be had.
pub type Computed = Option<Arc<Codes>>;

/// The codes of a batch, as far as somebody has asked for them.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    places: Arc<Mutex<Vec<Option<Computed>>>>,
}

impl Memo {
    /// The codes of the key column at `place`, computed if nobody has asked for them.
    pub fn get(&self, place: usize, compute: impl FnOnce() -> Result<Computed>) -> Result<Computed> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() <= place {
            places.resize(place + 1, None);
        }
        if let Some(known) = &places[place] {
            return Ok(known.clone());
        }
        let computed = compute()?;
        places[place] = Some(computed.clone());
        Ok(computed)
    }
}
