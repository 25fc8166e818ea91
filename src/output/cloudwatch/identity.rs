//! Who we are to AWS: region and credentials, found by the SDK's chain, refreshed before they
//! expire, kept while a refresh fails.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{
    ProvideCredentials, Result as Provided, SharedCredentialsProvider, future,
};
use aws_smithy_async::time::TimeSource;
use prometheus::IntGauge;
use tokio::time::timeout;

use super::clock::Clock;
use super::options::{Role, Settings};
use super::transport::Transport;

/// The metadata service is on the host itself: it answers at once or not at all.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
const METADATA_ATTEMPTS: u32 = 3;

/// Finding credentials may ask several services, one after the other.
const LOAD_TIMEOUT: Duration = Duration::from_secs(20);

/// Credentials are refreshed so long before they expire, or when a third of their life is left.
const REFRESH_BEFORE: Duration = Duration::from_mins(5);

/// Between two attempts to refresh credentials that are still valid.
const REFRESH_RETRY: Duration = Duration::from_secs(15);

/// How often credentials that do not expire are looked at again: files may have been rewritten.
const REFRESH_UNEXPIRING: Duration = Duration::from_mins(15);

const SESSION_NAME: &str = "downspout";

/// Found once: region, configuration, and the metadata of the instance.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) config: SdkConfig,
    pub(super) region: String,
    pub(super) instance: String,
    pub(super) identity: Arc<Identity>,
}

/// Finds out what a client needs. An error says what is missing and what to do.
pub(super) async fn find(
    settings: &Settings,
    transport: &Transport,
    clock: &Arc<Clock>,
    expiry: &IntGauge,
) -> Result<Found, String> {
    let provider = ProviderConfig::without_region()
        .with_http_client(transport.clone())
        .with_time_source(TimeOf(clock.clone()));
    let metadata = imds::Client::builder()
        .configure(&provider)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .max_attempts(METADATA_ATTEMPTS)
        .build();
    let region = match &settings.region {
        Some(region) => Region::new(region.clone()),
        None => Box::pin(region(&provider, &metadata)).await?,
    };
    let instance = if settings.names.needs_instance() {
        let id = Box::pin(metadata.get("/latest/meta-data/instance-id")).await;
        id.map(String::from).map_err(|error| no_metadata("{{.InstanceID}}", &causes(&error)))?
    } else {
        String::new()
    };
    let chain = DefaultCredentialsChain::builder()
        .imds_client(metadata)
        .region(region.clone())
        .configure(provider.with_region(Some(region.clone())));
    let chain = Box::pin(chain.build()).await;
    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(region.clone())
        .http_client(transport.clone())
        .time_source(TimeOf(clock.clone()))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(chain)
        .disable_clock_skew_correction(true)
        // It ends calls whose answer is slow; they have a limit of ours.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let config = Box::pin(config.load()).await;
    let base = config.credentials_provider().ok_or("the SDK has no credentials provider")?;
    let source = match &settings.role {
        None => base,
        Some(role) => SharedCredentialsProvider::new(Box::pin(assumed(role, &config, base)).await),
    };
    let identity = Arc::new(Identity {
        source,
        clock: clock.clone(),
        present: Mutex::default(),
        loading: tokio::sync::Mutex::default(),
        expiry: expiry.clone(),
    });
    Ok(Found { config, region: region.to_string(), instance, identity })
}

async fn region(provider: &ProviderConfig, metadata: &imds::Client) -> Result<Region, String> {
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
        return Ok(region);
    }
    let of_profile = ProfileFileRegionProvider::builder().configure(provider).build();
    if let Some(region) = of_profile.region().await {
        return Ok(region);
    }
    let of_instance =
        ImdsRegionProvider::builder().configure(provider).imds_client(metadata.clone()).build();
    Box::pin(of_instance.region()).await.ok_or_else(|| {
        no_metadata("the region", "and neither AWS_REGION nor a profile says which it is")
    })
}

async fn assumed(
    role: &Role,
    config: &SdkConfig,
    base: SharedCredentialsProvider,
) -> AssumeRoleProvider {
    let mut builder = AssumeRoleProvider::builder(&role.arn).session_name(SESSION_NAME);
    if let Some(id) = &role.external_id {
        builder = builder.external_id(id);
    }
    Box::pin(builder.configure(config).build_from_provider(base)).await
}

