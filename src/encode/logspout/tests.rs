//! The bytes of logspout, as they were taken down from it: `shared/reference`, section 2.2.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Cache, Encoder, Format, Surroundings, Terminal, plan};
use super::*;
use crate::options::Options;
use crate::output::Carriage;
use crate::record::{ChunkBuilder, Container, Details, Mark, Place, Span, Stream, Timestamp};

const SET: [(&str, &str); 2] =
    [("SYSLOG_TIMESTAMP", "2026-01-02T03:04:05Z"), ("SYSLOG_PID", "4242")];

fn web(name: &str) -> Container {
    let inspection = serde_json::json!({
        "Id": "8dfafdbc3a40".repeat(6).get(..64),
        "Name": format!("/{name}"),
        "Config": {"Hostname": "8dfafdbc3a40", "Labels": {"team": "a b", "feed": "x\ny"}},
        "State": {"Pid": 77},
    });
    Container {
        id: "8dfafdbc3a40aaaa".into(),
        name: name.into(),
        host: "docker-host".into(),
        details: Some(Arc::new(Details { inspection: Some(inspection), ..Details::default() })),
        ..Container::default()
    }
}

fn encoder(
    variables: &[(&str, &str)],
    options: &str,
    adapter: Adapter,
    carriage: Carriage,
) -> Encoder {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let value = |name: &str| variables.get(name).map(|text| (*text).to_owned());
    let logspout = Logspout::of(value, None, Zone::utc()).unwrap();
    let pairs = options.split('&').filter_map(|pair| pair.split_once('='));
    let mut options = Options::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let plain = Surroundings::plain(carriage, Terminal::default());
    let around = Surroundings { adapter: Some(adapter), logspout: &logspout, ..plain };
    plan(&mut options, around).unwrap_or_else(|| panic!("{:?}", options.finish(&[])))
}

fn bytes_of(encoder: &mut Encoder, container: &Container, lines: &[(Stream, &[u8])]) -> Vec<u8> {
    let mut builder = ChunkBuilder::default();
    for (stream, text) in lines {
        let time = Timestamp::parse(b"2026-11-22T22:47:16.987654321Z").unwrap();
        let (mark, span) = (Mark { time, pieces: 1 }, Span::default());
        builder.push(text, b"", Place { time, stream: *stream, mark, span });
    }
    let chunk = builder.take(&Arc::new(container.clone())).unwrap();
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    encoder.encode(&chunk, &mut Cache::default(), &mut bytes, &mut ends);
    assert_eq!(ends.len(), lines.len());
    bytes
}

fn over(
    carriage: Carriage,
    more: &[(&str, &str)],
    options: &str,
    lines: &[(Stream, &[u8])],
) -> String {
    let variables: Vec<_> = SET.into_iter().chain(more.iter().copied()).collect();
    let mut encoder = encoder(&variables, options, Adapter::Syslog, carriage);
    String::from_utf8(bytes_of(&mut encoder, &web("web"), lines)).unwrap()
}

const HELLO: &[(Stream, &[u8])] = &[(Stream::Stdout, b"hello")];
const OOPS: &[(Stream, &[u8])] = &[(Stream::Stderr, b"oops")];
const HEAD: &str = "1 2026-01-02T03:04:05Z 8dfafdbc3a40 web 4242 - -";

