//! AWS Signature Version 4, both ways: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
//! Keys can be given and taken at run time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ring::{digest, hmac};

use super::super::http::Request;
use super::clock::{amz_date, parse_amz_date};
use super::contract::{Refusal, refuse};

/// How far the date of a signature may be off, in milliseconds.
const MOST_SKEW: i64 = 5 * 60 * 1000;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// The part that is sent.
    pub id: String,
    /// The part that signs.
    pub secret: String,
    /// Of temporary credentials: sent along.
    pub token: Option<String>,
    /// Milliseconds since 1970 by the service's clock.
    pub expires: Option<i64>,
}

impl AccessKey {
    /// One that does not expire.
    pub fn lasting(id: &str, secret: &str) -> Self {
        Self { id: id.to_owned(), secret: secret.to_owned(), token: None, expires: None }
    }

    /// What an agent has to be told to sign with it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("AWS_ACCESS_KEY_ID", self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
        ];
        variables.extend(self.token.clone().map(|token| ("AWS_SESSION_TOKEN", token)));
        variables
    }
}

/// The keys that a service knows; copies are the same set.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<Mutex<BTreeMap<String, AccessKey>>>);

impl Keys {
    /// Knows a key from now on.
    pub fn add(&self, key: &AccessKey) {
        self.0.lock().unwrap().insert(key.id.clone(), key.clone());
    }

    /// Knows it no longer; false if it never did.
    pub fn remove(&self, id: &str) -> bool {
        self.0.lock().unwrap().remove(id).is_some()
    }

    /// Lets a key that is known end at this time, in milliseconds since 1970.
    pub fn expire(&self, id: &str, at: i64) {
        self.0.lock().unwrap().get_mut(id).unwrap().expires = Some(at);
    }

    fn get(&self, id: &str) -> Option<AccessKey> {
        self.0.lock().unwrap().get(id).cloned()
    }
}

/// What a signature is good for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Such as `eu-central-1`.
    pub region: &'a str,
    /// Such as `logs`.
    pub service: &'a str,
}

/// The headers that sign a request, for its end: date, token if any, authorization. Signs the host
/// and every header that is given (names in lower case).
pub fn sign(
    request: &Request,
    scope: Scope<'_>,
    key: &AccessKey,
    now: i64,
) -> Vec<(String, String)> {
    let date = amz_date(now);
    let mut signed = request.clone();
    let mut added = vec![("x-amz-date".to_owned(), date.clone())];
    added.extend(key.token.clone().map(|token| ("x-amz-security-token".to_owned(), token)));
    signed.headers.extend(added.clone());
    let mut names: Vec<_> = signed.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let text = to_sign(&date, scope, &canonical(&signed, &names));
    let signature = signature(&key.secret, scope, day(&date), &text);
    let (id, Scope { region, service }) = (&key.id, scope);
    added.push((
        "authorization".to_owned(),
        format!(
            "{ALGORITHM} Credential={id}/{}/{region}/{service}/aws4_request, SignedHeaders={}, \
             Signature={signature}",
            day(&date),
            names.join(";")
        ),
    ));
    added
}

/// Checks a request's signature by the service's clock; returns the id of its key.
pub fn verify(
    request: &Request,
    scope: Scope<'_>,
    keys: &Keys,
    now: i64,
) -> Result<String, Refusal> {
    let Some(authorization) = request.header("authorization") else {
        return refuse("MissingAuthenticationTokenException", "Missing Authentication Token");
    };
    let claim = Claim::parse(authorization, request)?;
    let unknown = "The security token included in the request is invalid.";
    let Some(key) = keys.get(claim.key) else {
        return refuse("UnrecognizedClientException", unknown);
    };
    check_date(claim.date, now)?;
    check_scope(&claim, scope)?;
    check_names(&claim, request)?;
    let canonical = canonical(request, &claim.names);
    let text = to_sign(claim.date, scope, &canonical);
    if signature(&key.secret, scope, claim.day, &text) != claim.signature {
        return refuse(
            "InvalidSignatureException",
            &format!(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.\n\nThe Canonical String for this request should have \
                 been\n'{canonical}'\n\nThe String-to-Sign should have been\n'{text}'\n"
            ),
        );
    }
    if request.header("x-amz-security-token") != key.token.as_deref() {
        return refuse("UnrecognizedClientException", unknown);
    }
    if key.expires.is_some_and(|expires| expires <= now) {
        let expired = "The security token included in the request is expired";
        return refuse("ExpiredTokenException", expired);
    }
    Ok(key.id)
}

/// What an `Authorization` header says.
struct Claim<'a> {
    key: &'a str,
    day: &'a str,
    scope: [&'a str; 3],
    names: Vec<&'a str>,
    signature: &'a str,
    date: &'a str,
}

