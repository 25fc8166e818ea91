//! What a fake CloudWatch Logs does wrong, and to which calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::contract::{PutLogEvents, Refusal};
use super::store::Call;

/// What a call asks for: the end of `X-Amz-Target`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `PutLogEvents`.
    PutLogEvents,
    /// `CreateLogGroup`.
    CreateLogGroup,
    /// `CreateLogStream`.
    CreateLogStream,
    /// `PutRetentionPolicy`.
    PutRetentionPolicy,
    /// `TagResource`.
    TagResource,
    /// Anything else; the whole target.
    Other(String),
}

impl Operation {
    /// From the header.
    pub fn parse(target: &str) -> Self {
        let known = [
            Self::PutLogEvents,
            Self::CreateLogGroup,
            Self::CreateLogStream,
            Self::PutRetentionPolicy,
            Self::TagResource,
        ];
        let mut known = known.into_iter();
        known.find(|own| own.target() == target).unwrap_or_else(|| Self::Other(target.to_owned()))
    }

    /// The header.
    pub fn target(&self) -> String {
        match self {
            Self::Other(target) => target.clone(),
            known => format!("Logs_20140328.{known:?}"),
        }
    }
}

/// Which messages are bad.
pub type Bad = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What happens to a call.
#[derive(Clone)]
pub enum Fault {
    /// Refused. Signatures are still checked before.
    Refuse(Refusal),
    /// Refused if one of its messages is bad, with a text that names no limit.
    Poison(Bad),
    /// Refused if its body is compressed: 415, or 400 with `SerializationException`.
    RefuseGzip(u16),
    /// Waits before anything else, for so long, or until `FakeCloudWatch::release` or the rule's
    /// end; then as if nothing had been, if its client is still there.
    Hang(Option<Duration>),
    /// The connection is reset; the call has no effect.
    ResetBeforeCommit,
    /// The connection is reset after the call had its effect, before a byte of the reply.
    ResetAfterCommit,
    /// The connection is closed in order; the call has no effect.
    CloseBeforeCommit,
    /// The connection is closed in order after the call had its effect, without a reply.
    CloseAfterCommit,
    /// The call has its effect; half of the reply comes, then the end of the connection.
    CutReply,
    /// The call has its effect; the reply comes so much later.
    SlowReply(Duration),
}

impl Fault {
    /// As when the account's quota is used up.
    pub fn throttle() -> Self {
        Self::refuse(400, "ThrottlingException", "Rate exceeded")
    }

    /// A service error with this status: 500 or 503.
    pub fn unavailable(status: u16) -> Self {
        let code = if status == 500 { "InternalFailure" } else { "ServiceUnavailableException" };
        Self::refuse(status, code, "The service cannot complete the request.")
    }

    /// An error page of something before the service, without a code.
    pub fn page(status: u16) -> Self {
        Self::refuse(status, "", "<html><body>Bad Gateway</body></html>")
    }

    /// As if the stream had been deleted.
    pub fn missing_stream() -> Self {
        let text = "The specified log stream does not exist.";
        Self::refuse(400, "ResourceNotFoundException", text)
    }

    /// As if the group had been deleted.
    pub fn missing_group() -> Self {
        let text = "The specified log group does not exist.";
        Self::refuse(400, "ResourceNotFoundException", text)
    }

    /// As if the credentials had expired.
    pub fn expired_token() -> Self {
        let text = "The security token included in the request is expired";
        Self::refuse(400, "ExpiredTokenException", text)
    }

    /// As without the permission.
    pub fn access_denied() -> Self {
        let text = "User: arn:aws:sts::123456789012:assumed-role/agent/fake is not authorized to \
                    perform this action because no identity-based policy allows it";
        Self::refuse(400, "AccessDeniedException", text)
    }

    /// As when several change the same resource at a time.
    pub fn operation_aborted() -> Self {
        let text = "A conflicting operation is currently in progress against this resource. \
                    Please try again.";
        Self::refuse(400, "OperationAbortedException", text)
    }

    /// As when the account has all the groups that it may have.
    pub fn group_limit() -> Self {
        Self::refuse(400, "LimitExceededException", "Resource limit exceeded.")
    }

    /// Any other error.
    pub fn refuse(status: u16, code: &str, message: &str) -> Self {
        Self::Refuse(Refusal::new(status, code, message))
    }

