//! The counters of the agent itself: what it is, what it may use and uses, its tasks, its
//! checkpoint, its HTTP server.

use std::sync::{Arc, Mutex};

use prometheus::{Counter, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use tokio::time::Instant;

use super::{Make, gauge_value, lock};

/// The pages whose requests are counted by their path.
const PATHS: [&str; 7] = ["/metrics", "/livez", "/readyz", "/health", "/logs", "/routes", "other"];
/// The codes that are ever answered.
const CODES: [u16; 14] = [101, 200, 201, 400, 401, 403, 404, 405, 408, 409, 413, 426, 500, 503];

/// The counters of the checkpoint.
#[derive(Debug, Clone)]
pub struct CheckpointMetrics {
    /// Checkpoints written.
    pub saves: IntCounter,
    /// Checkpoints that could not be written.
    pub errors: IntCounter,
    /// When the positions of the last one written were taken, in seconds since 1970; 0 before.
    pub saved_timestamp: IntGauge,
    age: Gauge,
    waiting: Arc<Mutex<Option<Instant>>>,
}

/// The counters of the task set.
#[derive(Debug, Clone)]
pub struct TaskMetrics {
    /// Tasks alive.
    pub alive: IntGauge,
    /// Tasks that panicked.
    pub panics: IntCounter,
}

/// The counters of the HTTP server.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: [[IntCounter; CODES.len()]; PATHS.len()],
    /// Connections cut because they took too long.
    pub timeouts: IntCounter,
    /// Connections that did not speak HTTP, or too much of it.
    pub malformed: IntCounter,
    /// Connections that were too many.
    pub busy: IntCounter,
}

/// What the operator has set, and how it is spent.
#[derive(Debug, Clone)]
pub struct MemoryMetrics {
    /// What the whole process aims for, in bytes.
    pub limit: IntGauge,
    /// What it takes with no destination at all, in bytes.
    pub fixed: IntGauge,
    plan: IntGaugeVec,
    lane_limit: IntGaugeVec,
    window_limit: IntGaugeVec,
}

/// What the kernel says of the process, under the names that every client of Prometheus uses.
#[derive(Debug, Clone)]
pub(super) struct ProcessMetrics {
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    virtual_bytes: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    threads: IntGauge,
    start_seconds: Gauge,
}

impl CheckpointMetrics {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            saves: make.counter("checkpoint_saves_total", "Checkpoints written")?,
            errors: make.counter("checkpoint_errors_total", "Checkpoints not written")?,
            saved_timestamp: make
                .gauge("checkpoint_saved_timestamp_seconds", "Unix time of the last one")?,
            age: make.float_gauge(
                "checkpoint_age_seconds",
                "How long the oldest position waits that is not saved",
            )?,
            waiting: Arc::default(),
        })
    }

    /// A position waits to be saved.
    pub fn waits(&self) {
        lock(&self.waiting).get_or_insert_with(Instant::now);
    }

    /// All positions are saved that waited.
    pub fn saved(&self) {
        *lock(&self.waiting) = None;
    }

    pub(super) fn look(&self) {
        let waiting = *lock(&self.waiting);
        self.age.set(waiting.map_or(0.0, |since| since.elapsed().as_secs_f64()));
    }
}

impl TaskMetrics {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            alive: make.gauge("tasks", "Tasks alive")?,
            panics: make.counter("task_panics_total", "Tasks that panicked")?,
        })
    }
}

impl HttpMetrics {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, prometheus::Error> {
        let labels = ["path", "code"];
        let requests = IntCounterVec::new(Make::opts("http_requests_total", "Requests"), &labels)?;
        let requests = make.add(requests)?;
        let cut = Make::opts("http_connections_cut_total", "Connections cut");
        let cut = make.add(IntCounterVec::new(cut, &["reason"])?)?;
        Ok(Self {
            requests: PATHS.map(|path| {
                CODES.map(|code| requests.with_label_values(&[path, &code.to_string()]))
            }),
            timeouts: cut.with_label_values(&["timeout"]),
            malformed: cut.with_label_values(&["malformed"]),
            busy: cut.with_label_values(&["busy"]),
        })
    }

