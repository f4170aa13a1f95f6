//! Calling off a query ends its work, whatever operator it is in.

#![allow(clippy::disallowed_methods, reason = "a test measures time")]

use std::time::{Duration, Instant};

use futures::StreamExt;
use siltstone_sql::{Answer, Session};

use crate::support::{run, started};

/// How long a query runs before it is called off.
const RUN: Duration = Duration::from_millis(400);

/// How long it may go on after that, on a busy machine.
const END_MAX: Duration = Duration::from_secs(2);

const QUERIES: [&str; 7] = [
    "select count(*) from generate_series(1,100000) a(x), generate_series(1,100000) b(y) where a.x + b.y = 7",
    "select count(*) from generate_series(1,300000) a(x) join generate_series(1,300000) b(y) on a.x % 10 = b.y % 10",
    "select count(*) from generate_series(1,200000) a(x) join generate_series(1,200000) b(y)
       on a.x % 10 = b.y % 10 and a.x + b.y = 7",
    "select count(*) from generate_series(1,300000) a(x), generate_series(1,300000) b(y)",
    "select x % 1000003, count(*), sum(x) from generate_series(1,30000000) a(x) group by 1 order by 2 limit 1",
    "select count(distinct x % 999983) from generate_series(1,30000000) a(x)",
    "select count(*) from (select row_number() over (partition by x % 7 order by x) r
       from generate_series(1,20000000) a(x)) t where r < 5",
];

#[test]
fn a_query_that_is_dropped_stops() {
    for sql in QUERIES {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let kept = runtime.block_on(async {
            let (directory, database) = started();
            let ended = drop_early(&database.session(), sql).await;
            assert!(ended < RUN + END_MAX, "{sql}\nheld its caller for {ended:?}");
            (directory, database)
        });
        // Shutting down waits for whatever still runs.
        let dropped = Instant::now();
        runtime.shutdown_timeout(END_MAX * 4);
        assert!(dropped.elapsed() < END_MAX, "{sql}\nwent on for {:?}", dropped.elapsed());
        kept.1.engine().stop();
    }
}

/// Asks for rows until the time is over, then lets go of them; how long that took.
async fn drop_early(session: &Session, sql: &str) -> Duration {
    let begun = Instant::now();
    let asked = async {
        let outcome = run(session, sql).await.expect("a query");
        let Answer::Rows { mut rows, .. } = outcome.result else { panic!("a query gives rows") };
        rows.next().await.map(|batch| batch.map(|batch| batch.num_rows()))
    };
    let done = tokio::time::timeout(RUN, asked).await;
    assert!(done.is_err(), "{sql}\nwas done too soon to be called off: {done:?}");
    begun.elapsed()
}
