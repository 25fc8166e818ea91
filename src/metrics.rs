//! Counters: registered once, handed out as handles, rendered as text. Never looked up by label
//! on the path of a line, never kept in step by hand where the object can be asked.

mod agent;
pub mod containers;
mod delays;
mod destination;
mod drop_reason;
mod fault_kind;
mod forget;
mod source;
mod store;
mod tail;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use agent::{CheckpointMetrics, HttpMetrics, MemoryMetrics, TaskMetrics};
pub use delays::Delays;
pub use destination::DestinationMetrics;
pub use drop_reason::DropReason;
pub use fault_kind::FaultKind;
pub use source::SourceMetrics;
pub use store::StoreMetrics;
pub use tail::TailMetrics;

use agent::ProcessMetrics;
use containers::Containers;
use delays::DelayFamily;
use destination::DestinationFamilies;
use forget::Forget;
use store::StoreFamilies;

/// All families of the agent.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    destinations: DestinationFamilies,
    unlisted: DestinationMetrics,
    served: Arc<Mutex<BTreeMap<String, DestinationMetrics>>>,
    connections: IntCounterVec,
    switches: IntCounterVec,
    uncounted: IntCounter,
    suspected: IntCounterVec,
    certificate_expiry: IntGaugeVec,
    store: StoreFamilies,
    source: SourceMetrics,
    checkpoint: CheckpointMetrics,
    tasks: TaskMetrics,
    http: HttpMetrics,
    memory: MemoryMetrics,
    tail: TailMetrics,
    process: ProcessMetrics,
    looks: Arc<Mutex<Vec<Look>>>,
    forget: Forget,
}

/// Asks an object before it is shown; false once it is gone.
type Look = Box<dyn Fn() -> bool + Send + Sync>;

/// The counters an output moves itself.
#[derive(Debug, Clone)]
pub struct OutputMetrics {
    /// Links made.
    pub connections: IntCounter,
    /// Links made to another address of the list than the one before.
    pub switches: IntCounter,
    /// Frames handed to the kernel that probably arrived nowhere (an ICMP error came back).
    pub suspected: IntCounter,
    /// When the certificate expires that the peer has shown last, in seconds since 1970.
    pub peer_expiry: IntGauge,
    /// When the certificate expires that the peer was shown last, in seconds since 1970.
    pub own_expiry: IntGauge,
    uncounted: IntCounter,
}

impl OutputMetrics {
    /// The same, but for links, which are not counted: for an output that stands behind another,
    /// which counts its own.
    #[must_use]
    pub fn uncounted(&self) -> Self {
        Self { connections: self.uncounted.clone(), ..self.clone() }
    }
}

