//! What CloudWatch Logs demands of a call, as far as the call alone tells: the shapes and limits of
//! the service model `Logs_20140328` and of its quota page, with the errors of the real service.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::http::Reply;
use super::clock::DAY;

/// Counted bytes of a batch: its messages in UTF-8, and 26 for each event.
pub const MOST_BATCH_BYTES: usize = 1_048_576;
/// Counted beside an event's message.
pub const EVENT_OVERHEAD: usize = 26;
/// Events of a batch.
pub const MOST_EVENTS: usize = 10_000;
/// From the oldest to the newest event of a batch, in milliseconds.
pub const MOST_SPAN: i64 = DAY;
/// Older events are rejected, in milliseconds.
pub const MOST_AGE: i64 = 14 * DAY;
/// Events that lie further ahead are rejected, in milliseconds.
pub const MOST_AHEAD: i64 = 2 * 60 * 60 * 1000;
/// What `PutRetentionPolicy` takes, in days.
pub const RETENTION_DAYS: [u32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];
const CLASSES: [&str; 4] = ["STANDARD", "INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS"];
const MOST_TAGS: usize = 50;
const MOST_NAME: usize = 512;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// The `__type` of the reply.
    pub code: String,
    /// Its text.
    pub message: String,
}

impl Refusal {
    /// A refusal with a status of its own.
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned() }
    }

    /// As the service writes it; without a code, as something before the service would.
    pub fn reply(&self) -> Reply {
        if self.code.is_empty() {
            return Reply::new(self.status, "text/html", self.message.as_str());
        }
        let body = serde_json::json!({ "__type": self.code, "message": self.message });
        Reply::new(self.status, "application/x-amz-json-1.1", body.to_string())
    }
}

/// Refuses with the status of nearly every error of this protocol, 400.
pub fn refuse<T>(code: &str, message: &str) -> Result<T, Refusal> {
    Err(Refusal::new(400, code, message))
}

/// Refuses with the error of a broken limit.
pub fn invalid<T>(message: &str) -> Result<T, Refusal> {
    refuse("InvalidParameterException", message)
}

// The text of a broken constraint of the model.
fn broken<T>(value: &str, member: &str, constraint: &str) -> Result<T, Refusal> {
    invalid(&format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: \
         Member must {constraint}"
    ))
}

/// Whose log a call concerns, whatever else is wrong with it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Names {
    /// `logGroupName`.
    pub log_group_name: Option<String>,
    /// `logStreamName`.
    pub log_stream_name: Option<String>,
}

/// A member that must be there; its type is checked when it is read.
type Needed<T> = Option<T>;

/// `PutLogEvents`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutLogEvents {
    log_group_name: Needed<String>,
    log_stream_name: Needed<String>,
    log_events: Needed<Vec<InputLogEvent>>,
    // Ignored since 2023.
    #[serde(rename = "sequenceToken")]
    _sequence_token: Option<String>,
    entity: Option<Entity>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputLogEvent {
    timestamp: Needed<i64>,
    message: Needed<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entity {
    key_attributes: Option<BTreeMap<String, String>>,
    attributes: Option<BTreeMap<String, String>>,
}

/// `CreateLogGroup`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateLogGroup {
    log_group_name: Needed<String>,
    kms_key_id: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    log_group_class: Option<String>,
    #[serde(rename = "deletionProtectionEnabled")]
    _deletion_protection_enabled: Option<bool>,
}

/// `CreateLogStream`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateLogStream {
    log_group_name: Needed<String>,
    log_stream_name: Needed<String>,
}

/// `PutRetentionPolicy`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutRetentionPolicy {
    log_group_name: Needed<String>,
    retention_in_days: Needed<u32>,
}

/// `TagResource`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagResource {
    resource_arn: Needed<String>,
    tags: Needed<BTreeMap<String, String>>,
}

/// Reads the body of a call.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, "SerializationException", &error.to_string()))
}

/// A batch that keeps to everything that its own bytes tell.
#[derive(Debug)]
pub struct Batch {
    /// A valid name.
    pub group: String,
    /// A valid name.
    pub stream: String,
    /// Time stamps and messages, none of them empty.
    pub events: Vec<(i64, String)>,
    /// Why `entity` was not taken; the events are.
    pub entity_error: Option<&'static str>,
}

impl PutLogEvents {
    /// Its messages, whatever is wrong with it.
    pub fn messages(&self) -> impl Iterator<Item = &str> {
        let events = self.log_events.iter().flatten();
        events.map(|event| event.message.as_deref().unwrap_or_default())
    }

    /// Whose log it is for.
    pub fn names(&self) -> Names {
        let (log_group_name, log_stream_name) =
            (self.log_group_name.clone(), self.log_stream_name.clone());
        Names { log_group_name, log_stream_name }
    }

    /// How many events there are, and their counted bytes.
    pub fn size(&self) -> (usize, usize) {
        let count = self.messages().count();
        (count, self.messages().map(str::len).sum::<usize>() + count * EVENT_OVERHEAD)
    }

