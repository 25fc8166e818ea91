//! What a reply carries: a text that is whole, or a live tail that goes on. Never buffers more of a
//! tail than the connection asks for.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};

use super::logs::Tail;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// A reply of this server.
pub(super) type Reply = Response<Body>;

/// What a reply carries.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Full<Bytes>),
    Live(Box<Tail>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Live(tail) => {
                tail.poll_bytes(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Live(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Live(_) => SizeHint::default(),
        }
    }
}

/// A whole reply.
pub(super) fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    with(status, kind, Body::Whole(Full::new(body.into())))
}

/// A reply that goes on.
pub(super) fn live(kind: &'static str, tail: Tail) -> Reply {
    with(StatusCode::OK, kind, Body::Live(Box::new(tail)))
}

fn with(status: StatusCode, kind: &'static str, body: Body) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A plain text with a line end.
pub(super) fn text(status: StatusCode, text: &str) -> Reply {
    reply(status, TEXT, format!("{text}\n"))
}

/// What logspout says of what is not there.
pub(super) fn not_found() -> Reply {
    text(StatusCode::NOT_FOUND, "404 page not found")
}

/// There is such a page, and it takes other methods.
pub(super) fn not_allowed(allowed: &'static str) -> Reply {
    let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "");
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refusal
}

/// The bearer token is missing or wrong (RFC 6750).
pub(super) fn unauthorized(path: &str, variable: &str) -> Reply {
    let mut refusal =
        text(StatusCode::UNAUTHORIZED, &format!("{path} needs the bearer token of {variable}"));
    refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refusal
}
