//! The endpoint that hands out credentials to containers, of ECS and of EKS Pod Identity:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::super::cloudwatch::FakeCloudWatch;
use super::super::http::{Answer, Request, Server};
use super::{Issuer, Visits, as_json, json_reply};

/// Where it has the credentials.
pub const PATH: &str = "/v2/credentials/agent";

/// A running endpoint; away when its server refuses or swallows.
pub struct FakeContainerEndpoint {
    /// Its connections, and what can happen to them.
    pub server: Server,
    /// What it hands out.
    pub issuer: Issuer,
    /// What it was asked.
    pub visits: Visits,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    authorization: Option<String>,
    failing: Option<u16>,
}

impl FakeContainerEndpoint {
    /// Asks for no authorization.
    pub fn start(service: &FakeCloudWatch) -> Self {
        let (issuer, visits) = (Issuer::new("TASK", service), Visits::default());
        let state = Arc::<Mutex<State>>::default();
        let serving = (issuer.clone(), visits.clone(), state.clone());
        let server = Server::start(move |request, _| {
            let (issuer, visits, state) = &serving;
            visits.note(request);
            answer(request, issuer, &state.lock().unwrap())
        });
        Self { server, issuer, visits, state }
    }

    /// The variable with which an agent finds it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let uri = format!("http://{}{PATH}", self.server.address());
        vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)]
    }

    /// Wants this `Authorization` from now on.
    pub fn require(&self, authorization: &str) {
        self.state.lock().unwrap().authorization = Some(authorization.to_owned());
    }

    /// Answers with an error from now on, or no longer.
    pub fn fail(&self, status: Option<u16>) {
        self.state.lock().unwrap().failing = status;
    }
}

fn answer(request: &Request, issuer: &Issuer, state: &State) -> Answer {
    let refuse = |status, code: &str| {
        Answer::Reply(json_reply(status, &json!({ "code": code, "message": code })))
    };
    if let Some(status) = state.failing {
        return refuse(status, "InternalServerError");
    }
    if request.method != "GET" || request.path() != PATH {
        return refuse(404, "NotFound");
    }
    if state.authorization.is_some()
        && request.header("authorization") != state.authorization.as_deref()
    {
        return refuse(401, "AccessDenied");
    }
    let mut body = as_json(&issuer.issue());
    body["RoleArn"] = "arn:aws:iam::123456789012:role/task".into();
    Answer::Reply(json_reply(200, &body))
}