impl<'a> Claim<'a> {
    fn parse(authorization: &'a str, request: &'a Request) -> Result<Self, Refusal> {
        let incomplete = |what: &str| {
            let text = format!("Authorization header requires '{what}'. {authorization}");
            Refusal::new(400, "IncompleteSignatureException", &text)
        };
        let rest = authorization.strip_prefix(ALGORITHM).ok_or_else(|| incomplete(ALGORITHM))?;
        let part = |name: &str| {
            let parts = rest.split(',').filter_map(|part| part.trim().split_once('='));
            let mut named = parts.filter(|(own, _)| *own == name);
            named.next().map(|(_, value)| value).ok_or_else(|| incomplete(name))
        };
        let credential: Vec<_> = part("Credential")?.split('/').collect();
        let [key, day, region, service, end] = credential[..] else {
            return Err(incomplete("Credential"));
        };
        let date = request.header("x-amz-date").ok_or_else(|| incomplete("X-Amz-Date"))?;
        let names = part("SignedHeaders")?.split(';').collect();
        let scope = [region, service, end];
        Ok(Self { key, day, scope, names, signature: part("Signature")?, date })
    }
}

fn check_date(date: &str, now: i64) -> Result<(), Refusal> {
    let Some(at) = parse_amz_date(date) else {
        let text = format!("Date must be in ISO-8601 'basic format'. Got '{date}'.");
        return refuse("IncompleteSignatureException", &text);
    };
    let today = amz_date(now);
    let text = if at < now - MOST_SKEW {
        let bound = amz_date(now - MOST_SKEW);
        format!("Signature expired: {date} is now earlier than {bound} ({today} - 5 min.)")
    } else if at > now + MOST_SKEW {
        let bound = amz_date(now + MOST_SKEW);
        format!("Signature not yet current: {date} is still later than {bound} ({today} + 5 min.)")
    } else {
        return Ok(());
    };
    refuse("InvalidSignatureException", &text)
}

fn check_scope(claim: &Claim<'_>, scope: Scope<'_>) -> Result<(), Refusal> {
    let wanted = [scope.region, scope.service, "aws4_request"];
    let text = if claim.scope != wanted {
        format!("Credential should be scoped to {wanted:?}, not to {:?}.", claim.scope)
    } else if Some(claim.day) != claim.date.get(..8) {
        format!("Date in Credential scope does not match YYYYMMDD from {}", claim.date)
    } else {
        return Ok(());
    };
    refuse("InvalidSignatureException", &text)
}

fn day(date: &str) -> &str {
    date.get(..8).unwrap()
}

// The host and all of AWS's own headers must be signed, in order, and be there.
fn check_names(claim: &Claim<'_>, request: &Request) -> Result<(), Refusal> {
    let own = request.headers.iter().map(|(name, _)| name.as_str());
    let needed = own.filter(|name| name.starts_with("x-amz-")).chain(["host"]);
    for name in needed.chain(["x-amz-date"]) {
        if !claim.names.contains(&name) {
            let text = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
            return refuse("InvalidSignatureException", &text);
        }
    }
    let absent = claim.names.iter().find(|name| request.header(name).is_none());
    if let Some(name) = absent {
        return refuse("InvalidSignatureException", &format!("Signed header '{name}' is absent."));
    }
    if !claim.names.is_sorted() {
        return refuse("InvalidSignatureException", "SignedHeaders must be sorted.");
    }
    let hash = hex(digest::digest(&digest::SHA256, &request.body).as_ref());
    if request.header("x-amz-content-sha256").is_some_and(|claimed| claimed != hash) {
        let text = "The provided x-amz-content-sha256 does not match what was computed.";
        return refuse("InvalidSignatureException", text);
    }
    Ok(())
}

fn canonical(request: &Request, names: &[&str]) -> String {
    let mut query: Vec<_> = request.query().split('&').collect();
    query.sort_unstable();
    let mut text = format!("{}\n{}\n{}\n", request.method, request.path(), query.join("&"));
    for name in names {
        let own = request.headers.iter().filter(|(own, _)| own == name);
        let values: Vec<_> = own.map(|(_, value)| single_spaced(value)).collect();
        text += &format!("{name}:{}\n", values.join(","));
    }
    let hash = hex(digest::digest(&digest::SHA256, &request.body).as_ref());
    text + "\n" + &names.join(";") + "\n" + &hash
}

fn single_spaced(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn to_sign(date: &str, Scope { region, service }: Scope<'_>, canonical: &str) -> String {
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    format!("{ALGORITHM}\n{date}\n{}/{region}/{service}/aws4_request\n{hash}", day(date))
}

fn signature(secret: &str, scope: Scope<'_>, day: &str, text: &str) -> String {
    let step = |key: &[u8], data: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, data.as_bytes()).as_ref().to_vec()
    };
    let key = step(format!("AWS4{secret}").as_bytes(), day);
    let key = step(&step(&step(&key, scope.region), scope.service), "aws4_request");
    hex(&step(&key, text))
}

/// In lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
