//! CloudWatch Logs as others understand it: what containers printed is read back with boto3 from
//! moto, and signatures are recomputed by botocore. Nothing of ours is on the other side.

use std::collections::BTreeMap;

use crate::support::agent::{Agent, Launch};
use crate::support::engine::{Engine, docker};
use crate::support::moto::{Event, Group, Moto, Request, SignatureOracle, with_credentials};
use crate::support::numbers::{Stream, printing, text};
use crate::support::{SOON, check, until};

/// Regions keep groups apart, and give routes names of their own.
const REGIONS: [&str; 2] = ["eu-west-1", "us-east-2"];

const GROUP: &str = "/docker/it";

/// An event has 1,048,576 bytes at most, 26 of which are counted for each (`PutLogEvents`).
const LONGEST_EVENT_BYTES: usize = 1_048_576 - 26;

/// A route to a group; without waiting long for batches to be filled.
fn route(region: &str, moto: &Moto, options: &str) -> String {
    let endpoint = moto.endpoint();
    format!("cloudwatch://{region}?group={GROUP}&endpoint={endpoint}&flush=300ms&{options}")
}

#[track_caller]
fn agent_for(routes: &[String]) -> Agent {
    let launch = routes.iter().fold(with_credentials(Launch::new()), Launch::arg);
    launch.ready()
}

/// Waits until streams hold so many events; returns the group.
#[track_caller]
fn wait_for(moto: &Moto, region: &str, wanted: &[(&str, usize)]) -> Group {
    until(&format!("all events of {wanted:?}"), 2 * SOON, || {
        let group = moto.group(region, GROUP);
        for (stream, count) in wanted {
            let came = group.streams.get(*stream).map_or(0, Vec::len);
            check(came >= *count, || format!("{stream} has {came} of {count}"))?;
        }
        Ok(group)
    })
}

/// A container's lines of one stream, as the engine tells them: milliseconds since 1970 and text.
#[track_caller]
fn printed(container: &str, stream: Stream) -> Vec<Event> {
    let logs = docker(&["logs", "--timestamps", container]);
    let bytes = if stream == Stream::Out { logs.stdout } else { logs.stderr };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let event = |line: &str| {
        let (time, message) = line.split_once(' ').unwrap();
        Event { time: millis(time), message: message.to_owned() }
    };
    text.split_terminator('\n').map(event).collect()
}

/// Milliseconds since 1970 of an RFC 3339 time in UTC.
fn millis(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time.get(range).unwrap().parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days since 1970 in the Gregorian calendar, years beginning with March.
    let years = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = years * 365 + years / 4 - years / 100 + years / 400 + day_of_year - 719_468;
    let seconds = days * 86_400 + number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    seconds * 1000 + number(20..23)
}

#[test]
fn a_time_is_what_the_calendar_says() {
    assert_eq!(millis("1970-01-01T00:00:00.000Z"), 0);
    assert_eq!(millis("2000-02-29T12:34:56.789012345Z"), 951_827_696_789);
    assert_eq!(millis("2026-12-31T23:59:59.999Z"), 1_798_761_599_999);
}

