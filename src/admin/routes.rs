//! `/routes`: which routes there are, and new ones for who has the token, with logspout's paths,
//! codes and bodies. Never opens or ends one itself.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::HeaderMap;
use hyper::{Method, Request, StatusCode};

use super::access::Token;
use super::body::{JSON, Reply, TEXT, not_allowed, not_found, reply, text, unauthorized};
use crate::registry::{MOST_FILE_BYTES, Object};

/// Who may change routes is told by this.
const VARIABLE: &str = "DOWNSPOUT_API_TOKEN";

/// The routes there are.
pub trait Routes: Send + Sync + fmt::Debug {
    /// All, in an order that stays.
    fn list(&self) -> Vec<Object>;

    /// Opens one more, or another in the place of the one with the same id. Returns it with its id.
    fn put(
        &self,
        object: Object,
    ) -> Pin<Box<dyn Future<Output = Result<Object, Refusal>> + Send + '_>>;

    /// Ends one.
    fn delete<'a>(
        &'a self,
        id: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send + 'a>>;
}

/// Why a route is not changed, in full sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is none of this id.
    Unknown,
    /// It cannot be a route.
    Bad(String),
    /// It is the operator's, or in use.
    Conflict(String),
    /// Not now.
    Busy(String),
    /// It cannot be stored.
    Storage(String),
}

/// What `/routes` works on.
#[derive(Debug, Clone)]
pub struct RoutesApi {
    /// The routes.
    pub routes: Arc<dyn Routes>,
    /// Who may change them; `None` for nobody.
    pub token: Option<Token>,
    /// Whether anybody may read them, where there is no token.
    pub readable: bool,
}

impl RoutesApi {
    /// The reply to a request below `/routes`.
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Reply
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path().to_owned();
        let id = match path.strip_prefix("/routes") {
            Some("") => None,
            Some(rest) => match rest.strip_prefix('/').filter(|id| !id.is_empty()) {
                Some(id) if !id.contains('/') => Some(id),
                _ => return not_found(),
            },
            None => return not_found(),
        };
        match (request.method(), id) {
            (&Method::GET, _) => match self.refused_reader(request.headers()) {
                Some(refusal) => refusal,
                None => self.show(id),
            },
            (&Method::POST, None) => match self.refused_writer(request.headers()) {
                Some(refusal) => refusal,
                None => self.post(request.into_body()).await,
            },
            (&Method::DELETE, Some(id)) => match self.refused_writer(request.headers()) {
                Some(refusal) => refusal,
                None => match self.routes.delete(id).await {
                    Ok(()) => reply(StatusCode::OK, TEXT, ""),
                    Err(refusal) => refused(refusal),
                },
            },
            (_, None) => not_allowed("GET, POST"),
            (_, Some(_)) => not_allowed("GET, DELETE"),
        }
    }

    fn refused_reader(&self, headers: &HeaderMap) -> Option<Reply> {
        match &self.token {
            Some(token) if token.admits(headers) => None,
            Some(_) => Some(unauthorized("/routes", VARIABLE)),
            None if self.readable => None,
            None => Some(text(
                StatusCode::NOT_FOUND,
                "routes are not shown; DOWNSPOUT_LIVE_TAILS=true shows them to everybody, \
                 DOWNSPOUT_API_TOKEN to who has the token",
            )),
        }
    }

    fn refused_writer(&self, headers: &HeaderMap) -> Option<Reply> {
        match &self.token {
            Some(token) if token.admits(headers) => None,
            Some(_) => Some(unauthorized("/routes", VARIABLE)),
            None => Some(text(
                StatusCode::FORBIDDEN,
                "routes are changed by who has the bearer token of DOWNSPOUT_API_TOKEN or \
                 DOWNSPOUT_API_TOKEN_FILE, and none is set",
            )),
        }
    }

    fn show(&self, id: Option<&str>) -> Reply {
        let objects = self.routes.list();
        let Some(id) = id else {
            return reply(StatusCode::OK, JSON, Object::print_all(&objects) + "\n");
        };
        match objects.iter().find(|object| object.id == id) {
            Some(object) => reply(StatusCode::OK, JSON, object.print() + "\n"),
            None => not_found(),
        }
    }

    async fn post<B>(&self, body: B) -> Reply
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = usize::try_from(MOST_FILE_BYTES).unwrap_or(usize::MAX);
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(why) => {
                return text(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    &format!("Bad request: {why}; at most 64 KiB"),
                );
            }
        };
        let object: Object = match serde_json::from_slice(&body) {
            Ok(object) => object,
            Err(why) => return text(StatusCode::BAD_REQUEST, &format!("Bad request: {why}")),
        };
        match self.routes.put(object).await {
            Ok(object) => reply(StatusCode::CREATED, JSON, object.print() + "\n"),
            Err(refusal) => refused(refusal),
        }
    }
}

fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Unknown => not_found(),
        Refusal::Bad(why) => text(StatusCode::BAD_REQUEST, &format!("Bad route: {why}")),
        Refusal::Conflict(why) => text(StatusCode::CONFLICT, &why),
        Refusal::Busy(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
        Refusal::Storage(why) => text(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

#[cfg(test)]
mod tests;
