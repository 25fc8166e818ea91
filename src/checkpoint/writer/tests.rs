//! On paused time. Oracle: what the model disk holds, the counters, and our own log.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::*;
use crate::checkpoint::model::{Fault, Model};
use crate::checkpoint::{format, store};
use crate::lane::Kept;
use crate::metrics::Metrics;
use crate::shutdown::Tasks;

/// A writer on a model disk, and what it will be told has moved.
struct Bench {
    model: Model,
    moved: Arc<Mutex<Option<Snapshot>>>,
    told: Arc<Notify>,
    asked: Arc<AtomicUsize>,
    metrics: Metrics,
    tasks: Tasks,
    stop: Stop,
}

fn snapshot(since: i64) -> Snapshot {
    let since = Timestamp::from_nanos(since);
    [("a".to_owned(), Kept { since, ..Kept::default() })].into()
}

impl Bench {
    fn new(fault: Fault) -> Self {
        let (model, metrics) = (Model::default(), Metrics::new());
        let opened = Store::on(Path::new("/state"), Box::new(model.clone())).unwrap();
        model.set(fault);
        let moved = Arc::new(Mutex::new(None::<Snapshot>));
        let source = moved.clone();
        let (told, asked) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        let take = move || {
            count.fetch_add(1, Ordering::Relaxed);
            source.lock().unwrap().take()
        };
        let wait = told.clone();
        let waits = move || {
            let told = wait.clone();
            async move { told.notified().await }
        };
        let writer = Writer::new(opened.store, take, waits, metrics.checkpoint().clone());
        let (tasks, stop) = (Tasks::new(metrics.tasks().clone()), Stop::new());
        tasks.spawn("checkpoint", writer.run(stop.clone()));
        Self { model, moved, told, asked, metrics, tasks, stop }
    }

    fn move_to(&self, since: i64) {
        *self.moved.lock().unwrap() = Some(snapshot(since));
        self.told.notify_one();
    }

    fn kept(&self) -> Option<Snapshot> {
        self.model.content(store::CHECKPOINT).map(|bytes| format::read(&bytes).snapshot)
    }

    /// Lets paused time run until the writer has got there.
    async fn until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let wait = async {
            while !wanted(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(10), wait).await.expect(what);
    }

    /// How long the oldest position waits that is not saved, in seconds.
    fn age(&self) -> f64 {
        let page = self.metrics.render();
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix("downspout_checkpoint_age_seconds "));
        value.unwrap().parse().unwrap()
    }

    fn counts(&self) -> (u64, u64) {
        let of = self.metrics.checkpoint();
        (of.saves.get(), of.errors.get())
    }
}

#[tokio::test(start_paused = true)]
async fn what_moved_is_saved_and_what_did_not_is_not_written() {
    let bench = Bench::new(Fault::None);
    bench.move_to(1);
    bench.until("saved", |bench| bench.kept() == Some(snapshot(1))).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.counts(), (1, 0));
    assert_eq!(bench.asked.load(Ordering::Relaxed), 1, "it sleeps while nothing moves");
    bench.move_to(2);
    bench.until("saved", |bench| bench.kept() == Some(snapshot(2))).await;
    bench.until("counted", |bench| bench.counts() == (2, 0)).await;
    assert!(bench.metrics.checkpoint().saved_timestamp.get() > 1_600_000_000);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_the_last_save() {
    let bench = Bench::new(Fault::None);
    bench.move_to(1);
    bench.until("saved", |bench| bench.counts() == (1, 0)).await;
    bench.move_to(2);
    bench.stop.quit();
    bench.tasks.finished().await;
    assert_eq!(bench.kept(), Some(snapshot(2)));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_saved_is_saved_once_there_is_room() {
    let bench = Bench::new(Fault::StaysFull { after: 0 });
    bench.move_to(1);
    bench.until("tried again and again", |bench| bench.counts().1 >= 3).await;
    assert_eq!(bench.kept(), None);
    assert_eq!(bench.metrics.checkpoint().saved_timestamp.get(), 0);
    assert!(bench.age() >= 2.0, "since the first attempt: {}", bench.age());
    // Nothing moves any more, and still it is saved.
    bench.model.set(Fault::None);
    bench.until("saved", |bench| bench.counts().0 == 1).await;
    assert_eq!(bench.kept(), Some(snapshot(1)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(bench.age() < 0.001, "nothing waits");
}

#[tokio::test(start_paused = true)]
async fn what_moved_during_an_outage_replaces_what_could_not_be_saved() {
    let bench = Bench::new(Fault::StaysFull { after: 0 });
    bench.move_to(1);
    bench.until("tried", |bench| bench.counts().1 >= 1).await;
    bench.move_to(2);
    bench.until("tried with the newer", |bench| bench.moved.lock().unwrap().is_none()).await;
    bench.model.set(Fault::None);
    bench.stop.quit();
    bench.tasks.finished().await;
    assert_eq!(bench.kept(), Some(snapshot(2)));
}

/// Our own log, as long as the guard lives, on this thread.
fn captured() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || Sink(sink.clone())).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_logged_once_and_its_end() {
    let (log, _guard) = captured();
    let count = |what: &str| {
        let text = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        text.matches(what).count()
    };
    let bench = Bench::new(Fault::StaysFull { after: 0 });
    for outage in 1..=2 {
        bench.model.set(Fault::StaysFull { after: 0 });
        bench.move_to(1);
        let errors = bench.counts().1;
        bench.until("tried again", |bench| bench.counts().1 >= errors + 3).await;
        assert_eq!(count("cannot write the checkpoint"), outage);
        assert_eq!(count("positions are kept again"), outage - 1);
        bench.model.set(Fault::None);
        let wanted = u64::try_from(outage).unwrap();
        bench.until("saved", |bench| bench.counts().0 == wanted).await;
        assert_eq!(count("positions are kept again"), outage);
    }
}