impl Metrics {
    /// All families, registered.
    #[expect(
        clippy::missing_panics_doc,
        clippy::expect_used,
        reason = "names and labels are constants, checked by a test"
    )]
    pub fn new() -> Self {
        Self::try_new(&Registry::new()).expect("constant names are valid and unique")
    }

    fn try_new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let forget = Forget::default();
        let make = Make { registry, forget: &forget };
        // Neither registered nor forgotten: nobody sees it.
        let nowhere = Make { registry: &Registry::new(), forget: &Forget::default() };
        let expiry = Make::opts(
            "certificate_expiry_timestamp_seconds",
            "Unix time at which a certificate expires; 0 while none was seen",
        );
        let build = Make::opts("build_info", "What this binary is; always 1");
        let build = make.add(IntGaugeVec::new(build, &["version", "revision", "features"])?)?;
        build.with_label_values(&BUILD).set(1);
        Ok(Self {
            destinations: DestinationFamilies::new(&make)?,
            unlisted: DestinationFamilies::new(&nowhere)?.of(""),
            served: Arc::default(),
            connections: make.counters("connections_total", "Links made", &[])?,
            switches: make.counters(
                "destination_switches_total",
                "Links to another address of the list than before",
                &[],
            )?,
            // Not registered: nobody sees it.
            uncounted: IntCounter::new("uncounted", "Links of outputs behind another")?,
            suspected: make.counters(
                "lines_suspected_lost_total",
                "Frames refused by ICMP",
                &[],
            )?,
            certificate_expiry: make
                .add_of_destinations(IntGaugeVec::new(expiry, &["destination", "whose"])?)?,
            store: StoreFamilies::new(&make)?,
            source: SourceMetrics::new(&make)?,
            checkpoint: CheckpointMetrics::new(&make)?,
            tasks: TaskMetrics::new(&make)?,
            http: HttpMetrics::new(&make)?,
            memory: MemoryMetrics::new(&make)?,
            tail: TailMetrics::new(&make)?,
            process: ProcessMetrics::new(&make)?,
            looks: Arc::default(),
            registry: registry.clone(),
            forget,
        })
    }

    /// Handles for one destination, all at zero.
    pub fn destination(&self, name: &str) -> DestinationMetrics {
        let served = || self.destinations.of(name);
        lock(&self.served).entry(name.to_owned()).or_insert_with(served).clone()
    }

    /// Handles for all destinations there are, by name.
    pub fn destinations(&self) -> BTreeMap<String, DestinationMetrics> {
        lock(&self.served).clone()
    }

    /// Handles for lanes that are nobody's destination: they are counted and never shown.
    pub fn unlisted(&self) -> DestinationMetrics {
        self.unlisted.clone()
    }

    /// The destination is wanted no longer: no page judges it any more. Its series stay until they
    /// are forgotten.
    pub fn unserve(&self, name: &str) {
        lock(&self.served).remove(name);
    }

    /// Lets go of all series of a destination that is gone. Under the same name they begin anew.
    pub fn forget(&self, name: &str) {
        self.unserve(name);
        self.forget.forget(name);
    }

    /// Handles for one destination's output.
    pub fn output(&self, name: &str) -> OutputMetrics {
        let expiry = |whose| self.certificate_expiry.with_label_values(&[name, whose]);
        OutputMetrics {
            connections: self.connections.with_label_values(&[name]),
            switches: self.switches.with_label_values(&[name]),
            suspected: self.suspected.with_label_values(&[name]),
            peer_expiry: expiry("peer"),
            own_expiry: expiry("own"),
            uncounted: self.uncounted.clone(),
        }
    }

    /// Handles for one destination that keeps streams, all at zero.
    pub fn store(&self, name: &str) -> StoreMetrics {
        self.store.of(name)
    }

    /// Handles for the sources.
    pub fn source(&self) -> &SourceMetrics {
        &self.source
    }

    /// Handles for the checkpoint.
    pub fn checkpoint(&self) -> &CheckpointMetrics {
        &self.checkpoint
    }

    /// Handles for the task set.
    pub fn tasks(&self) -> &TaskMetrics {
        &self.tasks
    }

    /// Handles for the HTTP server.
    pub fn http(&self) -> &HttpMetrics {
        &self.http
    }

    /// Handles for live tails.
    pub fn tail(&self) -> &TailMetrics {
        &self.tail
    }

    /// Handles for the memory plan.
    pub fn memory(&self) -> &MemoryMetrics {
        &self.memory
    }

    /// Calls `look` before every rendering, to show how an object is just then. It must be quick
    /// and must not render.
    pub fn before_rendering(&self, look: impl Fn() + Send + Sync + 'static) {
        self.before_rendering_while(move || {
            look();
            true
        });
    }

    /// The same until `look` says that there is nothing left to be shown.
    pub fn before_rendering_while(&self, look: impl Fn() -> bool + Send + Sync + 'static) {
        lock(&self.looks).push(Box::new(look));
    }

    /// Everything in the Prometheus text format. What moves together is of one moment.
    pub fn render(&self) -> String {
        self.look();
        let families = self.destinations.gate().still(|| self.registry.gather());
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    /// Asks the objects whose gauges are not moved by events.
    pub fn look(&self) {
        self.process.look();
        self.checkpoint.look();
        lock(&self.looks).retain(|look| look());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Version, revision of the source if the build was told, optional features.
const BUILD: [&str; 3] = [
    env!("CARGO_PKG_VERSION"),
    match option_env!("DOWNSPOUT_REVISION") {
        Some(revision) => revision,
        None => "unknown",
    },
    if cfg!(feature = "cloudwatch") { "cloudwatch" } else { "" },
];

/// A count as a gauge takes it.
pub(crate) fn gauge_value(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

// A panic while the lock is held leaves handles behind that are still right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes and registers families with the common prefix and the `destination` label.
struct Make<'a> {
    registry: &'a Registry,
    forget: &'a Forget,
}

impl Make<'_> {
    fn add<C: Collector + Clone + 'static>(&self, family: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    /// The same for a family with the label `destination`.
    fn add_of_destinations<B>(
        &self,
        family: MetricVec<B>,
    ) -> Result<MetricVec<B>, prometheus::Error>
    where
        B: MetricVecBuilder + 'static,
        MetricVec<B>: Collector,
    {
        self.forget.of(&family);
        self.add(family)
    }

    fn containers(&self) -> Result<Containers, prometheus::Error> {
        let containers = Containers::default();
        self.add(containers::Families::new(containers.clone())?)?;
        Ok(containers)
    }

    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("downspout")
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        more: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        let labels = [&["destination"], more].concat();
        self.add_of_destinations(IntCounterVec::new(Self::opts(name, help), &labels)?)
    }

    fn gauges(&self, name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
        self.add_of_destinations(IntGaugeVec::new(Self::opts(name, help), &["destination"])?)
    }

    fn float_gauges(&self, name: &str, help: &str) -> Result<GaugeVec, prometheus::Error> {
        self.add_of_destinations(GaugeVec::new(Self::opts(name, help), &["destination"])?)
    }

    fn delays(&self, name: &str, help: &str) -> Result<DelayFamily, prometheus::Error> {
        let family = DelayFamily::new(&Self::opts(name, help).fq_name(), help)?;
        let forgetful = family.clone();
        self.forget.by(move |name| forgetful.forget(name));
        self.add(family)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::with_opts(Self::opts(name, help))?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::with_opts(Self::opts(name, help))?)
    }

    fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.add(Gauge::with_opts(Self::opts(name, help))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_of_a_destination_is_there_from_the_start() {
        let metrics = Metrics::new();
        let destination = metrics.destination("syslog+tcp://a:514");
        metrics.output("syslog+tcp://a:514");
        let text = metrics.render();
        for reason in DropReason::ALL {
            let series = format!(
                "downspout_lines_dropped_total{{destination=\"syslog+tcp://a:514\",reason=\"{}\"}} 0",
                reason.name()
            );
            assert!(text.contains(&series), "{series} missing in\n{text}");
        }
        for kind in FaultKind::ALL {
            let series = format!(
                "downspout_faults_total{{destination=\"syslog+tcp://a:514\",kind=\"{}\"}} 0",
                kind.name()
            );
            assert!(text.contains(&series), "{series} missing in\n{text}");
        }
        destination.dropped(DropReason::Overflow, 3, 30);
        assert_eq!(destination.lines_dropped(), 3);
        assert!(metrics.render().contains("reason=\"overflow\"} 30"));
    }

    #[test]
    fn a_destination_that_is_forgotten_leaves_no_series_and_touches_no_other() {
        let metrics = Metrics::new();
        let make = |name: &str| {
            metrics.destination(name);
            metrics.output(name);
            metrics.store(name);
            metrics.memory().plan(name, [("lanes", 1), ("window", 2), ("replay", 3), ("batch", 4)]);
        };
        make("a://one");
        let alone = metrics.render().lines().filter(|line| line.contains("a://one")).count();
        make("b://two");
        metrics.forget("b://two");
        let text = metrics.render();
        assert!(!text.contains("b://two"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("a://one")).count(), alone);
        assert_eq!(metrics.destinations().into_keys().collect::<Vec<_>>(), ["a://one"]);
        make("b://two");
        assert!(metrics.render().contains("downspout_lines_read_total{destination=\"b://two\"} 0"));
    }

    #[test]
    fn an_object_that_is_gone_is_asked_no_longer() {
        let metrics = Metrics::new();
        let asked = Arc::new(Mutex::new(0));
        let counter = asked.clone();
        metrics.before_rendering_while(move || {
            *lock(&counter) += 1;
            *lock(&counter) < 2
        });
        for _ in 0..5 {
            metrics.look();
        }
        assert_eq!(*lock(&asked), 2);
    }

    #[test]
    fn lanes_of_a_live_tail_are_no_destination() {
        let metrics = Metrics::new();
        let before = metrics.render().lines().count();
        metrics.unlisted().read(5, 50);
        assert_eq!(metrics.render().lines().count(), before);
        assert!(metrics.destinations().is_empty());
    }

    #[test]
    fn a_hostile_name_cannot_break_the_format() {
        let metrics = Metrics::new();
        metrics.destination("a\"b\nc\\");
        assert!(metrics.render().contains(r#"destination="a\"b\nc\\""#));
    }

    #[test]
    fn the_balance_holds_at_every_scrape_however_many_move_it() {
        let metrics = Metrics::new();
        let destination = metrics.destination("d");
        let of = |text: &str, family: &str| -> i64 {
            let lines =
                text.lines().filter(|line| line.starts_with(&format!("downspout_{family}{{")));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum()
        };
        std::thread::scope(|scope| {
            let movers = [(); 2].map(|()| {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        destination.read(5, 50);
                        destination.delivered(3, 40);
                        destination.dropped(DropReason::TooOld, 2, 20);
                    }
                })
            });
            while !movers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                let text = metrics.render();
                let [read, delivered, dropped, in_flight] = [
                    "lines_read_total",
                    "lines_delivered_total",
                    "lines_dropped_total",
                    "lines_in_flight",
                ]
                .map(|family| of(&text, family));
                assert_eq!(read, delivered + dropped + in_flight);
            }
        });
        assert_eq!(destination.lines_in_flight(), 0);
    }

    #[test]
    fn an_object_is_asked_at_every_rendering() {
        let metrics = Metrics::new();
        let lag = metrics.destination("d").delivery_lag;
        metrics.before_rendering(move || lag.set(lag.get() + 1.5));
        metrics.render();
        assert!(metrics.render().contains("downspout_delivery_lag_seconds{destination=\"d\"} 3\n"));
    }

    #[test]
    fn the_process_is_shown_as_the_kernel_sees_it() {
        let text = Metrics::new().render();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} missing"))
                .rsplit(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_open_fds") >= 3.0 && value("process_threads") >= 1.0);
        assert!(value("process_max_fds") > value("process_open_fds"));
        let now = f64::from(u32::try_from(crate::record::Timestamp::now().seconds()).unwrap());
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }
}
