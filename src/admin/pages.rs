//! What the pages say. Reads the series that are shown, so that a page and a graph cannot
//! disagree.

use hyper::header::HeaderMap;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::access::Token;
use super::body::{JSON, Reply, TEXT, not_allowed, reply, unauthorized};
use crate::metrics::{DestinationMetrics, Metrics};
use crate::shutdown::{Stop, Tasks};

/// What the pages are made from.
#[derive(Debug)]
pub struct Pages {
    /// All series.
    pub metrics: Metrics,
    /// Whether the agent is ending.
    pub stop: Stop,
    /// The tasks of the sources: none is left once they have ended.
    pub sources: Tasks,
    /// The deliveries, one for each destination.
    pub deliveries: Tasks,
    /// What `/metrics` asks for as a bearer token (RFC 6750); `None` for nothing.
    pub token: Option<Token>,
}

impl Pages {
    /// The reply to a request.
    pub(super) fn reply(&self, method: &Method, path: &str, headers: &HeaderMap) -> Reply {
        // logspout answers any method here.
        if path == "/health" {
            return self.healthy();
        }
        if method != Method::GET {
            return not_allowed("GET");
        }
        match path {
            "/metrics" if !self.admits(headers) => {
                unauthorized("/metrics", "DOWNSPOUT_METRICS_TOKEN")
            }
            "/metrics" => reply(StatusCode::OK, prometheus::TEXT_FORMAT, self.metrics.render()),
            "/livez" => self.alive(),
            "/readyz" => self.ready(),
            _ => reply(
                StatusCode::NOT_FOUND,
                TEXT,
                "/livez /readyz /health /metrics /logs /routes\n",
            ),
        }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        self.token.as_ref().is_none_or(|token| token.admits(headers))
    }

    /// Alive is who would not do better after a restart: what is down outside is no reason.
    fn alive(&self) -> Reply {
        let mut reasons = Vec::new();
        let destinations = self.metrics.destinations().len();
        if !self.stop.is_draining() {
            let ended = destinations.saturating_sub(self.deliveries.alive());
            if ended > 0 {
                reasons.push(format!(
                    "{ended} of {destinations} deliveries have ended by a bug; the log has it"
                ));
            }
            if self.sources.alive() == 0 {
                reasons.push("nothing reads logs any more; the log has the reason".to_owned());
            }
        }
        let alive = reasons.is_empty();
        judged(alive, &json!({ "alive": alive, "reasons": reasons }))
    }

    /// What `/readyz` says, in the words of logspout.
    fn healthy(&self) -> Reply {
        self.metrics.look();
        let reasons = self.unready();
        if reasons.is_empty() {
            return reply(StatusCode::OK, TEXT, "Healthy!\n");
        }
        reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, reasons.join("\n") + "\n")
    }

    /// Why it is not ready.
    fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stop.is_draining() {
            reasons.push("the agent is stopping".to_owned());
        }
        if !self.is_source_up() {
            reasons.push("source: Docker, or the input, cannot be read".to_owned());
        }
        for (name, destination) in &self.metrics.destinations() {
            if destination.required.get() == 1 {
                reasons.extend(trouble(destination).map(|why| format!("{name}: {why}")));
            }
        }
        reasons
    }

    fn is_source_up(&self) -> bool {
        self.metrics.source().source_up.get() == 1
    }

    /// Ready is who reads logs and delivers them to every destination that is required.
    fn ready(&self) -> Reply {
        self.metrics.look();
        let reasons = self.unready();
        let destinations = self.metrics.destinations();
        let destinations: Vec<Value> =
            destinations.iter().map(|(name, destination)| shown(name, destination)).collect();
        let ready = reasons.is_empty();
        let body = json!({
            "ready": ready,
            "reasons": reasons,
            "source": { "up": self.is_source_up() },
            "destinations": destinations,
        });
        judged(ready, &body)
    }
}

fn trouble(destination: &DestinationMetrics) -> Option<String> {
    let pause = destination.backoff.get();
    if destination.up.get() == 0 && pause > 0.0 {
        Some(format!("not connected; trying every {pause:.1} s or so"))
    } else if destination.up.get() == 0 {
        Some("not connected".to_owned())
    } else if destination.stalled.get() == 1 {
        Some("connected, and acknowledges nothing".to_owned())
    } else {
        None
    }
}

fn shown(name: &str, destination: &DestinationMetrics) -> Value {
    json!({
        "name": name,
        "required": destination.required.get() == 1,
        "up": destination.up.get() == 1,
        "stalled": destination.stalled.get() == 1,
        "delivery_lag_seconds": destination.delivery_lag.get(),
        "source_lag_seconds": destination.source_lag.get(),
        "lines_in_flight": destination.lines_in_flight(),
    })
}