    /// Checks the members: those errors come before any other.
    pub fn check(self) -> Result<Batch, Refusal> {
        let group = group_name(self.log_group_name)?;
        let stream = stream_name(self.log_stream_name)?;
        let events = needed(self.log_events, "logEvents")?;
        if events.is_empty() {
            return broken("[]", "logEvents", "have length greater than or equal to 1");
        }
        if events.len() > MOST_EVENTS {
            return broken("[...]", "logEvents", "have length less than or equal to 10000");
        }
        let events = events.into_iter().enumerate().map(|(at, event)| event.check(at + 1));
        let events = events.collect::<Result<_, _>>()?;
        Ok(Batch { group, stream, events, entity_error: self.entity.and_then(Entity::error) })
    }
}

impl InputLogEvent {
    fn check(self, number: usize) -> Result<(i64, String), Refusal> {
        let member = |name: &str| format!("logEvents.{number}.member.{name}");
        let timestamp = needed(self.timestamp, &member("timestamp"))?;
        if timestamp < 0 {
            let constraint = "have value greater than or equal to 0";
            return broken(&timestamp.to_string(), &member("timestamp"), constraint);
        }
        let message = needed(self.message, &member("message"))?;
        if message.is_empty() {
            return broken("", &member("message"), "have length greater than or equal to 1");
        }
        Ok((timestamp, message))
    }
}

impl Entity {
    fn error(self) -> Option<&'static str> {
        let fits = |map: &BTreeMap<String, String>| {
            map.iter().all(|(key, value)| key.chars().count() <= 32 && value.chars().count() <= 512)
        };
        let keys = self.key_attributes.unwrap_or_default();
        let attributes = self.attributes.unwrap_or_default();
        match (keys.len(), fits(&keys), attributes.len()) {
            (2..=4, true, 0..=10) => None,
            (2..=4, true, _) => Some("InvalidAttributes"),
            _ => Some("InvalidKeyAttributes"),
        }
    }
}

/// The part of a batch that is stored, and why the rest is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejection {
    /// How many events at the start are older than 14 days.
    pub too_old: usize,
    /// How many events at the start are older than the group's retention.
    pub expired: usize,
    /// How many events at the end are more than two hours ahead.
    pub too_new: usize,
}

impl Batch {
    /// Checks sizes, order and span by the service's clock, for a group that keeps its events for
    /// so many days. Refuses the whole batch, or tells what of it is not stored.
    pub fn check(&self, now: i64, retention: Option<u32>) -> Result<Rejection, Refusal> {
        let sizes = self.events.iter().map(|(_, message)| message.len() + EVENT_OVERHEAD);
        let limit = MOST_BATCH_BYTES;
        if let Some(size) = sizes.clone().find(|size| *size > limit) {
            return invalid(&format!("Log event too large: {size} bytes exceeds limit of {limit}"));
        }
        let size: usize = sizes.sum();
        if size > limit {
            return invalid(&format!("Upload too large: {size} bytes exceeds limit of {limit}"));
        }
        if !self.events.is_sorted_by_key(|(timestamp, _)| *timestamp) {
            return invalid(
                "Log events in a single PutLogEvents request must be in chronological order.",
            );
        }
        let before = |bound| self.events.partition_point(|(timestamp, _)| *timestamp < bound);
        let rejection = Rejection {
            too_old: before(now - MOST_AGE),
            expired: retention.map_or(0, |days| before(now - i64::from(days) * DAY)),
            too_new: self.events.len() - before(now + MOST_AHEAD + 1),
        };
        let (first, end) = rejection.bounds(self.events.len());
        if let [(oldest, _), .., (newest, _)] = &self.events[first..end]
            && newest - oldest > MOST_SPAN
        {
            return invalid(
                "The batch of log events in a single PutLogEvents request cannot span more than \
                 24 hours.",
            );
        }
        Ok(rejection)
    }
}

impl Rejection {
    /// Which of so many events are stored.
    pub fn bounds(self, events: usize) -> (usize, usize) {
        (self.too_old.max(self.expired), events - self.too_new)
    }

    /// `rejectedLogEventsInfo`: ends are exclusive, the start is inclusive.
    pub fn info(self, events: usize) -> Option<serde_json::Value> {
        let mut info = serde_json::Map::new();
        for (name, index, is_told) in [
            ("tooOldLogEventEndIndex", self.too_old, self.too_old > 0),
            ("expiredLogEventEndIndex", self.expired, self.expired > 0),
            ("tooNewLogEventStartIndex", events - self.too_new, self.too_new > 0),
        ] {
            if is_told {
                info.insert(name.to_owned(), index.into());
            }
        }
        (!info.is_empty()).then(|| info.into())
    }
}

/// What a new group is to be.
#[derive(Debug)]
pub struct NewGroup {
    /// A valid name.
    pub name: String,
    /// Of the list.
    pub class: String,
    /// An ARN.
    pub key: Option<String>,
    /// At most 50.
    pub tags: BTreeMap<String, String>,
}

