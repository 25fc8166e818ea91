//! The services that hand out AWS credentials: instance metadata, the endpoint of containers, and
//! STS. What they hand out is good at once for a fake CloudWatch Logs, and ends when they say.

pub mod container;
pub mod metadata;
pub mod sts;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::cloudwatch::FakeCloudWatch;
use super::cloudwatch::clock::{Clock, rfc3339};
use super::cloudwatch::signature::{AccessKey, Keys};
use super::http::{Reply, Request};

/// As long as a role's session lasts by default.
const LIFETIME: Duration = Duration::from_hours(1);

/// Makes temporary credentials, new ones each time; copies make them together.
#[derive(Debug, Clone)]
pub struct Issuer(Arc<Mutex<Issued>>);

#[derive(Debug)]
struct Issued {
    name: &'static str,
    clock: Clock,
    known_to: Vec<Keys>,
    lifetime: Duration,
    repeats: bool,
    all: Vec<AccessKey>,
}

impl Issuer {
    /// Of credentials that last an hour by the service's clock, and that the service knows. The
    /// name, four letters, is part of the keys.
    fn new(name: &'static str, service: &FakeCloudWatch) -> Self {
        Self(Arc::new(Mutex::new(Issued {
            name,
            clock: service.clock.clone(),
            known_to: vec![service.keys.clone()],
            lifetime: LIFETIME,
            repeats: false,
            all: Vec::new(),
        })))
    }

    /// Credentials that are issued from now on last so long.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.0.lock().unwrap().lifetime = lifetime;
    }

    /// Hands out the same credentials again and again, also if they have ended, as the metadata
    /// service does when it cannot get new ones.
    pub fn repeat(&self, repeats: bool) {
        self.0.lock().unwrap().repeats = repeats;
    }

    /// Somebody else knows what is issued from now on as well.
    pub fn register_with(&self, keys: &Keys) {
        self.0.lock().unwrap().known_to.push(keys.clone());
    }

    /// All that was issued, in order.
    pub fn issued(&self) -> Vec<AccessKey> {
        self.0.lock().unwrap().all.clone()
    }

    fn issue(&self) -> AccessKey {
        let mut own = self.0.lock().unwrap();
        if let Some(last) = own.all.last()
            && own.repeats
        {
            return last.clone();
        }
        let number = own.all.len() + 1;
        let lifetime = i64::try_from(own.lifetime.as_millis()).unwrap();
        let key = AccessKey {
            id: format!("ASIA{}{number:012}", own.name),
            secret: format!("secret+{number}/of/{}", own.name),
            token: Some(format!("token/{number}+of/{}==", own.name)),
            expires: Some(own.clock.now() + lifetime),
        };
        for keys in &own.known_to {
            keys.add(&key);
        }
        own.all.push(key.clone());
        key
    }
}

/// The requests that a service got: method and path with query, in order.
#[derive(Debug, Clone, Default)]
pub struct Visits(Arc<Mutex<Vec<String>>>);

impl Visits {
    fn note(&self, request: &Request) {
        self.0.lock().unwrap().push(format!("{} {}", request.method, request.target));
    }

    /// All of them.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// How many of them begin like this.
    pub fn count(&self, start: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|visit| visit.starts_with(start)).count()
    }
}

// As the endpoint of containers and the metadata service write credentials.
fn as_json(key: &AccessKey) -> Value {
    json!({
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret,
        "Token": key.token,
        "Expiration": rfc3339(key.expires.unwrap_or_default()),
    })
}

fn json_reply(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/json", body.to_string())
}

fn text_reply(status: u16, text: &str) -> Reply {
    Reply::new(status, "text/plain", text)
}