fn judged(good: bool, body: &Value) -> Reply {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply(status, JSON, format!("{body}\n"))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hyper::header::{AUTHORIZATION, HeaderValue};

    use super::*;

    struct Site {
        pages: Pages,
    }

    impl Site {
        fn new(token: Option<&str>) -> Self {
            let metrics = Metrics::new();
            let tasks = || Tasks::new(metrics.tasks().clone());
            let (sources, deliveries) = (tasks(), tasks());
            sources.spawn("source", std::future::pending());
            let token = token.map(|token| Token::new(token.to_owned()));
            Self { pages: Pages { metrics, stop: Stop::new(), sources, deliveries, token } }
        }

        fn destination(&self, name: &str) -> DestinationMetrics {
            let destination = self.pages.metrics.destination(name);
            destination.required.set(1);
            self.pages.deliveries.spawn("deliver", std::future::pending());
            destination
        }

        async fn get(&self, path: &str) -> (u16, String) {
            let reply = self.pages.reply(&Method::GET, path, &HeaderMap::new());
            let status = reply.status().as_u16();
            let body = reply.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        }
    }

    #[tokio::test]
    async fn only_the_documented_paths_and_methods_answer() {
        let site = Site::new(None);
        let status =
            |method, path| site.pages.reply(&method, path, &HeaderMap::new()).status().as_u16();
        assert_eq!(status(Method::GET, "/livez"), 200);
        assert_eq!(status(Method::GET, "/metrics"), 200);
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
            assert_eq!(status(method, "/metrics"), 405);
        }
        let refusal = site.pages.reply(&Method::PUT, "/livez", &HeaderMap::new());
        assert_eq!(refusal.headers()["allow"], "GET");
        for method in [Method::POST, Method::HEAD, Method::DELETE] {
            assert_eq!(status(method, "/health"), 503, "any method, as in logspout");
        }
        assert_eq!(status(Method::GET, "/"), 404);
        assert_eq!(status(Method::GET, "/metrics/"), 404);
    }

    #[tokio::test]
    async fn ready_means_that_all_that_is_required_is_there_and_works() {
        let site = Site::new(None);
        let required = site.destination("a://one");
        let other = site.destination("b://two");
        other.required.set(0);
        let source = site.pages.metrics.source().source_up.clone();
        assert_eq!(site.get("/readyz").await.0, 503);
        required.up.set(1);
        let (status, body) = site.get("/readyz").await;
        assert!(status == 503 && body.contains(r#""reasons":["source: Docker"#), "{body}");
        source.set(1);
        let (status, body) = site.get("/readyz").await;
        assert!(status == 200 && body.contains(r#""ready":true"#), "{body}");
        assert_eq!(site.get("/health").await, (200, "Healthy!\n".into()));
        assert!(body.contains(r#""name":"b://two","required":false"#), "{body}");
        required.stalled.set(1);
        let (status, body) = site.get("/readyz").await;
        assert!(status == 503 && body.contains("a://one: connected, and acknowledges"), "{body}");
        required.up.set(0);
        required.backoff.set(2.5);
        let (_, body) = site.get("/readyz").await;
        assert!(body.contains("a://one: not connected; trying every 2.5 s"), "{body}");
        source.set(0);
        let why = "source: Docker, or the input, cannot be read\n\
                   a://one: not connected; trying every 2.5 s or so\n";
        assert_eq!(site.get("/health").await, (503, why.into()), "the true state, a line each");
        source.set(1);
        required.up.set(1);
        required.stalled.set(0);
        site.pages.stop.drain();
        let (status, body) = site.get("/readyz").await;
        assert!(status == 503 && body.contains("the agent is stopping"), "{body}");
    }

    #[tokio::test]
    async fn alive_is_who_reads_and_delivers_whatever_is_down() {
        let site = Site::new(None);
        site.destination("a://down");
        assert_eq!(site.get("/livez").await, (200, "{\"alive\":true,\"reasons\":[]}\n".into()));
        site.pages.metrics.destination("b://ended");
        let (status, body) = site.get("/livez").await;
        assert!(status == 503 && body.contains("1 of 2 deliveries have ended"), "{body}");
        site.pages.stop.drain();
        assert_eq!(site.get("/livez").await.0, 200, "ending is in order");
    }

    #[tokio::test]
    async fn a_token_is_asked_for_where_one_is_set_and_only_for_the_numbers() {
        let site = Site::new(Some("s3cret"));
        let with = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            site.pages.reply(&Method::GET, "/metrics", &headers).status().as_u16()
        };
        assert_eq!(site.get("/metrics").await.0, 401);
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer t3cret", "Basic s3cret", "s3cret"] {
            assert_eq!(with(wrong), 401, "{wrong}");
        }
        assert_eq!(with("Bearer s3cret"), 200);
        assert_eq!(site.get("/livez").await.0, 200);
    }
}
