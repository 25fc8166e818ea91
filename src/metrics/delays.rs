//! A histogram of delays that takes the lines of a batch at once: a library's takes them one by
//! one, several atomic operations each.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// Upper bounds of the buckets, in seconds: from a frame's time on a local network to an outage
/// of a day.
const BOUNDS: [f64; 15] =
    [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0, 86_400.0];

const BUCKETS: usize = BOUNDS.len() + 1;
const NANOS_PER_SECOND: f64 = 1e9;

/// The delays of one destination.
#[derive(Debug, Clone, Default)]
pub struct Delays(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    buckets: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

impl Delays {
    /// Counts things that were stamped then and are done `now`, both in nanoseconds since 1970. A
    /// stamp that lies ahead counts as no delay.
    pub fn observe(&self, now: i64, stamps: impl Iterator<Item = i64>) {
        let mut buckets = [0_u64; BUCKETS];
        let mut sum = 0_u64;
        // What was read together was printed together: mostly it is the bucket of the one before.
        let (mut at, mut from, mut to) = (0, 1, 0);
        for stamp in stamps {
            let nanos = now.saturating_sub(stamp).max(0).unsigned_abs();
            sum = sum.saturating_add(nanos);
            if !(from..=to).contains(&nanos) {
                at = BOUNDS.partition_point(|bound| bound_nanos(*bound) < nanos);
                from = at
                    .checked_sub(1)
                    .and_then(|below| BOUNDS.get(below))
                    .map_or(0, |bound| bound_nanos(*bound) + 1);
                to = BOUNDS.get(at).map_or(u64::MAX, |bound| bound_nanos(*bound));
            }
            if let Some(bucket) = buckets.get_mut(at) {
                *bucket += 1;
            }
        }
        for (bucket, count) in self.0.buckets.iter().zip(buckets).filter(|(_, count)| *count > 0) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
        self.0.sum_nanos.fetch_add(sum, Ordering::Relaxed);
    }

    #[expect(clippy::cast_precision_loss, reason = "nanoseconds are shown as seconds")]
    fn shown(&self) -> Histogram {
        let mut histogram = Histogram::default();
        let mut below = 0;
        let mut buckets = Vec::with_capacity(BOUNDS.len());
        for (count, bound) in self.0.buckets.iter().zip(BOUNDS) {
            below += count.load(Ordering::Relaxed);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(below);
            buckets.push(bucket);
        }
        let beyond = self.0.buckets.last().map_or(0, |count| count.load(Ordering::Relaxed));
        histogram.set_bucket(buckets);
        histogram.set_sample_count(below + beyond);
        histogram
            .set_sample_sum(self.0.sum_nanos.load(Ordering::Relaxed) as f64 / NANOS_PER_SECOND);
        histogram
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the bounds are constants between a million and 2^47 nanoseconds"
)]
fn bound_nanos(seconds: f64) -> u64 {
    (seconds * NANOS_PER_SECOND).round() as u64
}

/// The delays of all destinations, by the `destination` label.
#[derive(Debug, Clone)]
pub(super) struct DelayFamily {
    desc: Desc,
    of: Arc<Mutex<BTreeMap<String, Delays>>>,
}

impl DelayFamily {
    pub(super) fn new(name: &str, help: &str) -> Result<Self, prometheus::Error> {
        let labels = vec!["destination".to_owned()];
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Self { desc, of: Arc::default() })
    }

    pub(super) fn of(&self, destination: &str) -> Delays {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.entry(destination.to_owned()).or_default().clone()
    }

    pub(super) fn forget(&self, destination: &str) {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).remove(destination);
    }
}

impl Collector for DelayFamily {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = of.iter().map(|(destination, delays)| {
            let mut label = LabelPair::default();
            label.set_name("destination".to_owned());
            label.set_value(destination.clone());
            let mut metric = Metric::default();
            metric.set_label(vec![label]);
            metric.set_histogram(delays.shown());
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics.collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn every_delay_falls_into_the_first_bucket_that_holds_it() {
        let delays = Delays::default();
        let now = 100_000 * SECOND;
        // On a bound, just above it, in order and out of order, ahead of now, and beyond a day.
        let given = [0, SECOND, SECOND + 1, SECOND, 3 * SECOND, -5, 90_000 * SECOND, 1_000_000];
        delays.observe(now, given.iter().map(|delay| now - delay));
        let shown = delays.shown();
        let below = |seconds: f64| {
            let found =
                shown.get_bucket().iter().find(|b| (b.upper_bound() - seconds).abs() < 1e-9);
            found.unwrap().cumulative_count()
        };
        assert_eq!([below(0.001), below(0.5), below(1.0)], [3, 3, 5]);
        assert_eq!([below(2.5), below(5.0), below(86_400.0)], [6, 7, 7]);
        assert_eq!(shown.get_sample_count(), 8);
        let sum = 1.0 + 1.0 + 1.0 + 3.0 + 90_000.0 + 0.001;
        assert!((shown.get_sample_sum() - sum).abs() < 1e-6, "{}", shown.get_sample_sum());
    }
}
