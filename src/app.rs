//! Wires the stages once: build, run, stop in reverse. The only module that knows all of them.

mod check;
mod destinations;
mod positions;
mod service;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::admin::{Admin, LiveTails, Pages, RoutesApi, Site, Token};
use crate::assemble::Joining;
use crate::config::{Config, Plan, Share, SourceChoice};
use crate::metrics::{Metrics, gauge_value};
use crate::net::kernel;
use crate::options::Problem;
use crate::record::Timestamp;
use crate::select::Selection;
use crate::shutdown::{Stop, Tasks};
use crate::source::docker::Docker;
use crate::source::replay::Replay;
use crate::source::{Feed, Intakes, Source, Wish};
use crate::tail::{self, Hub};

pub(crate) use check::reach;
pub use check::{Report, check};
use destinations::{Destinations, Shared};
use positions::Positions;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was read is delivered, or waits in logs that can be read again.
    Drained,
    /// The drain time was over first.
    TimedOut,
    /// A second signal asked to end at once.
    Interrupted,
}

/// A running agent, stage by stage.
#[derive(Debug)]
struct App {
    stop: Stop,
    sources: Tasks,
    deliveries: Tasks,
    beside: Tasks,
    intakes: Intakes,
    destinations: Destinations,
    positions: Positions,
    shutdown_timeout: Duration,
}

/// Sends our own log to standard error, which a container's runtime keeps. Of libraries only what
/// is amiss: what they trace holds signed requests and tokens.
pub fn start_log(level: tracing::Level) {
    let shown = Targets::new()
        .with_target("downspout", level)
        .with_default(level.min(tracing::Level::WARN));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .finish()
        .with(shown)
        .init();
}

/// Runs the agent until its sources end or a signal comes. Must be called within a runtime.
///
/// Boxed, so that all of it is compiled here and not once more in the program.
pub fn run(config: Config) -> Pin<Box<dyn Future<Output = Result<Ended, Vec<Problem>>>>> {
    Box::pin(running(config))
}

async fn running(config: Config) -> Result<Ended, Vec<Problem>> {
    let signals = Signals::new()
        .map_err(|error| vec![Problem::new(format!("cannot listen for signals: {error}"))])?;
    if let Err(error) = kernel::allow_all_files() {
        tracing::warn!(%error, "cannot raise the limit of open files; each log followed takes one");
    }
    let app = Box::pin(App::start(config)).await?;
    Ok(app.supervise(signals).await)
}

