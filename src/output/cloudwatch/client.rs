//! The calls to CloudWatch Logs: a batch, and groups and streams that are missing. A call is made
//! again here only where that is part of the call: after a stream was made, after credentials or
//! the clock were put right, without compression.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client as Sdk;
use aws_sdk_cloudwatchlogs::config::IdentityCache;
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::operation::RequestId;
use aws_sdk_cloudwatchlogs::types::{LogGroupClass, RejectedLogEventsInfo};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};

use super::body;
use super::clock::Clock;
use super::identity::{Found, Identity, Provider};
use super::options::Creation;
use super::outcome::{self, Failing, Kind};
use crate::metrics::StoreMetrics;
use crate::store::{Refused, Reply, Sealed, StreamName, Trouble};

/// A call takes no longer, and a second more for each of so many bytes of its body.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const BYTES_PER_SECOND: usize = 50_000;

/// Streams that are made at once, and between two of them afterwards: the account has 50 calls a
/// second for all of its hosts.
const CREATE_BURST: u32 = 20;
const CREATE_EVERY: Duration = Duration::from_millis(200);

/// `PutRetentionPolicy` has five calls a second in an account.
const RETENTION_ATTEMPTS: u32 = 4;

/// Once per put: an attempt, one with other credentials, one with the other clock, one without
/// compression, one after a stream was made.
const MOST_CALLS: u32 = 5;

/// What it takes to call.
#[derive(Debug)]
pub(super) struct Client {
    sdk: Sdk,
    identity: Arc<Identity>,
    clock: Arc<Clock>,
    creation: Creation,
    /// Compression is wanted and was not refused.
    gzip: Arc<AtomicBool>,
    creating: Mutex<Creating>,
    /// Groups that are being made.
    groups: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    metrics: StoreMetrics,
}

/// How often something is made.
#[derive(Debug)]
struct Creating {
    left: u32,
    next: Instant,
}

impl Client {
    pub(super) fn new(
        found: &Found,
        endpoint: Option<String>,
        clock: Arc<Clock>,
        creation: Creation,
        (gzip, metrics): (Arc<AtomicBool>, StoreMetrics),
    ) -> Self {
        let mut config = aws_sdk_cloudwatchlogs::config::Builder::from(&found.config);
        config.set_endpoint_url(endpoint);
        let config = config
            .credentials_provider(Provider(found.identity.clone()))
            // Ours is one.
            .identity_cache(IdentityCache::no_cache())
            .build();
        Self {
            sdk: Sdk::from_conf(config),
            identity: found.identity.clone(),
            clock,
            creation,
            gzip,
            creating: Mutex::new(Creating { left: CREATE_BURST, next: Instant::now() }),
            groups: Mutex::default(),
            metrics,
        }
    }

    /// Puts a batch, whatever has to be made for it.
    pub(super) async fn put(&self, name: &StreamName, sealed: &Sealed) -> Reply {
        let mut body = (sealed.body.clone(), sealed.gzip);
        let mut made = false;
        let mut renewed = false;
        let mut corrected = false;
        for _ in 0..MOST_CALLS {
            let credentials = match self.identity.get().await {
                Ok(credentials) => credentials,
                Err(why) => return again(Trouble::Credentials, why),
            };
            let ahead = self.clock.ahead_millis();
            let Failing { kind, why } = match self.call(name, &body).await {
                Ok(refused) => return Reply::Taken(refused),
                Err(failing) => failing,
            };
            match kind {
                Kind::Trouble(trouble) => return again(trouble, why),
                // Of an old emulator: it had the batch already.
                Kind::Exists => return Reply::Taken(Refused::default()),
                Kind::NotFound if !made => match self.make(name).await {
                    Ok(()) => made = true,
                    Err((trouble, why)) => return again(trouble, why),
                },
                Kind::NotFound | Kind::Quota => return again(Trouble::Missing, why),
                Kind::BadSignature if self.clock.ahead_millis() != ahead && !corrected => {
                    corrected = true;
                }
                Kind::BadCredentials | Kind::BadSignature => {
                    self.identity.refused(&credentials);
                    if std::mem::replace(&mut renewed, true) {
                        return again(Trouble::Credentials, why);
                    }
                    match self.identity.get().await {
                        Ok(others) if others != credentials => {}
                        Ok(_) => return again(Trouble::Credentials, why),
                        Err(no_others) => {
                            return again(Trouble::Credentials, format!("{why}; {no_others}"));
                        }
                    }
                }
                Kind::Encoding => {
                    if self.gzip.swap(false, Ordering::Relaxed) {
                        tracing::warn!(
                            fault = why,
                            "the endpoint refuses gzip: without from now on"
                        );
                    }
                    body = (body::plain(sealed), false);
                }
                Kind::Invalid => return Reply::Invalid { why },
            }
        }
        again(Trouble::Unavailable, "no call was conclusive".into())
    }

