//! The services that hand out credentials; what they hand out is tried on the Logs service.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::{request, service};
use crate::support::SOON;
use crate::support::aws_identity::container::{FakeContainerEndpoint, PATH};
use crate::support::aws_identity::metadata::{FakeMetadata, INSTANCE, ROLE, Setup};
use crate::support::aws_identity::sts::{FakeSts, Trust};
use crate::support::cloudwatch::REGION;
use crate::support::cloudwatch::client::{SignedClient, exchange, named};
use crate::support::cloudwatch::clock::{Clock, rfc3339};
use crate::support::cloudwatch::signature::{AccessKey, Keys, Scope, sign};
use crate::support::http::{Reply, Request};

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

fn ask(address: SocketAddr, request: &Request) -> std::io::Result<Reply> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    exchange(&stream, request)
}

fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let reply = ask(address, &request("GET", path, headers, "")).unwrap();
    (reply.status, String::from_utf8(reply.body).unwrap())
}

// The key in a reply's JSON.
fn key(body: &str) -> AccessKey {
    let body: Value = serde_json::from_str(body).unwrap();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    let key = AccessKey::lasting(&text("AccessKeyId"), &text("SecretAccessKey"));
    AccessKey { token: Some(text("Token")), ..key }
}

fn code(client: &mut SignedClient) -> String {
    client.put("g", "s", &[(0, "x")]).err().unwrap_or_default()
}

// A token of the metadata service, for so many seconds.
fn token(address: SocketAddr, ttl: &str) -> Reply {
    let headers = [("x-aws-ec2-metadata-token-ttl-seconds", ttl)];
    ask(address, &request("PUT", "/latest/api/token", &headers, "")).unwrap()
}

