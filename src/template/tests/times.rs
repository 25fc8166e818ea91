//! Times: layouts, methods, zones. The oracle is Go's package `time` and its documentation.

use proptest::prelude::*;

use super::super::*;
use super::check;
use crate::record::Timestamp;

#[test]
fn times_have_gos_methods() {
    check(&[
        ("{{.Time}}", "2026-01-02 15:04:05.12 +0000 UTC"),
        ("{{.Time.String}}", "2026-01-02 15:04:05.12 +0000 UTC"),
        ("{{.Time.Unix}} {{.Time.UnixMilli}}", "1767366245 1767366245120"),
        ("{{.Time.UnixMicro}} {{.Time.UnixNano}}", "1767366245120000 1767366245120000000"),
        ("{{.Time.Year}}-{{.Time.Month}}-{{.Time.Day}}", "2026-January-2"),
        (
            "{{.Time.Hour}}:{{.Time.Minute}}:{{.Time.Second}}.{{.Time.Nanosecond}}",
            "15:4:5.120000000",
        ),
        ("{{.Time.Weekday}} {{.Time.YearDay}}", "Friday 2"),
        ("{{.Time.UTC.Hour}}", "15"),
        ("{{.Time.Local}}", "!can't evaluate field Local in type time.Time"),
        ("{{.Time.Unix 1}}", "!wrong number of args for Unix: want 0 got 1"),
        ("{{.Time.Format}}", "!wrong number of args for Format: want 1 got 0"),
        ("{{.Time.Format 1}}", "!wrong type for value; expected string; got int"),
        ("{{.Time.Format .Source}}", "stdout"),
        ("{{\"2006\" | .Time.Format}}", "2026"),
        ("{{$l := \"06\"}}{{.Time.Format $l}}", "26"),
        ("{{(.Time.UTC).Format \"15\"}}", "15"),
    ]);
}

fn formatted(layout: &str, stamp: &[u8], zone: &Zone) -> String {
    let mut out = Vec::new();
    format_time(layout, Timestamp::parse(stamp).unwrap(), zone, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn layouts_have_all_of_gos_elements() {
    let stamp = b"2026-02-03T16:07:08.001230000Z";
    for (layout, wanted) in [
        ("2006 06 01 1 Jan January 02 2 _2 002 __2", "2026 26 02 2 Feb February 03 3  3 034  34"),
        ("15 03 3 04 4 05 5 PM pm", "16 04 4 07 7 08 8 PM pm"),
        ("Mon Monday", "Tue Tuesday"),
        ("Month Mont Janet January1", "Month Mont Janet February2"),
        // Go looks at `__2` first, which leaves `006`.
        ("_2006 __2006", "_2026  34026"),
        (".000 .000000 .000000000 ,000", ".001 .001230 .001230000 ,001"),
        (".999 .999999 .99 x.9", ".001 .00123  x"),
        (".0000000000000 .01 .9a", ".001230000 .02 a"),
        ("MST Z07:00 Z0700 Z07 Z070000 Z07:00:00", "UTC Z Z Z Z Z"),
        ("-07:00 -0700 -07 -070000 -07:00:00", "+00:00 +0000 +00 +000000 +00:00:00"),
        ("x-y Zulu P", "x-y Zulu P"),
        ("2006-01-02T15:04:05Z07:00", "2026-02-03T16:07:08Z"),
        ("Mon Jan _2 15:04:05 2006", "Tue Feb  3 16:07:08 2026"),
        ("Monday, 02-Jan-06 15:04:05 MST", "Tuesday, 03-Feb-26 16:07:08 UTC"),
        ("Mon, 02 Jan 2006 15:04:05 -0700", "Tue, 03 Feb 2026 16:07:08 +0000"),
        ("3:04PM", "4:07PM"),
        ("200602", "202603"),
        ("", ""),
        ("ü", "ü"),
    ] {
        assert_eq!(formatted(layout, stamp, &Zone::utc()), wanted, "{layout}");
    }
    assert_eq!(formatted("3 03 PM pm", b"2026-02-03T00:07:08Z", &Zone::utc()), "12 12 AM am");
    assert_eq!(formatted("002", b"2024-12-31T00:07:08Z", &Zone::utc()), "366");
    assert_eq!(formatted("15:04:05.999", b"2026-02-03T00:07:08Z", &Zone::utc()), "00:07:08");
}

#[test]
fn a_posix_rule_moves_the_clock_and_names_it() {
    let zone = Zone::local(Some("EST5EDT,M3.2.0,M11.1.0")).unwrap();
    let layout = "2006-01-02T15:04:05Z07:00 MST -0700";
    let winter = formatted(layout, b"2026-11-22T23:20:08Z", &zone);
    assert_eq!(winter, "2026-11-22T18:20:08-05:00 EST -0500");
    let summer = formatted(layout, b"2026-07-01T03:20:08Z", &zone);
    assert_eq!(summer, "2026-06-30T23:20:08-04:00 EDT -0400");
    let india = Zone::local(Some("<+0530>-5:30")).unwrap();
    assert_eq!(
        formatted("Z07:00 Z07 MST Mon", b"2026-11-22T23:20:08Z", &india),
        "+05:30 +05 +0530 Mon"
    );
}

#[test]
fn a_zone_is_found_by_name_and_by_path() {
    for tz in [
        "America/New_York",
        ":America/New_York",
        ":/usr/share/zoneinfo/America/New_York",
        "/usr/share/zoneinfo/America/New_York",
    ] {
        let zone = Zone::local(Some(tz)).unwrap();
        let given = formatted("2006-01-02T15:04:05Z07:00 MST", b"2026-11-22T23:20:08Z", &zone);
        assert_eq!(given, "2026-11-22T18:20:08-05:00 EST", "{tz}");
    }
}

#[test]
fn an_empty_zone_is_utc_and_an_unknown_one_is_refused_by_name() {
    for tz in ["", ":", "UTC", "Etc/UTC", "UTC0"] {
        assert_eq!(Zone::local(Some(tz)).unwrap().offset_seconds(Timestamp::from_nanos(0)), 0);
    }
    for tz in
        ["Mars/Olympus", "../../../etc/passwd", "/etc/passwd", "America", ":EST5EDT4,nope", "\0"]
    {
        let fault = Zone::local(Some(tz)).unwrap_err();
        assert!(
            fault.contains(&format!("{tz:?}")) && fault.contains("America/New_York"),
            "{fault}"
        );
    }
    Zone::local(None).unwrap();
}

proptest! {
    #[test]
    fn a_layout_writes_what_the_stamp_itself_does(nanos in any::<i64>()) {
        let at = Timestamp::from_nanos(nanos);
        let mut out = Vec::new();
        format_time("2006-01-02T15:04:05.000000000Z07:00", at, &Zone::utc(), &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), at.to_string());
    }
}

#[test]
fn a_compiled_layout_writes_the_ends_of_time() {
    let layout = Layout::new("2006-01-02T15:04:05.999999999Z07:00");
    for (nanos, wanted) in [
        (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
        (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ] {
        let mut out = b"x".to_vec();
        layout.format(Timestamp::from_nanos(nanos), &Zone::utc(), &mut out);
        assert_eq!(out, format!("x{wanted}").as_bytes());
    }
}