#[test]
fn moto_has_every_line_of_several_containers_in_a_group_made_for_them() {
    const LINES: u64 = 3000;
    let (engine, moto) = (Engine::new("moto"), Moto::start());
    let made = "create_group=true&retention_days=30&tags=team=storage%2Ccost centre=a/1";
    let plain = "create_group=true&gzip=false";
    let routes = [route(REGIONS[0], &moto, made), route(REGIONS[1], &moto, plain)];
    let agent = agent_for(&routes);
    let containers = ["a", "b", "c"].map(|name| {
        let print = |stream| printing(stream, &(1..=LINES), 120);
        let script = format!("{} & {}; wait", print(Stream::Out), print(Stream::Err));
        engine.container(name).run(&script)
    });
    let wanted = containers.each_ref().map(|name| (name.as_str(), 2 * 3000));
    let groups = REGIONS.map(|region| wait_for(&moto, region, &wanted));
    for (container, group) in
        containers.iter().flat_map(|name| groups.iter().map(move |group| (name, group)))
    {
        let came = &group.streams[container];
        for (stream, letter) in [(Stream::Out, 'o'), (Stream::Err, 'e')] {
            let of_stream =
                came.iter().filter(|event| event.message.chars().nth(7) == Some(letter));
            let of_stream: Vec<_> = of_stream.cloned().collect();
            let numbered: Vec<_> = (1..=LINES).map(|number| text(stream, number, 120)).collect();
            let messages: Vec<_> = of_stream.iter().map(|event| &event.message).collect();
            assert!(messages.iter().copied().eq(&numbered), "{container}: {messages:#?}");
            assert!(of_stream == printed(container, stream), "{container}: not the engine's times");
        }
        assert_eq!(came.len() as u64, 2 * LINES, "{container} has more than was printed");
    }
    assert_eq!((groups[0].retention, groups[1].retention), (Some(30), None));
    let tags = [("team", "storage"), ("cost centre", "a/1")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(groups[0].tags, BTreeMap::from(tags));
    for region in REGIONS {
        agent.assert_balance(&format!("cloudwatch://{region}"));
    }
    let metrics = agent.metrics();
    assert!(metrics.value("log_files_opened_total") > 0, "only root can read the engine's files");
    let [packed, plain] = REGIONS.map(|region| {
        metrics.of("cloudwatch_request_bytes_total", &format!("cloudwatch://{region}"))
    });
    assert!(packed * 4 < plain, "{packed} bytes with gzip, {plain} without");
    assert_eq!(agent.terminate().code, Some(0));
}

/// As a shell prints it, and as it must come; `None` for what the service does not take.
const AWKWARD: &[(&str, Option<&str>)] = &[
    ("grüße, 日本, 😀", Some("grüße, 日本, 😀")),
    ("", None),
    ("  blanks before and behind  ", Some("  blanks before and behind  ")),
    (r#"{"json":"[\\"value\\"]"}"#, Some(r#"{"json":"[\"value\"]"}"#)),
    (r"back\\slash \\\\n", Some(r"back\slash \\n")),
    (r"\033[31mred\033[0m \007 \177", Some("\u{1b}[31mred\u{1b}[0m \u{7} \u{7f}")),
    (r"tab\tinside", Some("tab\tinside")),
    (r"x\377\376y \200", Some("x\u{fffd}\u{fffd}y \u{fffd}")),
    (r"cut \360\237\230", Some("cut \u{fffd}")),
    ("", None),
    ("last", Some("last")),
];

/// What comes of them. The engine's json-file replaces what is not UTF-8 by itself, with a U+FFFD
/// for each byte; local keeps it, so there the agent does, with one for each sequence that was cut
/// (Unicode, 3.9).
fn awkward(driver: &str) -> Vec<String> {
    let came = AWKWARD.iter().filter_map(|(_, text)| *text);
    let cut = if driver == "local" { "cut \u{fffd}" } else { "cut \u{fffd}\u{fffd}\u{fffd}" };
    came.map(|text| if text.starts_with("cut") { cut } else { text }.to_owned()).collect()
}

#[test]
fn moto_has_awkward_lines_as_they_were_printed() {
    let (engine, moto) = (Engine::new("moto-awkward"), Moto::start());
    let agent = agent_for(&[route(REGIONS[0], &moto, "create_group=true")]);
    let script: String = AWKWARD.iter().map(|(text, _)| format!("printf '{text}\\n'; ")).collect();
    let containers = ["json-file", "local"]
        .map(|driver| (driver, engine.container(driver).driver(driver).run(&script)));
    let wanted = containers.each_ref().map(|(driver, name)| (name.as_str(), awkward(driver).len()));
    let group = wait_for(&moto, REGIONS[0], &wanted);
    for (driver, container) in &containers {
        let came = group.streams[container].iter().map(|event| event.message.clone());
        assert_eq!(came.collect::<Vec<_>>(), awkward(driver), "{driver}");
    }
    let destination = format!("cloudwatch://{}", REGIONS[0]);
    agent.assert_balance(&destination);
    let (_, page) = agent.page("/metrics");
    let empty = page.lines().find_map(|line| {
        let labels = format!("{{destination=\"{destination}\",reason=\"empty\"}} ");
        line.strip_prefix("downspout_lines_dropped_total")?.strip_prefix(&labels)
    });
    // Other tests' containers may print some as well.
    let empty: u64 = empty.unwrap().parse().unwrap();
    assert!(empty >= 4, "{empty} are counted");
}

#[test]
fn moto_has_long_lines_whole_or_in_events_as_long_as_the_service_takes() {
    let (engine, moto) = (Engine::new("moto-long"), Moto::start());
    let agent = agent_for(&[engine.only(&route(REGIONS[0], &moto, "create_group=true"))]);
    // The limit of a line is 1 MiB, which is 26 bytes more than an event has.
    let lengths = [262_119, 1_048_550, 1_048_551, 1_048_576, 10];
    let print = |length: usize| format!("head -c {length} /dev/zero | tr '\\000' y; echo; ");
    let script: String = lengths.into_iter().map(print).collect();
    let container = engine.container("a").run(&script);
    let group = wait_for(&moto, REGIONS[0], &[(&container, lengths.len() + 2)]);
    let came: Vec<_> = group.streams[&container].iter().map(|event| &event.message).collect();
    let wanted =
        [262_119, LONGEST_EVENT_BYTES, LONGEST_EVENT_BYTES, 1, LONGEST_EVENT_BYTES, 26, 10];
    assert_eq!(came.iter().map(|message| message.len()).collect::<Vec<_>>(), wanted);
    assert!(came.iter().all(|message| message.bytes().all(|byte| byte == b'y')));
    let destination = format!("cloudwatch://{}", REGIONS[0]);
    agent.assert_balance(&destination);
    assert_eq!(agent.metrics().of("cloudwatch_lines_split_total", &destination), 2);
}

#[test]
fn moto_has_the_streams_that_labels_and_streams_of_output_name() {
    let (engine, moto) = (Engine::new("moto-labels"), Moto::start());
    let options = "create_group=true&stream={{.Label \"it.service\"}}";
    let split = "create_group=true&stream={{.Name}}/{{.Stream}}";
    let agent = agent_for(&[route(REGIONS[0], &moto, options), route(REGIONS[1], &moto, split)]);
    let script = "for n in 1 2 3; do echo $n o; echo $n e >&2; done";
    // Of two containers with the same label each has its lines in that stream.
    let service = format!("web:{}*", std::process::id());
    let labelled = ["a", "b"].map(|name| {
        engine.container(name).option(&format!("--label=it.service={service}")).run(script)
    });
    let plain = engine.container("c").run(script);
    // ':' and '*' have no place in a stream's name (`CreateLogStream`).
    let stream = service.replace([':', '*'], "-");
    let group = wait_for(&moto, REGIONS[0], &[(&stream, 12), (&plain, 6)]);
    for name in &labelled {
        assert!(!group.streams.contains_key(name), "{name} has a label");
    }
    let sorted = |events: &[Event]| {
        let mut messages: Vec<_> = events.iter().map(|event| event.message.clone()).collect();
        messages.sort();
        messages
    };
    let lines = ["1 e", "1 o", "2 e", "2 o", "3 e", "3 o"];
    assert_eq!(sorted(&group.streams[&plain]), lines);
    let twice: Vec<_> = lines.iter().flat_map(|line| [*line; 2]).collect();
    assert_eq!(sorted(&group.streams[&stream]), twice);
    let [out, error] = ["stdout", "stderr"].map(|name| format!("{plain}/{name}"));
    let group = wait_for(&moto, REGIONS[1], &[(&out, 3), (&error, 3)]);
    assert_eq!(sorted(&group.streams[&out]), ["1 o", "2 o", "3 o"]);
    assert_eq!(sorted(&group.streams[&error]), ["1 e", "2 e", "3 e"]);
    for region in REGIONS {
        agent.assert_balance(&format!("cloudwatch://{region}"));
    }
}

/// The requests of an agent that ships some lines to two streams, until `came` says they came.
#[track_caller]
fn requests(
    token: Option<&str>,
    options: &str,
    settings: impl FnOnce(Launch) -> Launch,
    came: impl Fn(&Agent, &str) -> Result<(), String>,
) -> Vec<Request> {
    let oracle = SignatureOracle::start(REGIONS[0], token);
    let destination = format!("cloudwatch://{}", REGIONS[0]);
    let endpoint = oracle.endpoint();
    let route = format!("{destination}?group={GROUP}&endpoint={endpoint}&flush=20ms{options}");
    let mut agent = settings(with_credentials(Launch::fed())).arg(&route).start();
    for number in 1..=20 {
        for name in ["web-1", "a.b-c"] {
            let text = text(Stream::Out, number, 2000);
            agent.feed(&format!("{name} stdout {text} grüße\n{name} stderr {number}\n"));
        }
    }
    until("the requests", SOON, || came(&agent, &destination));
    drop(agent);
    oracle.finish()
}

/// All lines were taken.
fn all_taken(agent: &Agent, destination: &str) -> Result<(), String> {
    let delivered = agent.metrics().of("lines_delivered_total", destination);
    check(delivered == 80, || format!("{delivered} of 80 lines are delivered"))
}

#[track_caller]
fn assert_accepted(requests: &[Request], encoding: Option<&str>) {
    assert!(!requests.is_empty());
    for request in requests {
        let wanted = Request {
            operation: "PutLogEvents".into(),
            encoding: encoding.map(str::to_owned),
            complaint: None,
        };
        assert_eq!(*request, wanted);
    }
}

#[test]
fn botocore_computes_the_same_signatures() {
    assert_accepted(&requests(None, "", |launch| launch, all_taken), Some("gzip"));
    assert_accepted(&requests(None, "&gzip=false", |launch| launch, all_taken), None);
}

#[test]
fn botocore_computes_the_same_signatures_with_a_session_token() {
    let token = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJ=";
    let with_token = |launch: Launch| launch.env("AWS_SESSION_TOKEN", token);
    assert_accepted(&requests(Some(token), "", with_token, all_taken), Some("gzip"));
}

#[test]
fn a_signature_by_another_secret_is_refused_and_the_lines_are_kept() {
    let other = |launch: Launch| launch.env("AWS_SECRET_ACCESS_KEY", "another");
    let refused = |agent: &Agent, destination: &str| {
        let metrics = agent.metrics();
        let [faults, delivered, dropped] =
            ["faults_total", "lines_delivered_total", "lines_dropped_total"]
                .map(|family| metrics.of(family, destination));
        assert_eq!((delivered, dropped), (0, 0));
        check(faults > 0, || "no fault is counted".to_owned())
    };
    let requests = requests(None, "", other, refused);
    let complaint = |request: &Request| request.complaint.clone().unwrap_or_default();
    assert!(!requests.is_empty());
    let by_signature = |request| complaint(request).starts_with("the signature should be");
    assert!(requests.iter().all(by_signature), "{requests:#?}");
}