impl App {
    async fn start(mut config: Config) -> Result<Self, Vec<Problem>> {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "downspout starts");
        tracing::info!(plan = %config.plan, "memory");
        for note in &config.notes {
            tracing::warn!("{note}");
        }
        let metrics = config.metrics.clone();
        let app = Self::new(&config)?;
        // What can refuse the start comes before anything runs.
        let admin = match config.http {
            Some(address) => Some(app.listen(address, &mut config).await?),
            None => None,
        };
        show_plan(&metrics, &config.plan);
        let started = Timestamp::now();
        let routes = std::mem::take(&mut config.routes);
        app.destinations.open_given(routes, std::mem::take(&mut config.api.given), started);
        app.destinations.restore(std::mem::take(&mut config.api.stored), started);
        app.positions.keep(&metrics);
        // Every series is there by now.
        if let Some(admin) = admin {
            tracing::info!(address = %admin.address(), "listening for health checks and scrapes");
            app.beside.spawn("admin", admin.serve(app.beside.clone(), app.stop.clone()));
        }
        let feed = Feed {
            intakes: app.intakes.clone(),
            tasks: app.sources.clone(),
            stop: app.stop.clone(),
            started,
            metrics: metrics.source().clone(),
            max_line_bytes: config.max_line_bytes,
        };
        let source: Box<dyn Source> = match config.source {
            SourceChoice::Docker(settings) => Box::new(Docker::new(settings)),
            SourceChoice::Replay(input, host) => {
                Box::new(Replay::new(input, host).map_err(|problem| vec![problem])?)
            }
        };
        app.sources.spawn("source", source.run(feed));
        app.beside.spawn("service", service::tell(app.stop.clone()));
        Ok(app)
    }

    /// Nothing runs yet.
    fn new(config: &Config) -> Result<Self, Vec<Problem>> {
        let positions = match &config.source {
            SourceChoice::Docker(_) => {
                Positions::open(config.state_dir.as_deref()).map_err(|problem| vec![problem])?
            }
            SourceChoice::Replay(..) => Positions::default(),
        };
        let tasks = || Tasks::new(config.metrics.tasks().clone());
        let (deliveries, beside) = (tasks(), tasks());
        let (stop, intakes) = (Stop::new(), Intakes::new());
        let destinations = Destinations::new(Shared {
            intakes: intakes.clone(),
            rules: config.rules.clone(),
            metrics: config.metrics.clone(),
            positions: positions.clone(),
            plan: config.plan.clone(),
            openings: config.api.openings.clone(),
            deliveries: deliveries.clone(),
            beside: beside.clone(),
            stop: stop.clone(),
            backoff_max: config.backoff_max,
            drain_timeout: config.shutdown_timeout,
        });
        Ok(Self {
            stop,
            sources: tasks(),
            deliveries,
            beside,
            intakes,
            destinations,
            positions,
            shutdown_timeout: config.shutdown_timeout,
        })
    }

    async fn listen(
        &self,
        address: SocketAddr,
        config: &mut Config,
    ) -> Result<Admin, Vec<Problem>> {
        let pages = Pages {
            metrics: config.metrics.clone(),
            stop: self.stop.clone(),
            sources: self.sources.clone(),
            deliveries: self.deliveries.clone(),
            token: config.metrics_token.take().map(Token::new),
        };
        let token = config.api.token.take().map(Token::new);
        let hub = config.api.live_tails.then(|| self.hub(config));
        let readable = hub.is_some();
        let tails = hub.map(|hub| LiveTails { hub, token: token.clone() });
        let routes = RoutesApi { routes: Arc::new(self.destinations.clone()), token, readable };
        let site = Site { pages, tails, routes };
        let bound = Admin::bind(address, site, config.metrics.http().clone()).await;
        bound.map_err(|error| vec![Problem::new(error.to_string())])
    }

    /// Live tails: of what any route may ship, as it was printed.
    fn hub(&self, config: &Config) -> Hub {
        let wish = Wish {
            route: String::new(),
            selection: Selection::default(),
            rules: config.rules.clone(),
            joining: Joining::never(),
            heeds_variable: false,
        };
        Hub::new(tail::Parts {
            intakes: self.intakes.clone(),
            wish,
            lanes: config.metrics.unlisted(),
            metrics: config.metrics.tail().clone(),
            tasks: self.beside.clone(),
            stop: self.stop.clone(),
        })
    }

    /// Waits for the end of the sources or for a signal, then stops the stages in the order in
    /// which lines pass them.
    async fn supervise(self, mut signals: Signals) -> Ended {
        tokio::select! {
            () = self.sources.finished() => tracing::info!("the source has ended; draining"),
            name = signals.next() => {
                let timeout = self.shutdown_timeout.as_secs_f64();
                tracing::info!(signal = name, timeout, "stopping: draining what was read");
            }
        }
        self.stop.drain();
        let ended = tokio::select! {
            () = self.drain() => Ended::Drained,
            () = tokio::time::sleep(self.shutdown_timeout) => Ended::TimedOut,
            name = signals.next() => {
                tracing::warn!(signal = name, "stopping at once");
                Ended::Interrupted
            }
        };
        self.stop.quit();
        self.end().await;
        tracing::info!(?ended, "downspout has stopped");
        ended
    }

    /// What is left has nothing to wait for any more; a task that hangs must not hang the end.
    async fn end(&self) {
        let within = |millis| Duration::from_millis(millis);
        let destinations = tokio::time::timeout(within(500), self.deliveries.finished()).await;
        // What the destinations have settled is what the next run starts from.
        if tokio::time::timeout(within(1000), self.positions.save()).await.is_err() {
            tracing::warn!(
                "the disk did not take the checkpoint in time; some lines will come twice"
            );
        }
        let beside = tokio::time::timeout(within(200), self.beside.finished()).await;
        if destinations.is_err() || beside.is_err() {
            let tasks = self.deliveries.alive() + self.beside.alive();
            tracing::warn!(tasks, "tasks did not end in time");
        }
    }

    async fn drain(&self) {
        self.sources.finished().await;
        self.destinations.close();
        self.deliveries.finished().await;
    }
}

fn show_plan(metrics: &Metrics, plan: &Plan) {
    let memory = metrics.memory();
    memory.limit.set(gauge_value(plan.limit));
    memory.fixed.set(gauge_value(plan.fixed + plan.tails));
    for share in &plan.destinations {
        show_share(metrics, share);
    }
}

/// Shows what a destination may use.
fn show_share(metrics: &Metrics, share: &Share) {
    let Share { name, lanes, window, replay, batch } = share;
    let parts = [("lanes", *lanes), ("window", *window), ("replay", *replay), ("batch", *batch)];
    metrics.memory().plan(name, parts);
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
