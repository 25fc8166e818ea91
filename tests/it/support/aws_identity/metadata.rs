//! The instance metadata service: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::cloudwatch::{FakeCloudWatch, REGION};
use super::super::http::{Answer, Client, Reply, Request, Server};
use super::super::receiver::Close;
use super::{Issuer, Visits, as_json, json_reply, text_reply};

/// The role of the instance.
pub const ROLE: &str = "instance-role";
/// The instance.
pub const INSTANCE: &str = "i-0123456789abcdef0";
/// The longest that a token may be asked for, in seconds.
const MOST_TTL: u64 = 21_600;
const ROLES: &str = "/latest/meta-data/iam/security-credentials";

/// How an instance is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setup {
    /// Version 2 only: requests without a token are refused.
    #[default]
    TokensRequired,
    /// Version 1 as well.
    TokensOptional,
    /// A container one hop too far away: the reply to the request for a token never comes.
    HopLimit,
    /// Without a role.
    NoRole,
}

/// A running service; away when its server refuses or swallows.
pub struct FakeMetadata {
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
    setup: Setup,
    tokens: BTreeMap<String, Instant>,
    given: usize,
}

impl FakeMetadata {
    /// Of an instance that requires tokens.
    pub fn start(service: &FakeCloudWatch) -> Self {
        let (issuer, visits) = (Issuer::new("IMDS", service), Visits::default());
        let state = Arc::<Mutex<State>>::default();
        let serving = (issuer.clone(), visits.clone(), state.clone());
        let server = Server::start(move |request, client| {
            let (issuer, visits, state) = &serving;
            visits.note(request);
            answer(request, client, issuer, state)
        });
        Self { server, issuer, visits, state }
    }

    /// The variables with which an agent finds it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://{}", self.server.address());
        vec![
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint),
            ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
        ]
    }

    /// Sets the instance up differently from now on.
    pub fn set_up(&self, setup: Setup) {
        self.state.lock().unwrap().setup = setup;
    }

    /// Takes no token any more that it gave so far.
    pub fn forget_tokens(&self) {
        self.state.lock().unwrap().tokens.clear();
    }
}

fn answer(request: &Request, client: &Client<'_>, issuer: &Issuer, state: &Mutex<State>) -> Answer {
    let setup = state.lock().unwrap().setup;
    if request.method == "PUT" {
        if setup == Setup::HopLimit {
            client.wait(|| false);
            return Answer::End(Close::Fin);
        }
        return Answer::Reply(state.lock().unwrap().token(request));
    }
    if request.method != "GET" {
        return Answer::Reply(text_reply(405, ""));
    }
    if !state.lock().unwrap().allows(request) {
        return Answer::Reply(text_reply(401, ""));
    }
    let has_role = setup != Setup::NoRole;
    Answer::Reply(match request.path() {
        "/latest/meta-data/instance-id" => text_reply(200, INSTANCE),
        "/latest/meta-data/placement/region" => text_reply(200, REGION),
        path => match path.strip_prefix(ROLES).map(|rest| rest.trim_matches('/')) {
            Some("") if has_role => text_reply(200, ROLE),
            Some(ROLE) if has_role => credentials(issuer),
            _ => text_reply(404, ""),
        },
    })
}

fn credentials(issuer: &Issuer) -> Reply {
    let mut body = as_json(&issuer.issue());
    body["Code"] = "Success".into();
    body["Type"] = "AWS-HMAC".into();
    body["LastUpdated"] = "2026-01-01T00:00:00Z".into();
    json_reply(200, &body)
}

impl State {
    fn token(&mut self, request: &Request) -> Reply {
        let ttl = request.header("x-aws-ec2-metadata-token-ttl-seconds");
        let ttl = ttl.and_then(|text| text.parse().ok()).filter(|ttl| (1..=MOST_TTL).contains(ttl));
        let Some(ttl) = ttl else {
            return text_reply(400, "");
        };
        if request.path() != "/latest/api/token" {
            return text_reply(404, "");
        }
        if request.header("x-forwarded-for").is_some() {
            return text_reply(403, "");
        }
        self.given += 1;
        let token = format!("AQAEAHfake{}==", self.given);
        self.tokens.insert(token.clone(), Instant::now() + Duration::from_secs(ttl));
        let reply = text_reply(200, &token);
        reply.header("X-aws-ec2-metadata-token-ttl-seconds", ttl.to_string())
    }

    fn allows(&self, request: &Request) -> bool {
        match request.header("x-aws-ec2-metadata-token") {
            Some(token) => self.tokens.get(token).is_some_and(|end| *end > Instant::now()),
            None => self.setup == Setup::TokensOptional,
        }
    }
}
