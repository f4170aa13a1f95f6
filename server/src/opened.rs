//! What all handles of an open directory share; the last one to go stops the engine.

use std::sync::Arc;

use siltstone_sql::{Database, Session};

use crate::task::Runtime;

pub(crate) struct Shared {
    pub(crate) database: Arc<Database>,
    pub(crate) runtime: Runtime,
    pub(crate) session: Session,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.database.engine().stop();
    }
}
