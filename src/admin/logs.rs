//! `/logs`: what is printed just now, as text, as JSON, or over a WebSocket, as logspout's users know
//! it. Never shows a container's environment, and never keeps a line for later.

mod asked;
mod json;
mod tail;
mod text;

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderValue, UPGRADE};
use hyper::{Method, Request, StatusCode};
use tokio::time::Instant;

use super::access::Token;
use super::body::{JSON, Reply, live, not_allowed, not_found, text, unauthorized};
use super::connection::Connection;
use super::websocket;
use crate::tail::{Filter, Hub};
use asked::{Asked, Form, Which};

pub(super) use tail::Tail;

/// What logspout says.
const PLAIN: &str = "text/plain";
/// A container that is there is known by then.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Live tails, where they are on.
#[derive(Debug, Clone)]
pub struct LiveTails {
    /// Where they come from.
    pub hub: Hub,
    /// What they ask for; `None` for nothing.
    pub token: Option<Token>,
}

/// The reply to a request below `/logs`.
pub(super) async fn answer<B>(
    request: &mut Request<B>,
    tails: Option<&LiveTails>,
    connection: &Connection,
) -> Reply {
    let Some(LiveTails { hub, token }) = tails else {
        let off = "live tails are off; DOWNSPOUT_LIVE_TAILS=true turns them on";
        return text(StatusCode::NOT_FOUND, off);
    };
    if request.method() != Method::GET {
        return not_allowed("GET");
    }
    if token.as_ref().is_some_and(|token| !token.admits(request.headers())) {
        return unauthorized("/logs", "DOWNSPOUT_API_TOKEN");
    }
    let asked = match Asked::of(request.uri(), request.headers()) {
        Ok(Some(asked)) => asked,
        Ok(None) => return not_found(),
        Err(why) => return text(StatusCode::BAD_REQUEST, &why),
    };
    let handshake = websocket_wanted(request.headers()).then(|| websocket::accept(request));
    let handshake = match handshake.transpose() {
        Ok(handshake) => handshake,
        Err(refusal) => return *refusal,
    };
    let id = match &asked.which {
        Which::Id(id) => Some(id.clone()),
        _ => None,
    };
    let Asked { which, stdout, stderr, form } = asked;
    let multi = which.is_multi();
    let filter = match which.into_filter() {
        Ok(container) => Filter { container, stdout, stderr },
        Err(why) => return text(StatusCode::BAD_REQUEST, &why),
    };
    let viewer = match hub.view(filter) {
        Ok(viewer) => viewer,
        Err(why) => return text(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
    };
    if let Some(id) = id
        && !is_known(hub, &id).await
    {
        return not_found();
    }
    connection.shows(viewer.progress());
    match (handshake, form) {
        (Some(key), _) => {
            let tail = Tail::framed(viewer);
            connection.go_on(websocket::serve(
                hyper::upgrade::on(request),
                tail,
                connection.stop(),
            ));
            websocket::switching(&key)
        }
        (None, Form::Json) => live(JSON, Tail::json(viewer)),
        (None, Form::Text { colours }) => live(PLAIN, Tail::text(viewer, multi, colours)),
    }
}

fn websocket_wanted(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).iter().any(|value| has_word(value, "websocket"))
}

/// Whether a list in a header has a word, in any case.
pub(super) fn has_word(value: &HeaderValue, word: &str) -> bool {
    let list = value.to_str().unwrap_or_default();
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// Waits until a container is heard of whose id begins with this.
async fn is_known(hub: &Hub, id: &str) -> bool {
    let asked = Instant::now();
    while !hub.knows(id) {
        if asked.elapsed() >= KNOWN_WITHIN {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    true
}
