//! Who may call, and until when.

use serde_json::json;

use super::{request, service};
use crate::support::cloudwatch::client::{SignedClient, named, read, unsigned};
use crate::support::cloudwatch::clock::{amz_date, http_date};
use crate::support::cloudwatch::script::{Fault, Operation::PutLogEvents, Rule};
use crate::support::cloudwatch::signature::{AccessKey, Keys, Scope, sign, verify};
use crate::support::cloudwatch::store::Contents;
use crate::support::cloudwatch::{FakeCloudWatch, REGION};
use crate::support::http::Request;

const MINUTE: i64 = 60_000;
/// 30 August 2015, 12:36:00, of AWS's examples.
const THEN: i64 = 1_440_938_160_000;

fn code(client: &mut SignedClient) -> String {
    client.put("g", "s", &[(0, "x")]).err().unwrap_or_default()
}

fn text(service: &FakeCloudWatch) -> String {
    service.with(|contents| {
        contents.calls.last().unwrap().outcome.clone().unwrap().message.unwrap_or_default()
    })
}

#[test]
fn only_keys_that_are_known_may_call_and_only_with_their_secret_and_token() {
    let (service, mut client) = service();
    let first = FakeCloudWatch::key();
    assert_eq!(code(&mut client), "");
    client.key.secret += "x";
    assert_eq!(code(&mut client), "InvalidSignatureException");
    assert!(text(&service).contains("does not match the signature you provided"));
    client.key = AccessKey::lasting("AKIAOTHER", &first.secret);
    assert_eq!(code(&mut client), "UnrecognizedClientException");
    let temporary = AccessKey { token: Some("token+/=".to_owned()), ..client.key.clone() };
    service.keys.add(&temporary);
    assert_eq!(code(&mut client), "UnrecognizedClientException", "without its token");
    client.key = temporary.clone();
    assert_eq!(code(&mut client), "");
    client.key.token = Some("another".to_owned());
    assert_eq!(code(&mut client), "UnrecognizedClientException");
    client.key = temporary;
    assert!(service.keys.remove(&client.key.id));
    assert_eq!(code(&mut client), "UnrecognizedClientException", "rotated");
    let keys: Vec<_> =
        service.with(|all| all.calls.iter().map(|call| call.access_key.clone().unwrap()).collect());
    assert_eq!((keys[0].as_str(), keys[2].as_str()), (first.id.as_str(), "AKIAOTHER"));
    assert_eq!(service.with(Contents::count), 2, "what is refused is not stored");
}

#[test]
fn credentials_end_by_the_clock_of_the_service() {
    let (service, mut client) = service();
    client.key.token = Some("token".to_owned());
    client.key.expires = Some(service.clock.now() + 2 * MINUTE);
    service.keys.add(&client.key);
    assert_eq!(code(&mut client), "");
    service.clock.set_ahead(3 * MINUTE);
    assert_eq!(code(&mut client), "ExpiredTokenException");
    service.clock.set_ahead(0);
    assert_eq!(code(&mut client), "");
    service.keys.expire(&client.key.id, service.clock.now() - 1);
    assert_eq!(code(&mut client), "ExpiredTokenException");
}

#[test]
fn a_clock_that_is_off_by_five_minutes_cannot_sign_and_replies_tell_the_time() {
    let (service, mut client) = service();
    for (ahead, start) in [(-20, "Signature expired: "), (20, "Signature not yet current: ")] {
        client.clock.set_ahead(ahead * MINUTE);
        assert_eq!(code(&mut client), "InvalidSignatureException");
        assert!(text(&service).starts_with(start), "{}", text(&service));
        service.clock.set_ahead(ahead * MINUTE);
        let reply = client.try_call(&PutLogEvents, &json!({})).unwrap();
        let now = service.clock.now();
        let dates = [http_date(now), http_date(now - 1000)];
        assert!(dates.iter().any(|date| named(&reply, "date") == Some(date)), "{reply:?}");
        assert_eq!(code(&mut client), "", "both clocks are off");
        service.clock.set_ahead(0);
    }
    client.clock.set_ahead(-5 * MINUTE - 10_000);
    assert_eq!(code(&mut client), "InvalidSignatureException");
    let (now, message) = (service.clock.now(), text(&service));
    let texts = [now, now - 1000].map(|now| {
        let (today, bound) = (amz_date(now), amz_date(now - 5 * MINUTE));
        format!("is now earlier than {bound} ({today} - 5 min.)")
    });
    assert!(texts.iter().any(|text| message.ends_with(text)), "{message}");
    for ahead in [-4, 4] {
        client.clock.set_ahead(ahead * MINUTE);
        assert_eq!(code(&mut client), "", "{ahead} minutes are allowed");
    }
}