    /// Counts a request and its answer. What lies below `/logs` and `/routes` counts as these; a
    /// path that is no page is `other`.
    pub fn request(&self, path: &str, code: u16) {
        let below = ["/logs", "/routes"]
            .into_iter()
            .find(|page| path.strip_prefix(page).is_some_and(|rest| rest.starts_with('/')));
        let path = below.unwrap_or(path);
        let page = PATHS.iter().position(|page| *page == path).unwrap_or(PATHS.len() - 1);
        let code = CODES.iter().position(|each| *each == code);
        if let Some(counter) = self.requests.get(page).zip(code).and_then(|(of, at)| of.get(at)) {
            counter.inc();
        }
    }
}

impl MemoryMetrics {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, prometheus::Error> {
        let plan = Make::opts("memory_plan_bytes", "What the plan gives a destination");
        Ok(Self {
            limit: make.gauge("memory_limit_bytes", "What the whole process aims for")?,
            fixed: make.gauge("memory_fixed_bytes", "What it takes without a destination")?,
            plan: make.add_of_destinations(IntGaugeVec::new(plan, &["destination", "part"])?)?,
            lane_limit: make.gauges("lane_limit_bytes", "Text that may wait in the lanes")?,
            window_limit: make.gauges("window_limit_bytes", "Bytes that may be unacknowledged")?,
        })
    }

    /// Shows what a destination may use, part by part, in bytes.
    pub fn plan(&self, destination: &str, parts: [(&str, u64); 4]) {
        for (part, bytes) in parts {
            let bytes = gauge_value(bytes);
            self.plan.with_label_values(&[destination, part]).set(bytes);
            match part {
                "lanes" => self.lane_limit.with_label_values(&[destination]).set(bytes),
                "window" => self.window_limit.with_label_values(&[destination]).set(bytes),
                _ => {}
            }
        }
    }
}

impl ProcessMetrics {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| make.add(IntGauge::with_opts(Opts::new(name, help))?);
        let start = Opts::new("process_start_time_seconds", "When it started, as Unix time");
        let cpu = Opts::new("process_cpu_seconds_total", "Processor time, user and system");
        Ok(Self {
            cpu_seconds: make.add(Counter::with_opts(cpu)?)?,
            resident_bytes: gauge("process_resident_memory_bytes", "Resident memory")?,
            virtual_bytes: gauge("process_virtual_memory_bytes", "Virtual memory")?,
            open_fds: gauge("process_open_fds", "Open descriptors")?,
            max_fds: gauge("process_max_fds", "Descriptors that may be open")?,
            threads: gauge("process_threads", "Threads")?,
            start_seconds: make.add(Gauge::with_opts(start)?)?,
        })
    }

    /// Asks the kernel. What it does not tell stays as it was.
    pub(super) fn look(&self) {
        self.try_look().ok();
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "ticks and seconds that a float holds for some thousand years"
    )]
    fn try_look(&self) -> procfs::ProcResult<()> {
        let process = procfs::process::Process::myself()?;
        let stat = process.stat()?;
        let ticks = procfs::ticks_per_second() as f64;
        let spent = (stat.utime + stat.stime) as f64 / ticks;
        self.cpu_seconds.inc_by((spent - self.cpu_seconds.get()).max(0.0));
        self.resident_bytes.set(gauge_value(stat.rss * procfs::page_size()));
        self.virtual_bytes.set(gauge_value(stat.vsize));
        self.threads.set(stat.num_threads);
        if self.start_seconds.get() == 0.0 {
            let booted = procfs::boot_time_secs()? as f64;
            self.start_seconds.set(booted + stat.starttime as f64 / ticks);
        }
        self.open_fds.set(gauge_value(process.fd_count()?));
        if let procfs::process::LimitValue::Value(most) =
            process.limits()?.max_open_files.soft_limit
        {
            self.max_fds.set(gauge_value(most));
        }
        Ok(())
    }
}