#[test]
fn the_golden_messages_come_out_byte_for_byte() {
    let sd = "tok@41058 tag=\"x\"";
    let counted = ("SYSLOG_TCP_FRAMING", "octet-counted");
    let old = ("SYSLOG_FORMAT", "rfc3164");
    for carriage in [Carriage::Datagram, Carriage::Stream] {
        let over =
            |more: &[(&str, &str)], options: &str, lines| over(carriage, more, options, lines);
        for (got, wanted, length) in [
            (over(&[], "", HELLO), format!("<14>{HEAD} hello\n"), 59),
            (over(&[], "", OOPS), format!("<11>{HEAD} oops\n"), 58),
            (
                over(&[old], "", HELLO),
                "<14>2026-01-02T03:04:05Z 8dfafdbc3a40 web[4242]: hello\n".to_owned(),
                55,
            ),
            (
                over(&[old], "", OOPS),
                "<11>2026-01-02T03:04:05Z 8dfafdbc3a40 web[4242]: oops\n".to_owned(),
                54,
            ),
            (
                over(&[("SYSLOG_STRUCTURED_DATA", sd)], "", HELLO),
                "<14>1 2026-01-02T03:04:05Z 8dfafdbc3a40 web 4242 - [tok@41058 tag=\"x\"] hello\n"
                    .to_owned(),
                77,
            ),
            (
                over(&[("SYSLOG_STRUCTURED_DATA", sd), old], "", HELLO),
                "<14>2026-01-02T03:04:05Z 8dfafdbc3a40 web[4242]: hello\n".to_owned(),
                55,
            ),
            (
                over(&[], "append_tag=.db", HELLO),
                format!("<14>{} hello\n", HEAD.replace(" web ", " web.db ")),
                62,
            ),
        ] {
            assert_eq!(got, wanted);
            assert_eq!(got.len(), length);
        }
    }
    let got = over(Carriage::Stream, &[counted], "", HELLO);
    assert_eq!(got, format!("59 <14>{HEAD} hello\n"));
    let got = over(Carriage::Stream, &[counted], "", &[(Stream::Stdout, "héllo".as_bytes())]);
    assert_eq!(got, format!("60 <14>{HEAD} héllo\n"));
    let got = over(Carriage::Datagram, &[counted], "", HELLO);
    assert_eq!(got, format!("<14>{HEAD} hello\n"), "framing is for streams");
}

#[test]
fn fields_are_cut_and_kept_as_logspout_does() {
    let e60 = "é".repeat(60);
    let a60 = "a".repeat(60);
    let tag = |tag: &str, old: bool| {
        let format = if old { "rfc3164" } else { "rfc5424" };
        let got = over(
            Carriage::Datagram,
            &[("SYSLOG_TAG", tag), ("SYSLOG_FORMAT", format)],
            "append_tag=.db",
            HELLO,
        );
        let part = got.split("8dfafdbc3a40 ").nth(1).unwrap();
        part.strip_suffix(if old { "[4242]: hello\n" } else { " 4242 - - hello\n" })
            .unwrap()
            .to_owned()
    };
    for (text, old, wanted) in [
        ("T", false, "T"),
        (e60.as_str(), false, &"é".repeat(48)),
        (a60.as_str(), true, &"a".repeat(32)),
        ("{{.Container.Config.Labels.nope}}", false, "<no value>"),
        ("{{index .Container.Config.Labels \"nope\"}}", false, ""),
        ("{{.Container.Config.Labels.team}}", false, "a b"),
        ("{{.ContainerName}}-{{.Source}}", false, "web-stdout"),
        // A label must not begin a frame of its own.
        ("{{.Container.Config.Labels.feed}}", false, "x#012y"),
    ] {
        assert_eq!(tag(text, old), wanted, "{text}");
    }
}

#[test]
fn texts_are_sent_as_they_are() {
    let lines: &[(Stream, &[u8])] = &[
        (Stream::Stdout, b"  lead and trail  "),
        (Stream::Stdout, b""),
        (Stream::Stdout, b"cr\r nul\0 esc\x1b"),
    ];
    let wanted =
        format!("<14>{HEAD}   lead and trail  \n<14>{HEAD} \n<14>{HEAD} cr\r nul\0 esc\x1b\n");
    assert_eq!(over(Carriage::Stream, &[], "", lines), wanted);
    let mut encoder = encoder(&SET, "", Adapter::Syslog, Carriage::Stream);
    let got = bytes_of(&mut encoder, &web("web"), &[(Stream::Stdout, b"\xff\xfe")]);
    assert!(got.ends_with(b" \xff\xfe\n"), "{got:?}");
}

#[test]
fn a_record_of_several_lines_stays_one_message() {
    let trace: &[(Stream, &[u8])] = &[(Stream::Stderr, b"a\n  b")];
    assert_eq!(over(Carriage::Stream, &[], "", trace), format!("<11>{HEAD} a#012  b\n"));
    let counted = ("SYSLOG_TCP_FRAMING", "octet-counted");
    assert_eq!(over(Carriage::Stream, &[counted], "", trace), format!("59 <11>{HEAD} a\n  b\n"));
    assert_eq!(over(Carriage::Datagram, &[], "", trace), format!("<11>{HEAD} a\n  b\n"));
}