#[test]
fn a_signature_covers_its_scope_the_body_and_the_headers_of_aws() {
    let (service, mut client) = service();
    let body = json!({ "logGroupName": "g", "logStreamName": "t" }).to_string();
    let bare = unsigned(service.server.address(), &PutLogEvents, body.as_bytes());
    let mut refused = |request: &Request| read(&client.send(request).unwrap()).unwrap_err();
    let key = FakeCloudWatch::key();
    let signed = |request: &Request, region: &str, name: &str| {
        let mut request = request.clone();
        let now = crate::support::cloudwatch::clock::Clock::default().now();
        let added = sign(&request, Scope { region, service: name }, &key, now);
        request.headers.extend(added);
        request
    };
    let good = signed(&bare, REGION, "logs");
    assert_eq!(refused(&good), "InvalidParameterException", "signed well, but without events");
    assert_eq!(refused(&bare), "MissingAuthenticationTokenException");
    let wrong = "InvalidSignatureException";
    assert_eq!(refused(&signed(&bare, "us-east-1", "logs")), wrong);
    assert!(text(&service).starts_with("Credential should be scoped to"));
    assert_eq!(refused(&signed(&bare, REGION, "sts")), wrong);
    let mut unsorted = good.clone();
    let authorization = &mut unsorted.headers.last_mut().unwrap().1;
    *authorization = authorization.replace("content-type;host", "host;content-type");
    assert_eq!(refused(&unsorted), wrong);
    assert_eq!(text(&service), "SignedHeaders must be sorted.");
    let mut tampered = good.clone();
    tampered.body.push(b' ');
    assert_eq!(refused(&tampered), wrong);
    let mut retargeted = good.clone();
    retargeted.headers[2].1 = "Logs_20140328.CreateLogStream".to_owned();
    assert_eq!(refused(&retargeted), wrong);
    let mut added = good.clone();
    added.headers.push(("x-amz-later".to_owned(), "1".to_owned()));
    assert_eq!(refused(&added), wrong, "AWS's own headers must be signed");
    let mut hostless = bare.clone();
    hostless.headers.remove(0);
    let mut hostless = signed(&hostless, REGION, "logs");
    hostless.headers.push(bare.headers[0].clone());
    assert_eq!(refused(&hostless), wrong);
    for claimed in ["UNSIGNED-PAYLOAD", "00"] {
        let mut hashed = bare.clone();
        hashed.headers.push(("x-amz-content-sha256".to_owned(), claimed.to_owned()));
        assert_eq!(refused(&signed(&hashed, REGION, "logs")), wrong);
    }
    let mut cut = good.clone();
    let authorization = &mut cut.headers.last_mut().unwrap().1;
    *authorization = authorization.replace("SignedHeaders", "Headers");
    assert_eq!(refused(&cut), "IncompleteSignatureException");
    let mut spaced = bare.clone();
    spaced.headers.push(("x-amz-user-agent".to_owned(), "a   b".to_owned()));
    assert_eq!(refused(&signed(&spaced, REGION, "logs")), "InvalidParameterException");
}

#[test]
fn who_is_not_known_does_not_get_as_far_as_the_script() {
    let (service, mut client) = service();
    service.script(Rule::any(Fault::throttle()));
    client.key.secret.clear();
    assert_eq!(code(&mut client), "InvalidSignatureException");
    client.key = FakeCloudWatch::key();
    assert_eq!(code(&mut client), "ThrottlingException");
}

// `get-vanilla` of AWS's test suite, the request that the IAM guide explains step by step, and
// one with a body and a session token, whose signature botocore made.
#[test]
fn signatures_are_those_that_are_known() {
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    let json = "application/x-amz-json-1.1";
    let target = "Logs_20140328.CreateLogStream";
    let example = AccessKey::lasting("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    let temporary = AccessKey { token: Some("session-token==".into()), ..example.clone() };
    let (get, post) = ("GET", "POST");
    let users = "/?Version=2010-05-08&Action=ListUsers";
    let body = r#"{"logGroupName":"g","logStreamName":"s"}"#;
    let host = "logs.eu-central-1.amazonaws.com";
    for (request, [region, service], key, now, known) in [
        (
            request(get, "/", &[("host", "example.amazonaws.com")], ""),
            ["us-east-1", "service"],
            &example,
            THEN,
            "SignedHeaders=host;x-amz-date, Signature=\
             5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            request(get, users, &[("host", "iam.amazonaws.com"), ("content-type", form)], ""),
            ["us-east-1", "iam"],
            &example,
            THEN,
            "SignedHeaders=content-type;host;x-amz-date, Signature=\
             5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
        (
            request(
                post,
                "/",
                &[("host", host), ("content-type", json), ("x-amz-target", target)],
                body,
            ),
            ["eu-central-1", "logs"],
            &temporary,
            1_795_387_206_000,
            "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, \
             Signature=cdd398b914eabc879f8121a3a5008ac34ca137a98299b06b0d59f5dcd6f88592",
        ),
    ] {
        let scope = Scope { region, service };
        let added = sign(&request, scope, key, now);
        let (name, authorization) = added.last().unwrap();
        assert_eq!(name, "authorization");
        assert!(authorization.ends_with(known), "{authorization}");
        let keys = Keys::default();
        keys.add(key);
        let mut signed = request.clone();
        signed.headers.extend(added);
        assert_eq!(verify(&signed, scope, &keys, now), Ok(key.id.clone()));
        signed.body.push(b' ');
        assert!(verify(&signed, scope, &keys, now).is_err());
    }
}
