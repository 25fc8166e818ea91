//! Lets go of the series of a destination that is gone, in every family that has it. Never touches
//! those of another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};

use super::lock;

/// What removes a destination's series from one family.
type Remove = Box<dyn Fn(&str) + Send + Sync>;

/// All families with the label `destination`.
#[derive(Clone, Default)]
pub(super) struct Forget(Arc<Mutex<Vec<Remove>>>);

impl Forget {
    /// The family has series of destinations.
    pub(super) fn of<B>(&self, family: &MetricVec<B>)
    where
        B: MetricVecBuilder + 'static,
        MetricVec<B>: Collector,
    {
        let family = family.clone();
        self.by(move |name| remove(&family, name));
    }

    /// The same for a family of another make.
    pub(super) fn by(&self, remove: impl Fn(&str) + Send + Sync + 'static) {
        lock(&self.0).push(Box::new(remove));
    }

    /// Removes the series of a destination. Handles that somebody still has go on and are not
    /// shown.
    pub(super) fn forget(&self, name: &str) {
        for remove in lock(&self.0).iter() {
            remove(name);
        }
    }
}

fn remove<B: MetricVecBuilder>(family: &MetricVec<B>, name: &str)
where
    MetricVec<B>: Collector,
{
    for shown in family.collect().iter().flat_map(|family| family.get_metric().to_vec()) {
        let labels: HashMap<&str, &str> =
            shown.get_label().iter().map(|label| (label.name(), label.value())).collect();
        if labels.get("destination") == Some(&name) {
            // Somebody else may have removed it.
            family.remove(&labels).ok();
        }
    }
}