/// An agent in a container behind a bridge is one hop further away than the service's answers go
/// by default: they get lost, which looks like a service that is not there.
fn no_metadata(what: &str, why: &str) -> String {
    format!(
        "cannot find out {what}: no answer from the instance metadata service, {why}. On EC2 set \
         the instance's HttpPutResponseHopLimit to 2, or run with --network host; elsewhere give \
         AWS_REGION and credentials by environment or file"
    )
}

/// Credentials that are there when they are asked for.
#[derive(Debug)]
pub(super) struct Identity {
    source: SharedCredentialsProvider,
    clock: Arc<Clock>,
    present: Mutex<Option<Credentials>>,
    loading: tokio::sync::Mutex<()>,
    expiry: IntGauge,
}

impl Identity {
    /// Valid credentials. Waits only if there are none.
    pub(super) async fn get(&self) -> Result<Credentials, String> {
        if let Some(present) = self.valid() {
            return Ok(present);
        }
        let _one = self.loading.lock().await;
        match self.valid() {
            Some(loaded_meanwhile) => Ok(loaded_meanwhile),
            None => self.load().await,
        }
    }

    /// The service does not take these: others are wanted.
    pub(super) fn refused(&self, refused: &Credentials) {
        let mut present = self.lock();
        if present.as_ref().is_some_and(|present| present == refused) {
            *present = None;
        }
    }

    /// Refreshes credentials before they expire, for ever.
    pub(super) async fn tend(&self) {
        loop {
            let wait = match self.valid() {
                None => REFRESH_RETRY,
                Some(present) => self.refresh_in(&present),
            };
            tokio::time::sleep(wait).await;
            if self.valid().is_none() {
                continue;
            }
            let _one = self.loading.lock().await;
            if let Err(why) = self.load().await {
                tracing::warn!(
                    fault = why,
                    "credentials cannot be refreshed yet; the present ones hold"
                );
                tokio::time::sleep(REFRESH_RETRY).await;
            }
        }
    }

    fn refresh_in(&self, present: &Credentials) -> Duration {
        let jitter = 0.9 + fastrand::f64() / 10.0;
        let Some(expiry) = present.expiry() else { return REFRESH_UNEXPIRING.mul_f64(jitter) };
        let left = expiry.duration_since(self.time()).unwrap_or_default();
        let early = REFRESH_BEFORE.min(left / 3);
        left.saturating_sub(early).mul_f64(jitter).max(Duration::from_millis(100))
    }

    fn valid(&self) -> Option<Credentials> {
        let present = self.lock();
        let now = self.time();
        present.clone().filter(|present| present.expiry().is_none_or(|expiry| expiry > now))
    }

    async fn load(&self) -> Result<Credentials, String> {
        let loaded = timeout(LOAD_TIMEOUT, self.source.provide_credentials()).await;
        let loaded = match loaded {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => return Err(explained(&error)),
            Err(_) => {
                return Err(format!("no credentials within {} s", LOAD_TIMEOUT.as_secs()));
            }
        };
        let expires = loaded.expiry().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        self.expiry.set(expires.map_or(0, |at| i64::try_from(at.as_secs()).unwrap_or(i64::MAX)));
        *self.lock() = Some(loaded.clone());
        Ok(loaded)
    }

    fn time(&self) -> SystemTime {
        TimeSource::now(&*self.clock)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Credentials>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn explained(error: &CredentialsError) -> String {
    let why = causes(error);
    match error {
        CredentialsError::CredentialsNotLoaded(_) => no_metadata(
            "credentials",
            "and there are none in the environment, in profiles or from a container endpoint",
        ),
        _ if why.contains("IMDS") => no_metadata("credentials", &why),
        _ => format!("no credentials: {why}"),
    }
}

/// An error and what it came from, in one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    with_causes(error.to_string(), error)
}

/// `text`, and what an error came from, in one line.
pub(super) fn with_causes(mut text: String, error: &dyn std::error::Error) -> String {
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Layers repeat each other.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// What the SDK asks for credentials.
#[derive(Debug, Clone)]
pub(super) struct Provider(pub(super) Arc<Identity>);

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let provided: Provided = self.0.get().await.map_err(CredentialsError::provider_error);
            provided
        })
    }
}

/// What the SDK asks for the time.
#[derive(Clone)]
pub(super) struct TimeOf(pub(super) Arc<Clock>);

impl fmt::Debug for TimeOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TimeSource for TimeOf {
    fn now(&self) -> SystemTime {
        TimeSource::now(&*self.0)
    }
}
