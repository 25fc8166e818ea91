//! The Security Token Service, as far as agents need it: `AssumeRole` and
//! `AssumeRoleWithWebIdentity` of <https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html>.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::super::cloudwatch::clock::{Clock, http_date, rfc3339};
use super::super::cloudwatch::contract::Refusal;
use super::super::cloudwatch::signature::{AccessKey, Keys, Scope, verify};
use super::super::cloudwatch::{FakeCloudWatch, REGION};
use super::super::http::{Answer, Reply, Request, Server};
use super::{Issuer, Visits};

const VERSION: &str = "2011-06-15";

/// Who may become what.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The role's ARN.
    pub role: String,
    /// What `AssumeRole` has to say beside it.
    pub external_id: Option<String>,
    /// The token that `AssumeRoleWithWebIdentity` has to bring.
    pub web_token: Option<String>,
}

/// A running service; away when its server refuses or swallows.
pub struct FakeSts {
    /// Its connections, and what can happen to them.
    pub server: Server,
    /// What it hands out.
    pub issuer: Issuer,
    /// The fields of each request that it got.
    pub requests: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
    /// What it was asked.
    pub visits: Visits,
    /// The keys that may sign `AssumeRole`: at first `FakeSts::base_key`, which the Logs service
    /// does not know.
    pub keys: Keys,
    trust: Arc<Mutex<Trust>>,
}

struct Shared {
    issuer: Issuer,
    clock: Clock,
    keys: Keys,
    trust: Arc<Mutex<Trust>>,
}

impl FakeSts {
    /// With one role.
    pub fn start(service: &FakeCloudWatch, trust: Trust) -> Self {
        let (issuer, visits) = (Issuer::new("ROLE", service), Visits::default());
        let (keys, trust) = (Keys::default(), Arc::new(Mutex::new(trust)));
        keys.add(&Self::base_key());
        let shared = Shared {
            issuer: issuer.clone(),
            clock: service.clock.clone(),
            keys: keys.clone(),
            trust: trust.clone(),
        };
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let serving = (visits.clone(), requests.clone());
        let server = Server::start(move |request, _| {
            let (visits, requests) = &serving;
            visits.note(request);
            let fields = form(&request.body);
            requests.lock().unwrap().push(fields.clone());
            let reply = shared.answer(request, &fields).unwrap_or_else(|refusal| error(&refusal));
            Answer::Reply(reply.header("Date", http_date(shared.clock.now())))
        });
        Self { server, issuer, requests, visits, keys, trust }
    }

    /// The key that may assume the role at first.
    pub fn base_key() -> AccessKey {
        AccessKey::lasting("AKIADOWNSPOUTBASE001", "base/secret/of/the/agent")
    }

    /// The variables with which an agent finds it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("AWS_ENDPOINT_URL_STS", format!("http://{}", self.server.address()))]
    }

    /// Changes who may become what.
    pub fn set_trust(&self, trust: Trust) {
        *self.trust.lock().unwrap() = trust;
    }
}

impl Shared {
    fn answer(
        &self,
        request: &Request,
        fields: &BTreeMap<String, String>,
    ) -> Result<Reply, Refusal> {
        let field = |name: &str| fields.get(name).map(String::as_str);
        if request.method != "POST" || request.path() != "/" || field("Version") != Some(VERSION) {
            return Err(Refusal::new(400, "InvalidAction", "Could not find operation"));
        }
        let trust = self.trust.lock().unwrap().clone();
        let needed = |name: &str| {
            let text = format!("1 validation error detected: Value null at '{name}'");
            let value = field(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| Refusal::new(400, "ValidationError", &text))
        };
        let denied = Refusal::new(403, "AccessDenied", "User is not authorized to assume the role");
        let action = needed("Action")?;
        match action {
            "AssumeRole" => {
                let scope = Scope { region: REGION, service: "sts" };
                verify(request, scope, &self.keys, self.clock.now())
                    .map_err(|refusal| as_query_error(&refusal))?;
                let is_known = trust.external_id.is_none()
                    || field("ExternalId") == trust.external_id.as_deref();
                if !is_known || needed("RoleArn")? != trust.role {
                    return Err(denied);
                }
            }
            "AssumeRoleWithWebIdentity" => {
                if Some(needed("WebIdentityToken")?) != trust.web_token.as_deref() {
                    let text = "No OpenIDConnect provider found in your account";
                    return Err(Refusal::new(400, "InvalidIdentityToken", text));
                }
                if needed("RoleArn")? != trust.role {
                    return Err(denied);
                }
            }
            _ => return Err(Refusal::new(400, "InvalidAction", "Could not find operation")),
        }
        let session = needed("RoleSessionName")?;
        let legal = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=64).contains(&session.len()) || !session.chars().all(legal) {
            let text = "1 validation error detected: Value at 'roleSessionName' is not legal";
            return Err(Refusal::new(400, "ValidationError", text));
        }
        Ok(success(action, &trust.role, session, &self.issuer.issue()))
    }
}

// The query protocol has codes of its own for what is wrong with a signature.
fn as_query_error(refusal: &Refusal) -> Refusal {
    let code = match refusal.code.as_str() {
        "UnrecognizedClientException" => "InvalidClientTokenId",
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
        "ExpiredTokenException" => "ExpiredToken",
        _ => "IncompleteSignature",
    };
    Refusal::new(403, code, &refusal.message)
}

fn success(action: &str, role: &str, session: &str, key: &AccessKey) -> Reply {
    let AccessKey { id, secret, token, expires } = key;
    let (token, expires) = (token.as_deref().unwrap_or_default(), expires.unwrap_or_default());
    let user = role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/");
    let expires = rfc3339(expires);
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/{VERSION}/\"><{action}Result>\
         <AssumedRoleUser><Arn>{user}/{session}</Arn>\
         <AssumedRoleId>AROAFAKE:{session}</AssumedRoleId></AssumedRoleUser>\
         <Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
         <SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials>\
         </{action}Result><ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata>\
         </{action}Response>"
    );
    Reply::new(200, "text/xml", body)
}

fn error(refusal: &Refusal) -> Reply {
    let Refusal { status, code, message } = refusal;
    let message = message.replace('&', "&amp;").replace('<', "&lt;");
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/{VERSION}/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>fake</RequestId></ErrorResponse>"
    );
    Reply::new(*status, "text/xml", body)
}

// application/x-www-form-urlencoded.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let pairs = body.split(|byte| *byte == b'&').map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=').map(decoded);
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    });
    pairs.collect()
}

fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        let escaped = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (byte, escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