    /// Bad are the messages that `is_bad` says.
    pub fn poison(is_bad: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::Poison(Arc::new(is_bad))
    }

    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refuse(refusal) => Some(refusal.clone()),
            Self::Poison(_) => {
                let text = "The specified log event is not acceptable";
                Some(Refusal::new(400, "InvalidParameterException", text))
            }
            Self::RefuseGzip(status) => {
                let is_type = *status == 415;
                let code = if is_type {
                    "UnsupportedMediaTypeException"
                } else {
                    "SerializationException"
                };
                Some(Refusal::new(*status, code, "The content encoding is not supported."))
            }
            _ => None,
        }
    }

    fn concerns(&self, call: &Call, put: Option<&PutLogEvents>) -> bool {
        match self {
            Self::Poison(is_bad) => {
                put.is_some_and(|put| put.messages().any(|message| is_bad(message)))
            }
            Self::RefuseGzip(_) => call.encoding.as_deref() == Some("gzip"),
            _ => true,
        }
    }
}

type Condition = dyn Fn(&Call) -> bool + Send + Sync;

/// A fault, and the calls that it happens to: all of them unless told otherwise.
#[derive(Clone)]
pub struct Rule {
    fault: Fault,
    operation: Option<Operation>,
    stream: Option<String>,
    condition: Option<Arc<Condition>>,
    passed_over: usize,
    times: Option<usize>,
}

impl Rule {
    /// For calls of every kind.
    pub fn any(fault: Fault) -> Self {
        let (operation, stream, condition) = (None, None, None);
        Self { fault, operation, stream, condition, passed_over: 0, times: None }
    }

    /// For calls of one kind.
    pub fn on(operation: Operation, fault: Fault) -> Self {
        Self { operation: Some(operation), ..Self::any(fault) }
    }

    /// For `PutLogEvents`.
    pub fn put(fault: Fault) -> Self {
        Self::on(Operation::PutLogEvents, fault)
    }

    /// Only for one stream, by its name.
    pub fn of_stream(mut self, stream: &str) -> Self {
        self.stream = Some(stream.to_owned());
        self
    }

    /// Only for calls of which this holds.
    pub fn when(mut self, holds: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Self {
        self.condition = Some(Arc::new(holds));
        self
    }

    /// Not for the first so many of these calls.
    pub fn after(mut self, calls: usize) -> Self {
        self.passed_over = calls;
        self
    }

    /// Only so often.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }
}

/// The rules in the order in which they were given; the first that concerns a call decides.
#[derive(Default)]
pub struct Script {
    rules: Vec<(usize, Rule)>,
    applied: Vec<usize>,
}

impl Script {
    /// Appends a rule; returns its number.
    pub fn add(&mut self, rule: Rule) -> usize {
        self.applied.push(0);
        self.rules.push((self.applied.len() - 1, rule));
        self.applied.len() - 1
    }

    /// Takes a rule out.
    pub fn remove(&mut self, number: usize) {
        self.rules.retain(|(own, _)| *own != number);
    }

    /// Takes all rules out.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// Whether a rule is still there.
    pub fn holds(&self, number: usize) -> bool {
        self.rules.iter().any(|(own, _)| *own == number)
    }

    /// How many calls a rule has concerned.
    pub fn applied(&self, number: usize) -> usize {
        self.applied[number]
    }

    /// What happens to a call, and by which rule.
    pub fn next(&mut self, call: &Call, put: Option<&PutLogEvents>) -> Option<(usize, Fault)> {
        for (number, rule) in &mut self.rules {
            let concerns = rule.times != Some(0)
                && rule.operation.as_ref().is_none_or(|own| *own == call.operation)
                && (rule.stream.is_none() || rule.stream == call.stream)
                && rule.condition.as_ref().is_none_or(|holds| holds(call))
                && rule.fault.concerns(call, put);
            if !concerns {
                continue;
            }
            if rule.passed_over > 0 {
                rule.passed_over -= 1;
                continue;
            }
            rule.times = rule.times.map(|times| times - 1);
            self.applied[*number] += 1;
            return Some((*number, rule.fault.clone()));
        }
        None
    }
}

/// So many calls per second, and as many at once.
pub struct Quota {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Quota {
    /// Full at first.
    pub fn new(per_second: f64) -> Self {
        Self { per_second, tokens: per_second.max(1.0), filled: Instant::now() }
    }

    /// Whether there is room for one more.
    pub fn take(&mut self) -> bool {
        let gained = self.filled.elapsed().as_secs_f64() * self.per_second;
        self.filled = Instant::now();
        self.tokens = (self.tokens + gained).min(self.per_second.max(1.0));
        let has_room = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(has_room));
        has_room
    }
}