impl CreateLogGroup {
    /// Checks the members.
    pub fn check(self) -> Result<NewGroup, Refusal> {
        let name = group_name(self.log_group_name)?;
        let class = self.log_group_class.unwrap_or_else(|| "STANDARD".to_owned());
        if !CLASSES.contains(&class.as_str()) {
            let constraint = format!("satisfy enum value set: {CLASSES:?}");
            return broken(&class, "logGroupClass", &constraint);
        }
        if let Some(key) = &self.kms_key_id {
            check_key(key)?;
        }
        if self.tags.len() > MOST_TAGS {
            return broken("{...}", "tags", "have length less than or equal to 50");
        }
        check_tags(&self.tags)?;
        Ok(NewGroup { name, class, key: self.kms_key_id, tags: self.tags })
    }
}

impl CreateLogStream {
    /// Checks the names; group and stream.
    pub fn check(self) -> Result<(String, String), Refusal> {
        Ok((group_name(self.log_group_name)?, stream_name(self.log_stream_name)?))
    }
}

impl PutRetentionPolicy {
    /// Checks name and days.
    pub fn check(self) -> Result<(String, u32), Refusal> {
        let name = group_name(self.log_group_name)?;
        let days = needed(self.retention_in_days, "retentionInDays")?;
        if !RETENTION_DAYS.contains(&days) {
            let constraint = format!("satisfy enum value set: {RETENTION_DAYS:?}");
            return broken(&days.to_string(), "retentionInDays", &constraint);
        }
        Ok((name, days))
    }
}

impl TagResource {
    /// Checks the members; the name of the group, and the tags.
    pub fn check(self) -> Result<(String, BTreeMap<String, String>), Refusal> {
        let arn = needed(self.resource_arn, "resourceArn")?;
        let parts: Vec<_> = arn.splitn(7, ':').collect();
        let ["arn", _, "logs", _, account, "log-group", name] = parts[..] else {
            return invalid(&format!("Invalid resourceArn: {arn}"));
        };
        if account.len() != 12 {
            return invalid(&format!("Invalid resourceArn: {arn}"));
        }
        let tags = needed(self.tags, "tags")?;
        if tags.is_empty() || tags.len() > MOST_TAGS {
            return broken("{...}", "tags", "have length between 1 and 50");
        }
        check_tags(&tags)?;
        // `…:log-group:NAME:*` is the ARN of the group's streams, and not taken here.
        Ok((group_name(Some(name.to_owned()))?, tags))
    }
}

fn needed<T>(member: Option<T>, name: &str) -> Result<T, Refusal> {
    member.map_or_else(|| broken("null", name, "not be null"), Ok)
}

fn group_name(name: Option<String>) -> Result<String, Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || ".-_/#".contains(c);
    let name = checked_name(name, "logGroupName", r"[\.\-_/#A-Za-z0-9]+", legal)?;
    if name.starts_with("aws/") {
        return invalid("Log groups starting with aws/ are reserved for AWS.");
    }
    Ok(name)
}

fn stream_name(name: Option<String>) -> Result<String, Refusal> {
    checked_name(name, "logStreamName", "[^:*]*", |c| !matches!(c, ':' | '*'))
}

fn checked_name(
    name: Option<String>,
    member: &str,
    pattern: &str,
    legal: impl Fn(char) -> bool,
) -> Result<String, Refusal> {
    let name = needed(name, member)?;
    if name.is_empty() {
        return broken(&name, member, "have length greater than or equal to 1");
    }
    if name.chars().count() > MOST_NAME {
        return broken(&name, member, "have length less than or equal to 512");
    }
    if !name.chars().all(legal) {
        let constraint = format!("satisfy regular expression pattern: {pattern}");
        return broken(&name, member, &constraint);
    }
    Ok(name)
}

fn check_key(key: &str) -> Result<(), Refusal> {
    let parts: Vec<_> = key.split(':').collect();
    let is_key = match parts[..] {
        ["arn", partition, "kms", region, account, resource] => {
            let digits = account.bytes().all(|byte| byte.is_ascii_digit());
            let named = resource.strip_prefix("key/").is_some_and(|id| !id.is_empty());
            partition.starts_with("aws")
                && !region.is_empty()
                && account.len() == 12
                && digits
                && named
        }
        _ => false,
    };
    if is_key && key.len() <= 256 {
        return Ok(());
    }
    invalid("The specified KMS Key Id could not be found or is not valid.")
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let legal = |text: &str| {
        text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c))
    };
    for (key, value) in tags {
        if key.starts_with("aws:") {
            return invalid("Tag keys starting with aws: are reserved for AWS.");
        }
        if !(1..=128).contains(&key.chars().count()) || !legal(key) {
            return broken(key, "tags", "satisfy constraint: key of 1 to 128 legal characters");
        }
        if value.chars().count() > 256 || !legal(value) {
            return broken(
                value,
                "tags",
                "satisfy constraint: value of up to 256 legal characters",
            );
        }
    }
    Ok(())
}