#[test]
fn what_each_line_has_of_its_own_is_rendered_for_each() {
    let lines: &[(Stream, &[u8])] = &[(Stream::Stdout, b"one"), (Stream::Stderr, b"two")];
    for (name, text, wanted) in [
        (
            "SYSLOG_TIMESTAMP",
            "{{.Time.Format \"Jan _2 15:04:05\"}}",
            "<14>1 Nov 22 22:47:16 8dfafdbc3a40 web 4242 - - one\n<11>1 Nov 22 22:47:16 8dfafdbc3a40 web 4242 - - two\n",
        ),
        (
            "SYSLOG_TIMESTAMP",
            "{{.Timestamp}}",
            "<14>1 2026-11-22T22:47:16Z 8dfafdbc3a40 web 4242 - - one\n<11>1 2026-11-22T22:47:16Z 8dfafdbc3a40 web 4242 - - two\n",
        ),
        (
            "SYSLOG_DATA",
            "[{{.Data}}]",
            "<14>1 2026-01-02T03:04:05Z 8dfafdbc3a40 web 4242 - - [one]\n<11>1 2026-01-02T03:04:05Z 8dfafdbc3a40 web 4242 - - [two]\n",
        ),
        (
            "SYSLOG_PRIORITY",
            "{{if eq .Source \"stderr\"}}27{{else}}30{{end}}",
            "<30>1 2026-01-02T03:04:05Z 8dfafdbc3a40 web 4242 - - one\n<27>1 2026-01-02T03:04:05Z 8dfafdbc3a40 web 4242 - - two\n",
        ),
        (
            "SYSLOG_PID",
            "{{.Container.State.Pid}}",
            "<14>1 2026-01-02T03:04:05Z 8dfafdbc3a40 web 77 - - one\n<11>1 2026-01-02T03:04:05Z 8dfafdbc3a40 web 77 - - two\n",
        ),
        (
            "SYSLOG_HOSTNAME",
            "{{.Hostname}}",
            "<14>1 2026-01-02T03:04:05Z docker-host web 4242 - - one\n<11>1 2026-01-02T03:04:05Z docker-host web 4242 - - two\n",
        ),
    ] {
        assert_eq!(over(Carriage::Datagram, &[(name, text)], "", lines), wanted, "{name}={text}");
    }
}

#[test]
fn data_without_the_text_of_the_line_is_all_that_is_sent() {
    let head = "<14>1 2026-01-02T03:04:05Z 8dfafdbc3a40 web 4242 - -";
    for (text, wanted) in [
        ("left out", "left out"),
        ("{{.ContainerName}}", "web"),
        ("{{.Source}}", "stdout"),
        ("{{if false}}{{.Data}}{{end}}", ""),
        // What stands in is the text.
        ("{{.Container.Node.Name}}", "hello"),
    ] {
        let sent = over(Carriage::Datagram, &[("SYSLOG_DATA", text)], "", HELLO);
        assert_eq!(sent, format!("{head} {wanted}\n"), "{text}");
    }
}

#[test]
fn what_is_the_same_for_all_lines_is_rendered_once_wherever_it_stands() {
    let value = |name: &str| match name {
        "SYSLOG_TIMESTAMP" => Some("{{.Time.Format \"15:04:05.000\"}}".to_owned()),
        "SYSLOG_TAG" => Some("{{index .Container.Config.Labels \"team\"}}".to_owned()),
        _ => None,
    };
    let logspout = Logspout::of(value, None, Zone::utc()).unwrap();
    let (priorities, mut problems) = (Priorities::new(1, 6, 3), Vec::new());
    let route = OfRoute::default();
    let layout = logspout.syslog(&route, priorities, &Allowed::default(), &mut problems).unwrap();
    let prepared = format!("{:?}", layout.prepare(&web("web")));
    // The stamp and the text.
    assert_eq!(prepared.matches("OfLine(").count(), 2 * 2, "{prepared}");
}

#[test]
fn bare_lines_have_their_own_ends() {
    let lines: &[(Stream, &[u8])] = &[(Stream::Stdout, b"hello"), (Stream::Stderr, b"a\r\nb")];
    for carriage in [Carriage::Datagram, Carriage::Stream] {
        let raw = |variables: &[(&str, &str)], options: &str| {
            let mut encoder = encoder(variables, options, Adapter::Raw, carriage);
            String::from_utf8(bytes_of(&mut encoder, &web("web"), lines)).unwrap()
        };
        assert_eq!(raw(&[], ""), "hello\na\r\nb\n");
        // A SYSLOG_ variable is none of theirs.
        assert_eq!(raw(&SET, ""), "hello\na\r\nb\n");
        assert_eq!(
            raw(&[("RAW_FORMAT", "{{.Source}}:{{.Data}}")], ""),
            "stdout:hellostderr:a\r\nb"
        );
        assert_eq!(raw(&[("RAW_FORMAT", "{{toJSON .Data}}\n")], ""), "\"hello\"\n\"a\\r\\nb\"\n");
        assert_eq!(raw(&[("RAW_FORMAT", "x")], "raw_format={{.ContainerName}} "), "web web ");
    }
}

