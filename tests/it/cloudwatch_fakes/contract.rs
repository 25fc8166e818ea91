//! Each row of the contract, from both sides.

use std::io::Write;

use serde_json::{Value, json};

use super::service;
use crate::support::cloudwatch::client::{SignedClient, batch, read, unsigned};
use crate::support::cloudwatch::contract::RETENTION_DAYS;
use crate::support::cloudwatch::script::Operation::{
    self, CreateLogGroup, CreateLogStream, PutLogEvents, PutRetentionPolicy, TagResource,
};
use crate::support::cloudwatch::store::Contents;

const DAY: i64 = 86_400_000;
const HOUR: i64 = DAY / 24;
const MINUTE: i64 = HOUR / 60;

fn invalid<T>() -> Result<T, String> {
    Err("InvalidParameterException".to_owned())
}

fn last_message(contents: &Contents) -> String {
    contents.calls.last().unwrap().outcome.clone().unwrap().message.unwrap_or_default()
}

#[test]
fn batches_end_at_ten_thousand_events() {
    let (service, mut client) = service();
    let (most, more) = (vec![(0, "a"); 10_000], vec![(0, "a"); 10_001]);
    assert!(client.put("g", "s", &most).is_ok());
    assert_eq!(client.put("g", "s", &more), invalid());
    assert_eq!(client.put("g", "s", &[]), invalid());
    assert_eq!(service.with(Contents::count), 10_000);
}

#[test]
fn batches_and_events_end_at_a_mebibyte_counted_in_utf8_with_26_per_event() {
    let (service, mut client) = service();
    let longest = "x".repeat(1_048_550);
    assert!(client.put("g", "s", &[(0, &longest)]).is_ok());
    assert_eq!(client.put("g", "s", &[(0, &(longest.clone() + "x"))]), invalid());
    let text = "Log event too large: 1048577 bytes exceeds limit of 1048576";
    assert_eq!(service.with(last_message), text);
    assert_eq!(client.put("g", "s", &[(0, &longest), (0, "x")]), invalid());
    let text = "Upload too large: 1048603 bytes exceeds limit of 1048576";
    assert_eq!(service.with(last_message), text);
    let half = "\u{20ac}".repeat(174_754);
    assert_eq!(half.len(), 524_262, "three bytes each");
    assert!(client.put("g", "s", &[(0, &half), (0, &half)]).is_ok());
    assert_eq!(client.put("g", "s", &[(0, &half), (0, &(half.clone() + "x"))]), invalid());
    let counted: Vec<_> =
        service.with(|contents| contents.calls.iter().map(|call| call.counted_bytes).collect());
    assert_eq!(counted, [1_048_576, 1_048_577, 1_048_603, 1_048_576, 1_048_577]);
}

#[test]
fn events_have_a_message_and_a_whole_time_that_is_not_negative() {
    let (_service, mut client) = service();
    let now = client.clock.now();
    let mut put = |event: Value| {
        let events = json!([{ "timestamp": now, "message": "good" }, event]);
        let body = json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": events });
        client.call(&PutLogEvents, &body).map(|_| ())
    };
    assert_eq!(put(json!({ "timestamp": now, "message": " " })), Ok(()));
    assert_eq!(put(json!({ "timestamp": now, "message": "" })), invalid());
    assert_eq!(put(json!({ "timestamp": now })), invalid());
    assert_eq!(put(json!({ "message": "a" })), invalid());
    assert_eq!(put(json!({ "timestamp": -1, "message": "a" })), invalid());
    for odd in [json!(now.to_string()), json!(1.5), json!(true)] {
        let unreadable = Err("SerializationException".to_owned());
        assert_eq!(put(json!({ "timestamp": odd, "message": "a" })), unreadable, "{odd}");
    }
}

#[test]
fn batches_are_in_order_and_span_a_day_of_what_is_not_rejected() {
    let (service, mut client) = service();
    assert!(client.put("g", "s", &[(2, "a"), (2, "b"), (1, "c")]).is_ok());
    assert_eq!(client.put("g", "s", &[(1, "a"), (2, "b")]), invalid());
    assert!(service.with(last_message).contains("chronological order"));
    assert!(client.put("g", "s", &[(DAY, "a"), (5, "b"), (0, "c")]).is_ok());
    assert_eq!(client.put("g", "s", &[(DAY + 1, "a"), (5, "b"), (0, "c")]), invalid());
    assert!(service.with(last_message).contains("cannot span more than 24 hours"));
    let around_rejected = [(15 * DAY, "a"), (DAY, "b"), (0, "c"), (-3 * HOUR, "d")];
    assert!(client.put("g", "s", &around_rejected).is_ok());
    assert_eq!(service.with(|contents| contents.texts("g", "s").concat()), "abcabcbc");
}

