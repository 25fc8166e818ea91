//! Which page answers a request. Never answers one itself.

use hyper::Request;
use hyper::body::Incoming;

use super::body::Reply;
use super::connection::Connection;
use super::logs::{self, LiveTails};
use super::pages::Pages;
use super::routes::RoutesApi;

/// All that is served.
#[derive(Debug)]
pub struct Site {
    /// Health checks and numbers.
    pub pages: Pages,
    /// Live tails; `None` while they are off.
    pub tails: Option<LiveTails>,
    /// The routes.
    pub routes: RoutesApi,
}

impl Site {
    /// The reply to a request.
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        connection: &Connection,
    ) -> Reply {
        let path = request.uri().path();
        if is_below(path, "/logs") {
            logs::answer(&mut request, self.tails.as_ref(), connection).await
        } else if is_below(path, "/routes") {
            self.routes.answer(request).await
        } else {
            self.pages.reply(request.method(), path, request.headers())
        }
    }
}

fn is_below(path: &str, page: &str) -> bool {
    path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