#[test]
fn the_metadata_service_gives_credentials_for_a_token() {
    let (service, mut client) = service();
    let metadata = FakeMetadata::start(&service);
    let address = metadata.server.address();
    let reply = token(address, "21600");
    assert_eq!(named(&reply, "x-aws-ec2-metadata-token-ttl-seconds"), Some("21600"));
    let given = String::from_utf8(reply.body).unwrap();
    let with = [("x-aws-ec2-metadata-token", given.as_str())];
    assert_eq!(get(address, ROLES, &with), (200, ROLE.to_owned()));
    assert_eq!(get(address, "/latest/meta-data/instance-id", &with), (200, INSTANCE.to_owned()));
    let region = get(address, "/latest/meta-data/placement/region", &with);
    assert_eq!(region, (200, REGION.to_owned()));
    assert_eq!(get(address, "/latest/meta-data/other", &with).0, 404);
    metadata.issuer.set_lifetime(Duration::from_mins(2));
    let (status, body) = get(address, &format!("{ROLES}{ROLE}"), &with);
    let issued = metadata.issuer.issued();
    assert_eq!((status, issued.len()), (200, 1));
    let expires = rfc3339(issued[0].expires.unwrap());
    assert!(body.contains(&format!("\"Expiration\":\"{expires}\"")), "{body}");
    assert!(body.contains(r#""Code":"Success""#), "{body}");
    client.key = key(&body);
    assert_eq!(code(&mut client), "", "good for the Logs service at once");
    service.clock.set_ahead(121_000);
    assert_eq!(code(&mut client), "ExpiredTokenException", "and until they end");
    metadata.issuer.repeat(true);
    assert_eq!(key(&get(address, &format!("{ROLES}{ROLE}"), &with).1), client.key);
    metadata.issuer.repeat(false);
    client.key = key(&get(address, &format!("{ROLES}{ROLE}"), &with).1);
    assert_eq!(code(&mut client), "");
    assert_eq!(metadata.visits.count("PUT /latest/api/token"), 1);
    assert_eq!(metadata.visits.count(&format!("GET {ROLES}{ROLE}")), 3);
    assert_eq!(metadata.visits.all().len(), 8);
}

#[test]
fn the_metadata_service_is_as_strict_and_as_silent_as_it_is_set_up() {
    let (service, _client) = service();
    let metadata = FakeMetadata::start(&service);
    let address = metadata.server.address();
    assert_eq!(get(address, ROLES, &[]).0, 401, "version 1");
    assert_eq!(get(address, ROLES, &[("x-aws-ec2-metadata-token", "made up")]).0, 401);
    for ttl in ["", "0", "21601", "long"] {
        assert_eq!(token(address, ttl).status, 400);
    }
    let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
    let forwarded = [ttl, ("x-forwarded-for", "10.0.0.1")];
    let forwarded = request("PUT", "/latest/api/token", &forwarded, "");
    assert_eq!(ask(address, &forwarded).unwrap().status, 403);
    assert_eq!(ask(address, &request("PUT", "/other", &[ttl], "")).unwrap().status, 404);
    assert_eq!(ask(address, &request("POST", ROLES, &[], "")).unwrap().status, 405);
    let given = String::from_utf8(token(address, "60").body).unwrap();
    let with = [("x-aws-ec2-metadata-token", given.as_str())];
    metadata.set_up(Setup::NoRole);
    assert_eq!(get(address, ROLES, &with).0, 404);
    metadata.set_up(Setup::TokensOptional);
    assert_eq!(get(address, ROLES, &[]).0, 200);
    metadata.set_up(Setup::TokensRequired);
    metadata.forget_tokens();
    assert_eq!(get(address, ROLES, &with).0, 401);
    metadata.set_up(Setup::HopLimit);
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let silent = exchange(&stream, &request("PUT", "/latest/api/token", &[ttl], ""));
    assert_eq!(silent.unwrap_err().kind(), ErrorKind::WouldBlock, "the answer never comes");
    metadata.server.refuse();
    let away = ask(address, &request("GET", ROLES, &[], "")).unwrap_err();
    assert_eq!(away.kind(), ErrorKind::ConnectionRefused);
    metadata.server.accept_again();
    metadata.set_up(Setup::TokensRequired);
    assert_eq!(token(address, "60").status, 200);
    let names: Vec<_> = metadata.environment().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED"]);
    assert_eq!(metadata.environment()[0].1, format!("http://{address}"));
}

#[test]
fn the_endpoint_of_containers_wants_its_token() {
    let (service, mut client) = service();
    let endpoint = FakeContainerEndpoint::start(&service);
    let address = endpoint.server.address();
    let uri = format!("http://{address}{PATH}");
    assert_eq!(endpoint.environment(), [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)]);
    client.key = key(&get(address, PATH, &[]).1);
    assert_eq!(code(&mut client), "");
    endpoint.require("first");
    assert_eq!(get(address, PATH, &[]).0, 401);
    assert_eq!(get(address, PATH, &[("authorization", "first")]).0, 200);
    endpoint.require("second");
    assert_eq!(get(address, PATH, &[("authorization", "first")]).0, 401);
    let (status, body) = get(address, PATH, &[("authorization", "second")]);
    assert_eq!(status, 200);
    assert_ne!(key(&body), client.key, "new ones each time");
    client.key = key(&body);
    assert_eq!(code(&mut client), "");
    endpoint.fail(Some(500));
    assert_eq!(get(address, PATH, &[("authorization", "second")]).0, 500);
    endpoint.fail(None);
    assert_eq!(get(address, "/other", &[]).0, 404);
    assert_eq!((endpoint.visits.count("GET "), endpoint.issuer.issued().len()), (7, 3));
}

fn assume(sts: &FakeSts, signer: &AccessKey, form: &str) -> (u16, String) {
    let address = sts.server.address();
    let host = address.to_string();
    let headers = [("host", host.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let mut request = request("POST", "/", &headers, form);
    if !signer.id.is_empty() {
        let scope = Scope { region: REGION, service: "sts" };
        let added = sign(&request, scope, signer, Clock::default().now());
        request.headers.extend(added);
    }
    let reply = ask(address, &request).unwrap();
    (reply.status, String::from_utf8(reply.body).unwrap())
}

// The key in STS's XML, or the error's code.
fn assumed(reply: &(u16, String)) -> Result<AccessKey, String> {
    let text = |name: &str| {
        let (_, rest) = reply.1.split_once(&format!("<{name}>")).unwrap();
        rest.split_once("</").unwrap().0.to_owned()
    };
    if reply.0 != 200 {
        return Err(text("Code"));
    }
    let key = AccessKey::lasting(&text("AccessKeyId"), &text("SecretAccessKey"));
    assert!(text("Expiration").ends_with('Z'));
    Ok(AccessKey { token: Some(text("SessionToken")), ..key })
}

fn trust() -> Trust {
    Trust {
        role: "arn:aws:iam::123456789012:role/logs".to_owned(),
        external_id: Some("a b/c".to_owned()),
        web_token: Some("header.payload.signature".to_owned()),
    }
}

const ROLE_ARN: &str = "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Flogs";
const START: &str = "Version=2011-06-15&RoleSessionName=agent";

#[test]
fn a_role_is_assumed_by_who_signs_and_knows_the_external_id() {
    let (service, mut client) = service();
    let sts = FakeSts::start(&service, trust());
    let base = FakeSts::base_key();
    let form = format!("Action=AssumeRole&{START}&{ROLE_ARN}&ExternalId=a+b%2Fc");
    client.key = base.clone();
    assert_eq!(code(&mut client), "UnrecognizedClientException", "the base key is not enough");
    let reply = assume(&sts, &base, &form);
    assert!(reply.1.contains("assumed-role/logs/agent"), "{}", reply.1);
    client.key = assumed(&reply).unwrap();
    assert_eq!(code(&mut client), "");
    let refused = |key: &AccessKey, form: &str| assumed(&assume(&sts, key, form)).unwrap_err();
    let unsigned = AccessKey::lasting("", "");
    assert_eq!(refused(&unsigned, &form), "MissingAuthenticationToken");
    let stranger = AccessKey::lasting("AKIASTRANGER", "secret");
    assert_eq!(refused(&stranger, &form), "InvalidClientTokenId");
    let forger = AccessKey { secret: "guessed".to_owned(), ..base.clone() };
    assert_eq!(refused(&forger, &form), "SignatureDoesNotMatch");
    assert_eq!(refused(&base, &form.replace("a+b", "a")), "AccessDenied");
    assert_eq!(refused(&base, &form.replace("role%2Flogs", "role%2Fother")), "AccessDenied");
    assert_eq!(refused(&base, &form.replace("RoleSessionName=agent", "A=b")), "ValidationError");
    assert_eq!(refused(&base, &form.replace("=agent", "=an+agent")), "ValidationError");
    assert_eq!(refused(&base, &form.replace("2011-06-15", "2010-01-01")), "InvalidAction");
    assert_eq!(refused(&base, &form.replace("AssumeRole", "AssumeAll")), "InvalidAction");
    sts.keys.expire(&base.id, service.clock.now() - 1);
    assert_eq!(refused(&base, &form), "ExpiredToken");
    assert!(sts.keys.remove(&base.id));
    assert_eq!(refused(&base, &form), "InvalidClientTokenId", "rotated");
    assert_eq!(sts.requests.lock().unwrap()[0]["ExternalId"], "a b/c");
    assert_eq!((sts.visits.count("POST /"), sts.issuer.issued().len()), (12, 1));
    let metadata = FakeMetadata::start(&service);
    metadata.issuer.register_with(&sts.keys);
    metadata.set_up(Setup::TokensOptional);
    let base = key(&get(metadata.server.address(), &format!("{ROLES}{ROLE}"), &[]).1);
    assert!(assumed(&assume(&sts, &base, &form)).is_ok(), "an instance assumes a role");
}

#[test]
fn a_role_is_assumed_with_the_token_of_another_identity_without_a_signature() {
    let (service, mut client) = service();
    let sts = FakeSts::start(&service, trust());
    let unsigned = AccessKey::lasting("", "");
    let form = format!(
        "Action=AssumeRoleWithWebIdentity&{START}&{ROLE_ARN}&WebIdentityToken=header.payload.signature"
    );
    client.key = assumed(&assume(&sts, &unsigned, &form)).unwrap();
    assert_eq!(code(&mut client), "");
    sts.set_trust(Trust { web_token: Some("rotated".to_owned()), ..trust() });
    let stale = assumed(&assume(&sts, &unsigned, &form));
    assert_eq!(stale, Err("InvalidIdentityToken".to_owned()));
    let fresh = form.replace("header.payload.signature", "rotated");
    assert!(assumed(&assume(&sts, &unsigned, &fresh)).is_ok());
    let other = fresh.replace("role%2Flogs", "role%2Fother");
    assert_eq!(assumed(&assume(&sts, &unsigned, &other)), Err("AccessDenied".to_owned()));
    let endpoint = format!("http://{}", sts.server.address());
    assert_eq!(sts.environment(), [("AWS_ENDPOINT_URL_STS", endpoint)]);
    let elsewhere = Keys::default();
    sts.issuer.register_with(&elsewhere);
    let last = assumed(&assume(&sts, &unsigned, &fresh)).unwrap();
    assert!(elsewhere.remove(&last.id));
}