#[test]
fn what_is_too_old_expired_or_too_new_is_rejected_by_index_and_the_rest_is_stored() {
    let (service, mut client) = service();
    service.create_stream("short", "s");
    let day = json!({ "logGroupName": "short", "retentionInDays": 1 });
    client.call(&PutRetentionPolicy, &day).unwrap();
    let mut rejected = |group: &str, ages: &[i64]| {
        let events: Vec<_> = ages.iter().map(|age| (*age, "x")).collect();
        let count = service.with(Contents::count);
        let reply = client.put(group, "s", &events).unwrap();
        let stored = service.with(Contents::count) - count;
        (reply["rejectedLogEventsInfo"].clone(), stored)
    };
    let old = 14 * DAY;
    let new = -2 * HOUR;
    assert_eq!(rejected("g", &[HOUR, 0]), (Value::Null, 2));
    assert_eq!(
        rejected("g", &[old + DAY, old + MINUTE, HOUR, 0, new - MINUTE, new - HOUR]),
        (json!({ "tooOldLogEventEndIndex": 2, "tooNewLogEventStartIndex": 4 }), 2)
    );
    assert_eq!(rejected("g", &[old - MINUTE]), (Value::Null, 1));
    assert_eq!(rejected("g", &[new + MINUTE]), (Value::Null, 1));
    assert_eq!(
        rejected("short", &[old + MINUTE, 2 * DAY, DAY + MINUTE, DAY - MINUTE]),
        (json!({ "tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 3 }), 1)
    );
    assert_eq!(rejected("g", &[old + 2 * MINUTE, old + MINUTE]).1, 0, "nothing is left");
    assert_eq!(rejected("g", &[new - MINUTE]), (json!({ "tooNewLogEventStartIndex": 0 }), 0));
    service.clock.set_ahead(4 * MINUTE);
    let lead = rejected("g", &[old - 3 * MINUTE, old - 5 * MINUTE]);
    assert_eq!(lead, (json!({ "tooOldLogEventEndIndex": 1 }), 1), "by the service's clock");
    let sums = service.with(Contents::statistics);
    let reasons = (sums.rejection.too_old, sums.rejection.expired, sums.rejection.too_new);
    assert_eq!(reasons, (6, 2, 3));
    service.assert_no_bad_request();
}

#[test]
fn names_keep_to_their_rules_in_every_call() {
    let (service, mut client) = service();
    let (longest, longer) = ("n".repeat(512), "n".repeat(513));
    let good = ["a", "/ecs/web_1.x-y#2", "aws", longest.as_str()];
    let bad = ["", "a b", "a:b", "a*", "\u{e4}", "aws/x", longer.as_str()];
    for name in good {
        client.call(&CreateLogGroup, &json!({ "logGroupName": name })).unwrap();
    }
    for name in bad {
        let retention = json!({ "logGroupName": name, "retentionInDays": 1 });
        let stream = json!({ "logGroupName": name, "logStreamName": "s" });
        assert_eq!(client.call(&CreateLogGroup, &json!({ "logGroupName": name })), invalid());
        assert_eq!(client.call(&PutRetentionPolicy, &retention), invalid(), "{name}");
        assert_eq!(client.call(&CreateLogStream, &stream), invalid(), "{name}");
        assert_eq!(client.put(name, "s", &[(0, "x")]), invalid(), "{name}");
    }
    for name in ["a", "web/a b@c", "\u{e4}", longest.as_str()] {
        let stream = json!({ "logGroupName": "g", "logStreamName": name });
        client.call(&CreateLogStream, &stream).unwrap();
        client.put("g", name, &[(0, "x")]).unwrap();
    }
    for name in ["", "a:b", "a*", longer.as_str()] {
        let stream = json!({ "logGroupName": "g", "logStreamName": name });
        assert_eq!(client.call(&CreateLogStream, &stream), invalid(), "{name}");
        assert_eq!(client.put("g", name, &[(0, "x")]), invalid(), "{name}");
    }
    assert_eq!(service.with(|contents| contents.groups["g"].streams.len()), 5);
}

#[test]
fn what_is_not_there_is_missing_and_what_is_there_cannot_be_created() {
    let (service, mut client) = service();
    let missing = Err("ResourceNotFoundException".to_owned());
    let exists = Err("ResourceAlreadyExistsException".to_owned());
    let group = json!({ "logGroupName": "h" });
    let stream = json!({ "logGroupName": "h", "logStreamName": "s" });
    let retention = json!({ "logGroupName": "h", "retentionInDays": 7 });
    let tags = json!({
        "resourceArn": "arn:aws:logs:eu-central-1:123456789012:log-group:h", "tags": { "a": "b" }
    });
    assert_eq!(client.put("h", "s", &[(0, "x")]), missing);
    assert_eq!(service.with(last_message), "The specified log group does not exist.");
    for (operation, body) in
        [(CreateLogStream, &stream), (PutRetentionPolicy, &retention), (TagResource, &tags)]
    {
        assert_eq!(client.call(&operation, body), missing);
    }
    client.call(&CreateLogGroup, &group).unwrap();
    assert_eq!(client.put("h", "s", &[(0, "x")]), missing);
    assert_eq!(service.with(last_message), "The specified log stream does not exist.");
    client.call(&CreateLogStream, &stream).unwrap();
    client.put("h", "s", &[(0, "x")]).unwrap();
    assert_eq!(client.call(&CreateLogGroup, &group), exists);
    assert_eq!(client.call(&CreateLogStream, &stream), exists);
    client.call(&TagResource, &tags).unwrap();
    service.delete_stream("h", "s");
    assert_eq!(client.put("h", "s", &[(0, "y")]), missing);
    client.call(&CreateLogStream, &stream).unwrap();
    service.delete_group("h");
    assert_eq!(client.put("h", "s", &[(0, "y")]), missing);
    assert_eq!(service.with(|contents| contents.texts("h", "s")), ["x"], "what was delivered was");
}

#[test]
fn groups_take_the_options_of_the_model() {
    let (service, mut client) = service();
    let key = "arn:aws:kms:eu-central-1:123456789012:key/1a2b3c4d";
    let full = json!({
        "logGroupName": "full", "kmsKeyId": key, "logGroupClass": "INFREQUENT_ACCESS",
        "tags": { "team": "a", "cost centre": "b/c=d" }, "deletionProtectionEnabled": false
    });
    client.call(&CreateLogGroup, &full).unwrap();
    let many = |count: usize| {
        let pairs = (0..count).map(|number| (format!("k{number}"), json!("v")));
        Value::from(pairs.collect::<serde_json::Map<_, _>>())
    };
    let fifty = json!({ "logGroupName": "fifty", "tags": many(50) });
    client.call(&CreateLogGroup, &fifty).unwrap();
    for (name, value) in [
        ("logGroupClass", json!("CHEAP")),
        ("kmsKeyId", json!("1a2b3c4d")),
        ("kmsKeyId", json!("arn:aws:s3:eu-central-1:123456789012:key/1a2b3c4d")),
        ("kmsKeyId", json!("arn:aws:kms:eu-central-1:1234:key/1a2b3c4d")),
        ("tags", many(51)),
        ("tags", json!({ "aws:mine": "v" })),
        ("tags", json!({ "k!": "v" })),
        ("tags", json!({ "k": "v".repeat(257) })),
        ("tags", json!({ "": "v" })),
    ] {
        let mut body = json!({ "logGroupName": "other" });
        body[name] = value.clone();
        assert_eq!(client.call(&CreateLogGroup, &body), invalid(), "{name}: {value}");
    }
    let tag = |tags: Value| {
        let arn = "arn:aws:logs:eu-central-1:123456789012:log-group:fifty";
        json!({ "resourceArn": arn, "tags": tags })
    };
    client.call(&TagResource, &tag(json!({ "k0": "new" }))).unwrap();
    let too_many = client.call(&TagResource, &tag(json!({ "another": "v" })));
    assert_eq!(too_many, Err("TooManyTagsException".to_owned()));
    let odd = json!({ "resourceArn": "fifty", "tags": { "a": "b" } });
    assert_eq!(client.call(&TagResource, &odd), invalid());
    let full = service.with(|contents| contents.groups["full"].clone());
    assert_eq!((full.class.as_str(), full.key.as_deref()), ("INFREQUENT_ACCESS", Some(key)));
    assert_eq!((full.tags["team"].as_str(), full.retention), ("a", None));
    assert_eq!(service.with(|contents| contents.groups["fifty"].tags["k0"].clone()), "new");
}

#[test]
fn retention_is_one_of_22_numbers_of_days() {
    let (service, mut client) = service();
    let mut retain = |days: Value| {
        let body = json!({ "logGroupName": "g", "retentionInDays": days });
        client.call(&PutRetentionPolicy, &body).map(|_| ())
    };
    for days in 0..4000 {
        if RETENTION_DAYS.contains(&days) {
            assert_eq!(retain(json!(days)), Ok(()), "{days}");
        } else if days < 40 {
            assert_eq!(retain(json!(days)), invalid(), "{days}");
        }
    }
    assert_eq!(retain(Value::Null), invalid());
    assert_eq!(service.with(|contents| contents.groups["g"].retention), Some(3653));
}

#[test]
fn calls_are_json_of_their_protocol_with_known_members() {
    let (service, mut client) = service();
    let address = service.server.address();
    let now = client.clock.now();
    let good = batch("g", "s", [(now, "x")].into_iter());
    let unreadable = Err("SerializationException".to_owned());
    let unknown = Err("UnknownOperationException".to_owned());
    let mut unexpected = good.clone();
    unexpected["logEvent"] = json!([]);
    assert_eq!(client.call(&PutLogEvents, &unexpected).map(|_| ()), unreadable);
    let mut deep = good.clone();
    deep["logEvents"][0]["ingestionTime"] = json!(1);
    assert_eq!(client.call(&PutLogEvents, &deep).map(|_| ()), unreadable);
    let mut send = |operation: &Operation, name: &str, value: &str, body: &[u8]| {
        let mut request = unsigned(address, operation, body);
        match name {
            "method" => request.method = value.to_owned(),
            "target" => request.target = value.to_owned(),
            name => {
                request.headers.retain(|(own, _)| own != name);
                request.headers.push((name.to_owned(), value.to_owned()));
            }
        }
        read(&client.send(&client.signed(request)).unwrap()).map(|_| ())
    };
    let body = good.to_string().into_bytes();
    assert_eq!(send(&PutLogEvents, "x-other", "1", &body), Ok(()));
    assert_eq!(send(&PutLogEvents, "content-type", "application/json", &body), unreadable);
    assert_eq!(send(&PutLogEvents, "x-other", "1", &body[1..]), unreadable);
    assert_eq!(send(&PutLogEvents, "content-encoding", "br", &body), unreadable);
    assert_eq!(send(&PutLogEvents, "content-encoding", "gzip", &body), unreadable);
    assert_eq!(send(&PutLogEvents, "method", "PUT", &body), unknown);
    assert_eq!(send(&PutLogEvents, "target", "/v1/logs", &body), unknown);
    let other = Operation::Other("Logs_20140328.DescribeLogStreams".to_owned());
    assert_eq!(send(&other, "x-other", "1", b"{}"), unknown);
    let statuses: Vec<_> = service.with(|contents| {
        contents.calls.iter().map(|call| call.outcome.clone().unwrap().status.unwrap()).collect()
    });
    assert_eq!(statuses, [400, 400, 200, 400, 400, 400, 400, 404, 404, 404]);
}

fn send_compressed(client: &mut SignedClient, body: &[u8]) -> Result<(), String> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body).unwrap();
    let mut request = unsigned(client.address, &PutLogEvents, &gzip.finish().unwrap());
    request.headers.push(("content-encoding".to_owned(), "gzip".to_owned()));
    read(&client.send(&client.signed(request)).unwrap()).map(|_| ())
}

#[test]
fn compressed_bodies_are_taken_and_counted_as_if_they_were_not() {
    let (service, mut client) = service();
    let mut put = |length: usize| {
        let (now, text) = (client.clock.now(), "x".repeat(length));
        let body = batch("g", "s", [(now, text.as_str())].into_iter()).to_string();
        send_compressed(&mut client, body.as_bytes())
    };
    assert_eq!(put(1_048_550), Ok(()));
    assert_eq!(put(1_048_551), invalid());
    let call = service.with(|contents| contents.calls[0].clone());
    assert_eq!((call.encoding.as_deref(), call.counted_bytes), (Some("gzip"), 1_048_576));
    assert!(call.wire_bytes < 20_000 && call.json_bytes > 1_048_576, "{call:?}");
    let blanks = vec![b' '; 16 * 1024 * 1024];
    let too_large = Err("RequestEntityTooLargeException".to_owned());
    assert_eq!(send_compressed(&mut client, &blanks), too_large);
}

#[test]
fn tokens_are_ignored_and_bad_entities_cost_no_events() {
    let (service, mut client) = service();
    let mut body = batch("g", "s", [(client.clock.now(), "x")].into_iter());
    body["sequenceToken"] = json!("anything");
    let keys = json!({ "Type": "Service", "Name": "web" });
    body["entity"] = json!({ "keyAttributes": keys, "attributes": {} });
    let reply = client.call(&PutLogEvents, &body).unwrap();
    assert_eq!(reply["rejectedEntityInfo"], Value::Null);
    body["entity"]["keyAttributes"] = json!({ "Type": "Service" });
    let reply = client.call(&PutLogEvents, &body).unwrap();
    assert_eq!(reply["rejectedEntityInfo"]["errorType"], "InvalidKeyAttributes");
    assert_eq!(service.with(Contents::count), 2);
    assert_eq!(service.with(Contents::duplicates), 1, "nothing is recognised");
}