#[test]
fn a_template_that_fails_costs_a_line_what_stands_in_for_it_and_is_counted() {
    let mut by_container = encoder(
        &[("SYSLOG_HOSTNAME", "{{.Container.Node.Name}}")],
        "",
        Adapter::Syslog,
        Carriage::Stream,
    );
    let mut by_line =
        encoder(&[("SYSLOG_DATA", "{{index .Data 9}}")], "", Adapter::Syslog, Carriage::Stream);
    for (encoder, wanted) in [
        (&mut by_container, " docker-host web 77 - - hello\n"),
        (&mut by_line, " 8dfafdbc3a40 web 77 - - hello\n"),
    ] {
        let container = Arc::new(web("web"));
        let mut builder = ChunkBuilder::default();
        let time = Timestamp::from_nanos(0);
        let (mark, span) = (Mark { time, pieces: 1 }, Span::default());
        builder.push(b"hello", b"", Place { time, stream: Stream::Stdout, mark, span });
        let chunk = builder.take(&container).unwrap();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let encoded = encoder.encode(&chunk, &mut Cache::default(), &mut bytes, &mut ends);
        assert_eq!(encoded.patched, 1);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with(wanted), "{text}");
    }
}

#[test]
fn the_file_with_the_hosts_name_counts_instead_of_the_variable() {
    let value = |name: &str| (name == "SYSLOG_HOSTNAME").then(|| "other".to_owned());
    for (file, wanted) in
        [("node-7\r\n", "node-7"), ("\n", "other"), ("{{.ContainerName}}-h", "web-h")]
    {
        let logspout = Logspout::of(value, Some(file), Zone::utc()).unwrap();
        let plain = Surroundings::plain(Carriage::Stream, Terminal::default());
        let around = Surroundings { adapter: Some(Adapter::Syslog), logspout: &logspout, ..plain };
        let mut encoder = plan(&mut Options::default(), around).unwrap();
        let got = String::from_utf8(bytes_of(&mut encoder, &web("web"), HELLO)).unwrap();
        assert_eq!(got, format!("<14>1 2026-11-22T22:47:16Z {wanted} web 77 - - hello\n"));
    }
}

#[test]
fn our_own_bytes_hold_unless_something_of_logspouts_is_set() {
    let ours = |variables: &[(&str, &str)], options: &str| {
        let mut encoder = encoder(variables, options, Adapter::Syslog, Carriage::Stream);
        String::from_utf8(bytes_of(&mut encoder, &web("web"), HELLO)).unwrap()
    };
    assert!(ours(&[], "").contains("T22:47:16.987654Z docker-host web 8dfafdbc3a40 - - hello"));
    assert!(ours(&[("RAW_FORMAT", "x")], "").contains("T22:47:16.987654Z docker-host"));
    assert!(ours(&SET, "format=rfc5424").contains("T22:47:16.987654Z docker-host"));
    for (variables, options) in [
        (&[("SYSLOG_TCP_FRAMING", "traditional")][..], ""),
        (&[], "append_tag=x"),
        (&[], "format=logspout"),
    ] {
        let got = ours(variables, options);
        assert!(got.starts_with("<14>1 2026-11-22T22:47:16Z 8dfafdbc3a40 web"), "{got}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_variable_and_place() {
    let problems = |pairs: &[(&str, &str)]| {
        let value = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned())
        };
        let problems = Logspout::of(value, None, Zone::utc()).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = problems(&[
        ("SYSLOG_FORMAT", "syslog"),
        ("SYSLOG_TCP_FRAMING", "lf"),
        ("SYSLOG_TAG", "{{.ContainerNam}}"),
        ("SYSLOG_DATA", "{{"),
        ("RAW_FORMAT", "{{nofunction .Data}}"),
    ]);
    assert_eq!(all.len(), 5, "{all:?}");
    for name in
        ["SYSLOG_FORMAT=syslog", "SYSLOG_TCP_FRAMING=lf", "SYSLOG_TAG", "SYSLOG_DATA", "RAW_FORMAT"]
    {
        assert!(all.iter().any(|problem| problem.starts_with(name)), "{name}: {all:?}");
    }
}
