//! Lines to AWS CloudWatch Logs: a group and a stream for each container, batches within the
//! service's limits by construction. A batch is delivered when the service has answered 200, less
//! the events that it names as rejected.

mod body;
mod client;
mod clock;
mod connect;
mod identity;
mod naming;
mod options;
mod outcome;
mod transport;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::{BoxFuture, Carriage, Driver, Open, Target, TargetKind};
use crate::metrics::StoreMetrics;
use crate::options::Options;
use crate::record::{Container, Stream, Timestamp};
use crate::store::{Batch, Reply, Sealed, Store, StreamName, Terms, Trouble, Varies};
use crate::template::{Needs, Surroundings};
use aws_sdk_cloudwatchlogs::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_types::service_config::ServiceConfigKey;
use client::Client;
use clock::Clock;
use identity::{Found, causes};
use options::Settings;
use transport::Transport;

/// CloudWatch Logs.
pub(super) static DRIVER: Driver = Driver {
    schemes: &["cloudwatch"],
    help: "AWS CloudWatch Logs, in a region or auto; delivered when the service has answered.",
    example: "cloudwatch://eu-west-1?group=/docker/web",
    target: TargetKind::Name,
    carriage: Carriage::Events,
    options: options::OPTIONS,
    open: Open::Store(open),
};

/// `PutLogEvents` (API reference): a batch has 1,048,576 bytes at most, which are the UTF-8 text and
/// 26 for each event, and 10,000 events; it spans 24 hours at most; no event is older than 14 days
/// or more than two hours ahead.
const TERMS: Terms = Terms {
    batch_bytes: 1_048_576,
    batch_events: 10_000,
    event_overhead_bytes: 26,
    span: Duration::from_hours(24),
    oldest: Duration::from_hours(14 * 24),
    newest: Duration::from_hours(2),
    flush: Duration::from_secs(5),
    in_flight: 8,
    empty_line: None,
};

/// Before the credentials are known there are none to refresh.
const UNCONNECTED: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct CloudWatch {
    settings: Settings,
    transport: Transport,
    clock: Arc<Clock>,
    gzip: Arc<AtomicBool>,
    link: RwLock<Option<Arc<Link>>>,
    metrics: StoreMetrics,
}

/// What is known once the output is connected.
#[derive(Debug)]
struct Link {
    client: Client,
    found: Found,
    surroundings: Surroundings,
}

fn open(target: &Target, options: &mut Options, metrics: StoreMetrics) -> Option<Arc<dyn Store>> {
    let settings = Settings::take(target, options)?;
    let clock = Arc::new(Clock::default());
    let transport = Transport::new(settings.ca.as_deref(), clock.clone())
        .map_err(|why| options.problem(why))
        .ok()?;
    let gzip = Arc::new(AtomicBool::new(settings.gzip));
    let link = RwLock::default();
    Some(Arc::new(CloudWatch { settings, transport, clock, gzip, link, metrics }))
}

impl CloudWatch {
    fn link(&self) -> Option<Arc<Link>> {
        self.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn find(&self) -> Result<String, String> {
        let expiry = &self.metrics.credentials_expiry;
        let found = identity::find(&self.settings, &self.transport, &self.clock, expiry).await?;
        // Without credentials nothing can be put, and why there are none is best said at once.
        found.identity.get().await?;
        let given = named_endpoint(&found, self.settings.endpoint.as_deref());
        let client = Client::new(
            &found,
            given.clone(),
            self.clock.clone(),
            self.settings.creation.clone(),
            (self.gzip.clone(), self.metrics.clone()),
        );
        let peer = endpoint(&found, given).await?;
        self.transport.reach(&peer).await?;
        let surroundings =
            Surroundings { region: found.region.clone(), instance: found.instance.clone() };
        let link = Arc::new(Link { client, found, surroundings });
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = Some(link);
        Ok(peer)
    }
}

/// The endpoint that the route names, else the environment or the profile: for this service, or for
/// all.
fn named_endpoint(found: &Found, given: Option<&str>) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("CloudWatch Logs")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let own = || found.config.service_config()?.load_config(key.ok()?);
    let of_all = || found.config.endpoint_url().map(str::to_owned);
    given.map(str::to_owned).or_else(own).or_else(of_all)
}

/// Where calls go: the endpoint that is named, else the region's own.
async fn endpoint(found: &Found, given: Option<String>) -> Result<String, String> {
    let config = &found.config;
    let wanted = Params::builder()
        .region(found.region.clone())
        .set_use_fips(config.use_fips())
        .set_use_dual_stack(config.use_dual_stack())
        .set_endpoint(given)
        .build()
        .map_err(|error| error.to_string())?;
    let resolved = DefaultResolver::new().resolve_endpoint(&wanted).await;
    resolved.map(|endpoint| endpoint.url().to_owned()).map_err(|error| causes(&*error))
}

impl Store for CloudWatch {
    fn terms(&self) -> Terms {
        Terms {
            flush: self.settings.flush,
            in_flight: self.settings.in_flight,
            empty_line: self.settings.empty_as_space.then_some(" "),
            ..TERMS
        }
    }

    fn connect(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(self.find())
    }

    fn tend(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                match self.link() {
                    Some(link) => link.found.identity.tend().await,
                    None => tokio::time::sleep(UNCONNECTED).await,
                }
            }
        })
    }

    fn varies(&self) -> Varies {
        self.settings.names.varies()
    }

    fn needs(&self) -> Needs {
        self.settings.names.needs()
    }

    fn stream_of(&self, container: &Container, stream: Stream, time: Timestamp) -> StreamName {
        let link = self.link();
        let unknown = Surroundings::default();
        let surroundings = link.as_ref().map_or(&unknown, |link| &link.surroundings);
        self.settings.names.of(container, stream, time, surroundings)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn seal(&self, name: &StreamName, batch: &Batch) -> Sealed {
        body::seal(name, batch, self.gzip.load(Ordering::Relaxed))
    }

    fn cut(&self, sealed: &Sealed, events: Range<usize>) -> Sealed {
        body::cut(sealed, events, self.gzip.load(Ordering::Relaxed))
    }

    fn put(
        self: Arc<Self>,
        name: Arc<StreamName>,
        sealed: Arc<Sealed>,
    ) -> BoxFuture<'static, Reply> {
        Box::pin(async move {
            match self.link() {
                Some(link) => link.client.put(&name, &sealed).await,
                None => {
                    Reply::Again { trouble: Trouble::Credentials, why: "not connected yet".into() }
                }
            }
        })
    }
}
