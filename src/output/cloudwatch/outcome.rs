//! What an error of the service means: which of a few kinds it is, and what the log says. Never
//! tries anything again.

use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::identity::causes;
use super::transport::{Failed, Failure};
use crate::store::Trouble;

/// Of a message of the service in the log, at most.
const MESSAGE_CHARACTERS: usize = 300;

/// What a call has failed of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    pub(super) kind: Kind,
    /// For the log, with the service's code and the id of the request.
    pub(super) why: String,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Tried again later, with no change.
    Trouble(Trouble),
    /// The group or the stream is not there.
    NotFound,
    /// What was to be made is there.
    Exists,
    /// The account has as many groups as it may.
    Quota,
    /// The credentials are not valid any more, or not known.
    BadCredentials,
    /// The signature is not valid: likely one of the clocks is wrong.
    BadSignature,
    /// The request itself is wrong.
    Invalid,
    /// The endpoint cannot read compressed requests.
    Encoding,
}

/// Understands the error of a call. `gzip`: its body was compressed.
pub(super) fn of<E>(error: &SdkError<E, HttpResponse>, gzip: bool) -> Failing
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    SdkError<E, HttpResponse>: RequestId,
{
    match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            let code = context.err().code().unwrap_or_default();
            let message = context.err().message().unwrap_or_default();
            let id = error.request_id().unwrap_or("none");
            let named = if code.is_empty() { "no code" } else { code };
            let message = shown(message);
            let why = format!("{named} (HTTP {status}, request {id}): {message}");
            Failing { kind: of_code(code, status, gzip), why }
        }
        SdkError::TimeoutError(_) => {
            Failing { kind: Kind::Trouble(Trouble::Unanswered), why: causes(error) }
        }
        SdkError::DispatchFailure(context) => {
            let failed = failed(error);
            let trouble = match failed.map(|failed| failed.failure) {
                Some(Failure::Connect) => Trouble::Unreachable,
                Some(Failure::Closed) => Trouble::Stale,
                Some(Failure::Reply | Failure::Timeout) => Trouble::Unanswered,
                None if context.is_timeout() || context.is_io() => Trouble::Unanswered,
                // Before anything was sent: the SDK has no credentials.
                None => Trouble::Credentials,
            };
            let why = failed.map_or_else(|| causes(error), ToString::to_string);
            Failing { kind: Kind::Trouble(trouble), why }
        }
        // A reply that is none of the service's: of a proxy, or cut short.
        SdkError::ResponseError(context) => {
            let status = context.raw().status().as_u16();
            let why = format!("the reply cannot be read (HTTP {status}): {}", causes(error));
            Failing { kind: of_code("", status, gzip), why }
        }
        _ => Failing { kind: Kind::Trouble(Trouble::Credentials), why: causes(error) },
    }
}

/// What of a message may be logged: where a signature is wrong, the service repeats the request
/// from the second line on, with the session's token.
fn shown(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.chars().take(MESSAGE_CHARACTERS).collect()
}

fn failed<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Failed> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(failed) = error.downcast_ref() {
            return Some(failed);
        }
        cause = error.source();
    }
    None
}

/// Codes: common errors of AWS services, and those of CloudWatch Logs (API references).
fn of_code(code: &str, status: u16, gzip: bool) -> Kind {
    match code {
        "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "TooManyRequestsException"
        | "ThrottledException" => Kind::Trouble(Trouble::Throttled),
        "ResourceNotFoundException" => Kind::NotFound,
        "ResourceAlreadyExistsException" | "DataAlreadyAcceptedException" => Kind::Exists,
        "LimitExceededException" => Kind::Quota,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => Kind::BadCredentials,
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "IncompleteSignature"
        | "IncompleteSignatureException" => Kind::BadSignature,
        "AccessDenied" | "AccessDeniedException" | "NotAuthorized" | "OptInRequired" => {
            Kind::Trouble(Trouble::Denied)
        }
        // A group is being changed by somebody else, or the service fails.
        "OperationAbortedException"
        | "InvalidSequenceTokenException"
        | "ServiceUnavailableException"
        | "ServiceUnavailable"
        | "InternalFailure"
        | "InternalServerException"
        | "InternalServerError" => Kind::Trouble(Trouble::Unavailable),
        "SerializationException" | "UnsupportedMediaTypeException" if gzip => Kind::Encoding,
        "SerializationException"
        | "InvalidParameterException"
        | "ValidationException"
        | "ValidationError"
        | "InvalidParameterValue" => Kind::Invalid,
        _ => match status {
            429 => Kind::Trouble(Trouble::Throttled),
            401 | 403 => Kind::Trouble(Trouble::Denied),
            415 if gzip => Kind::Encoding,
            400 if gzip && code.is_empty() => Kind::Encoding,
            400 | 413 | 415 => Kind::Invalid,
            _ => Kind::Trouble(Trouble::Unavailable),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_line_of_a_message_is_shown() {
        let message = "The signature does not match\n\nx-amz-security-token:SECRET";
        assert_eq!(shown(message), "The signature does not match");
        assert_eq!(shown(&"é".repeat(1000)).chars().count(), MESSAGE_CHARACTERS);
        assert_eq!(shown(""), "");
    }

    #[test]
    fn codes_and_statuses_have_one_meaning_each() {
        let trouble = Kind::Trouble;
        for (code, status, kind) in [
            ("ThrottlingException", 400, trouble(Trouble::Throttled)),
            ("", 429, trouble(Trouble::Throttled)),
            ("ServiceUnavailableException", 503, trouble(Trouble::Unavailable)),
            ("", 502, trouble(Trouble::Unavailable)),
            ("Unheard", 500, trouble(Trouble::Unavailable)),
            ("Unheard", 200, trouble(Trouble::Unavailable)),
            ("AccessDeniedException", 400, trouble(Trouble::Denied)),
            ("", 403, trouble(Trouble::Denied)),
            ("ExpiredTokenException", 400, Kind::BadCredentials),
            ("InvalidSignatureException", 400, Kind::BadSignature),
            ("ResourceNotFoundException", 400, Kind::NotFound),
            ("LimitExceededException", 400, Kind::Quota),
            ("InvalidParameterException", 400, Kind::Invalid),
            ("", 413, Kind::Invalid),
            ("OperationAbortedException", 400, trouble(Trouble::Unavailable)),
        ] {
            assert_eq!(of_code(code, status, true), kind, "{code} {status}");
        }
        assert_eq!(of_code("SerializationException", 400, true), Kind::Encoding);
        assert_eq!(of_code("SerializationException", 400, false), Kind::Invalid);
        assert_eq!(
            (of_code("", 415, true), of_code("", 415, false)),
            (Kind::Encoding, Kind::Invalid)
        );
    }
}