    async fn call(
        &self,
        name: &StreamName,
        (body, gzip): &(Bytes, bool),
    ) -> Result<Refused, Failing> {
        let gzip = *gzip;
        self.metrics.request_bytes.inc_by(body.len() as u64);
        let limit = CALL_TIMEOUT
            + Duration::from_secs((body.len() / BYTES_PER_SECOND).try_into().unwrap_or(u64::MAX));
        let body = body.clone();
        let call = self
            .sdk
            .put_log_events()
            .log_group_name(&name.group)
            .log_stream_name(&name.stream)
            .set_log_events(Some(Vec::new()))
            .customize()
            .mutate_request(move |request| replace_body(request, &body, gzip))
            .send();
        let reply = within(limit, gzip, call).await?;
        Ok(refused(reply.rejected_log_events_info()))
    }

    /// Makes a stream, and its group if that is missing too.
    async fn make(&self, name: &StreamName) -> Result<(), (Trouble, String)> {
        let StreamName { group, stream } = name;
        if !self.creation.stream {
            let why = format!(
                "log group {group} or its stream {stream} does not exist; make them, or set \
                 create_stream=true"
            );
            return Err((Trouble::Missing, why));
        }
        match self.make_stream(name).await {
            Ok(()) => return Ok(()),
            Err(Failing { kind: Kind::NotFound, .. }) => {}
            Err(failing) => return Err(blocked(failing, "the stream cannot be made")),
        }
        if !self.creation.group {
            let why =
                format!("log group {group} does not exist; make it, or set create_group=true");
            return Err((Trouble::Missing, why));
        }
        // Streams of one group ask side by side: one of them makes it.
        let one = self.group_lock(group);
        let made = if let Ok(_making) = one.try_lock() {
            self.make_group_and_stream(name).await
        } else {
            let _making = one.lock().await;
            // Somebody else was making it.
            let there = self.make_stream(name).await;
            let missing = matches!(there, Err(Failing { kind: Kind::NotFound, .. }));
            if missing { self.make_group_and_stream(name).await } else { there }
        };
        self.forget_group_lock(group, &one);
        made.map_err(|failing| blocked(failing, "the group cannot be made"))
    }

    async fn make_group_and_stream(&self, name: &StreamName) -> Result<(), Failing> {
        self.make_group(&name.group).await?;
        self.make_stream(name).await
    }

    fn group_lock(&self, group: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.entry(group.to_owned()).or_default().clone()
    }

