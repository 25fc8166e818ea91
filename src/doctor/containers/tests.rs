use std::collections::BTreeMap;

use serde_json::Value;

use super::super::report::Report;
use super::*;

const GIB: u64 = 1 << 30;

fn log(options: &[(&str, &str)], bytes: Option<u64>, rate: Option<f64>) -> Log {
    let options: BTreeMap<_, _> =
        options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let limits = Limits::of(&options);
    Log { name: "web".into(), running: true, started: true, limits, bytes, rate }
}

fn logs(logs: impl IntoIterator<Item = Log>) -> Logs {
    let disk = Some(Space { size: 100 * GIB, free: 50 * GIB });
    Logs { all: logs.into_iter().collect(), disk, folder: "/logs".into(), ..Logs::default() }
}

// Id and severity of what is found, and the whole text.
fn found(logs: &Logs) -> (Vec<(String, String)>, String) {
    let mut report = Report::default();
    report.add(logs.findings(Duration::from_mins(30)));
    report.sort();
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = json["findings"].as_array().unwrap();
    (findings.iter().map(|f| (word(f, "id"), word(f, "severity"))).collect(), report.text())
}

#[track_caller]
fn assert_found(logs: &Logs, wanted: &[(&str, &str)]) -> String {
    let (found, text) = found(logs);
    let found: Vec<_> = found.iter().map(|(id, word)| (id.as_str(), word.as_str())).collect();
    assert_eq!(found, wanted, "{text}");
    text
}

#[test]
fn a_log_without_limit_is_a_warning_until_it_is_large_or_fast() {
    let unbounded = ("json-file-unbounded", "warning");
    assert_found(&logs([log(&[], None, None)]), &[unbounded]);
    let text = assert_found(&logs([log(&[], Some(GIB), Some(0.0))]), &[unbounded]);
    assert!(text.contains("1.0 GiB now, and it does not grow"), "{text}");
    assert_found(
        &logs([log(&[], Some(11 * GIB), Some(0.0))]),
        &[("json-file-unbounded", "problem")],
    );
    // 50 GiB in some 52 days, and in some 5.
    let text = assert_found(
        &logs([log(&[], Some(GIB), Some(12_000.0))]),
        &[("disk-filling", "warning"), unbounded],
    );
    assert!(text.contains("grows by 11.7 KiB/s, and alone fills the disk in 52 days"), "{text}");
    assert_found(
        &logs([log(&[], Some(GIB), Some(120_000.0))]),
        &[("disk-filling", "problem"), ("json-file-unbounded", "problem")],
    );
}

#[test]
fn all_that_grow_without_limit_fill_the_disk_together() {
    let one = || log(&[], Some(GIB), Some(12_000.0));
    let bounded = log(&[("max-size", "1g"), ("max-file", "5")], Some(GIB), Some(12_000.0));
    let many: Vec<_> = (0..10).map(|_| one()).chain([bounded]).collect();
    let (found, text) = found(&logs(many));
    assert_eq!(found[0], ("disk-filling".into(), "problem".into()), "{text}");
    assert!(text.contains("grow by 117.2 KiB/s together; 50.0 GiB of 100.0 GiB"), "{text}");
    assert_eq!(found.len(), 11, "the bounded one is none of them: {text}");
}

#[test]
fn a_limit_beyond_the_disk_is_none() {
    let text = assert_found(
        &logs([log(&[("max-size", "50g"), ("max-file", "3")], Some(GIB), Some(0.0))]),
        &[("json-file-unbounded", "warning")],
    );
    assert!(text.contains("larger than the disk"), "{text}");
    assert_found(&logs([log(&[("max-size", "10m")], Some(GIB), Some(0.0))]), &[]);
}

#[test]
fn room_for_less_than_the_outage_is_told_with_how_much_is_wanted() {
    // 10 MB at 10 kB/s last for 1,000 seconds; half an hour wants 18 MB.
    let small = [("max-size", "10m"), ("max-file", "2")];
    let text = assert_found(
        &logs([log(&small, Some(GIB), Some(10_000.0))]),
        &[("rotation-too-small", "warning")],
    );
    assert!(text.contains("is 17 minutes of lines, less than an outage of 30 minutes"), "{text}");
    assert!(text.contains("max-size=5m --log-opt max-file=5"), "{text}");
    assert_found(&logs([log(&small, Some(GIB), Some(5_000.0))]), &[]);
    let enough = [("max-size", "10m"), ("max-file", "3")];
    assert_found(&logs([log(&enough, Some(GIB), Some(10_000.0))]), &[]);
    // A silent log needs no room.
    assert_found(&logs([log(&[("max-size", "1")], Some(1), Some(0.0))]), &[]);
    let text = assert_found(
        &logs([log(&[("max-size", "10m")], Some(GIB), Some(10_000.0))]),
        &[("rotation-too-small", "warning")],
    );
    assert!(text.contains("all of it goes at once"), "{text}");
}

#[test]
fn a_disk_that_is_nearly_full_is_told_whoever_fills_it() {
    for (free, severity) in [(9, "warning"), (1, "problem")] {
        let mut logs = logs([log(&[("max-size", "10m")], Some(1), Some(0.0))]);
        logs.disk = Some(Space { size: 100 * GIB, free: free * GIB });
        assert_found(&logs, &[("disk-nearly-full", severity)]);
    }
}