    fn forget_group_lock(&self, group: &str, one: &Arc<tokio::sync::Mutex<()>>) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        // Ours and the one in the table.
        if Arc::strong_count(one) <= 2 {
            groups.remove(group);
        }
    }

    async fn make_stream(&self, name: &StreamName) -> Result<(), Failing> {
        self.turn().await;
        let call = self
            .sdk
            .create_log_stream()
            .log_group_name(&name.group)
            .log_stream_name(&name.stream)
            .send();
        let made = within(CALL_TIMEOUT, false, call).await;
        if made.is_ok() {
            self.metrics.streams_created.inc();
        }
        unless_there(made)
    }

    async fn make_group(&self, group: &str) -> Result<(), Failing> {
        self.turn().await;
        let Creation { kms_key, tags, class, retention_days, .. } = &self.creation;
        let tags = (!tags.is_empty()).then(|| tags.clone().into_iter().collect());
        let call = self
            .sdk
            .create_log_group()
            .log_group_name(group)
            .set_kms_key_id(kms_key.clone())
            .set_tags(tags)
            .set_log_group_class(class.as_deref().map(LogGroupClass::from))
            .send();
        let made = within(CALL_TIMEOUT, false, call).await;
        if made.is_ok() {
            self.metrics.groups_created.inc();
            tracing::info!(%group, "log group made");
            if let Some(days) = retention_days {
                self.retain(group, *days).await;
            }
        }
        unless_there(made)
    }

    /// Only where the group was made: others have the retention that somebody gave them.
    async fn retain(&self, group: &str, days: i32) {
        for attempt in 1..=RETENTION_ATTEMPTS {
            let call = self
                .sdk
                .put_retention_policy()
                .log_group_name(group)
                .retention_in_days(days)
                .send();
            let Err(failing) = within(CALL_TIMEOUT, false, call).await else {
                return;
            };
            if attempt == RETENTION_ATTEMPTS {
                tracing::warn!(
                    %group, days, fault = failing.why,
                    "the retention of the new group cannot be set: it keeps events for ever"
                );
                return;
            }
            tokio::time::sleep(Duration::from_millis(500) * attempt).await;
        }
    }

    /// Waits until something may be made.
    async fn turn(&self) {
        let at = {
            let mut creating = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if creating.next + CREATE_EVERY * CREATE_BURST <= now {
                creating.left = CREATE_BURST;
            }
            if let Some(left) = creating.left.checked_sub(1) {
                creating.left = left;
                creating.next = now;
            } else {
                creating.next = creating.next.max(now) + CREATE_EVERY;
            }
            creating.next
        };
        sleep_until(at).await;
    }
}

/// The SDK has written a call without events: it goes with the ones that are ready.
fn replace_body(request: &mut HttpRequest, body: &Bytes, gzip: bool) {
    let length = body.len().to_string();
    *request.body_mut() = SdkBody::from(body.clone());
    let headers = request.headers_mut();
    headers.insert("content-length", length);
    if gzip {
        headers.insert("content-encoding", "gzip");
    }
}

/// The reply to a call, or what its failure means. `gzip` says whether it was compressed.
async fn within<T, E>(
    limit: Duration,
    gzip: bool,
    call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, Failing>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    SdkError<E, HttpResponse>: RequestId,
{
    match timeout(limit, Box::pin(call)).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(outcome::of(&error, gzip)),
        Err(_) => Err(Failing {
            kind: Kind::Trouble(Trouble::Unanswered),
            why: format!("no answer within {} s", limit.as_secs()),
        }),
    }
}

fn unless_there<T>(made: Result<T, Failing>) -> Result<(), Failing> {
    match made {
        Ok(_) | Err(Failing { kind: Kind::Exists, .. }) => Ok(()),
        Err(failing) => Err(failing),
    }
}

fn blocked(Failing { kind, why }: Failing, what: &str) -> (Trouble, String) {
    let trouble = match kind {
        Kind::Trouble(trouble) => trouble,
        Kind::BadCredentials | Kind::BadSignature => Trouble::Credentials,
        _ => Trouble::Missing,
    };
    (trouble, format!("{what}: {why}"))
}

fn again(trouble: Trouble, why: String) -> Reply {
    Reply::Again { trouble, why }
}

fn refused(info: Option<&RejectedLogEventsInfo>) -> Refused {
    let Some(info) = info else { return Refused::default() };
    let index = |index: Option<i32>| index.and_then(|index| usize::try_from(index).ok());
    Refused {
        too_old_end: index(info.too_old_log_event_end_index()).unwrap_or(0),
        expired_end: index(info.expired_log_event_end_index()).unwrap_or(0),
        too_new_start: index(info.too_new_log_event_start_index()),
    }
}
