//! F41: n lines in are n frames out, whatever bytes the lines hold.

use crate::support::agent::Launch;
use crate::support::engine::Engine;
use crate::support::receiver::{Framing, TcpReceiver};
use crate::support::{SOON, check};

/// Lines that have broken receivers: counts and headers within, quotes, brackets, ends of line.
fn lines() -> Vec<Vec<u8>> {
    let all: Vec<u8> = (0..=255).collect();
    let (head, tail) = (all[..10].to_vec(), all[11..].to_vec());
    let text = [
        "123 <13>1 2026-01-01T00:00:00Z host app - - - fake",
        "<13>fake",
        "",
        "]\\\"[x y=\"z\"] %s %n",
        "carriage return\r",
        "a\rb",
        " leading and trailing ",
        "\u{feff}byte order mark",
        "\0",
        "é 漢 \u{1f600}",
    ];
    let mut lines = vec![head, tail];
    lines.extend(text.map(|line| line.as_bytes().to_vec()));
    lines.push(b"\xc3".to_vec());
    lines.push(b"\xed\xa0\x80\xfe\xff".to_vec());
    lines.push(b"\x1b[31mred\x1b[0m".to_vec());
    lines.push(b"the end".to_vec());
    lines
}

fn escaped(line: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        0 => b"#000".to_vec(),
        b'\n' => b"#012".to_vec(),
        b'\r' => b"#015".to_vec(),
        other => vec![*other],
    };
    line.iter().flat_map(escape).collect()
}

// The message of a frame of this container, by the header's shape alone.
fn message<'a>(frame: &'a [u8], format: &str, name: &str) -> Option<&'a [u8]> {
    let name_at = frame.windows(name.len()).position(|part| part == name.as_bytes())?;
    assert!(frame.starts_with(b"<14>"), "{}", frame.escape_ascii());
    let rest = &frame[name_at..];
    match format {
        "rfc5424" => rest.splitn(5, |byte| *byte == b' ').nth(4),
        _ => rest.windows(2).position(|part| part == b": ").map(|at| &rest[at + 2..]),
    }
}

#[test]
fn f41_every_line_is_one_frame_and_keeps_its_bytes() {
    let engine = Engine::new("bytes");
    let mut launch = Launch::new();
    let mut receivers = Vec::new();
    for framing in [Framing::OctetCounting, Framing::Lf] {
        for format in ["rfc5424", "rfc3164"] {
            let receiver = TcpReceiver::scripted(framing, []);
            let options = format!("?framing={}&format={format}", framing.option());
            launch = launch.arg(receiver.route() + &options);
            receivers.push((receiver, framing, format));
        }
    }
    let _agent = launch.ready();
    let lines = lines();
    let octal =
        |line: &Vec<u8>| line.iter().map(|byte| format!("\\{byte:03o}")).collect::<String>();
    let script: String =
        lines.iter().map(|line| format!("printf '{}\\n'; ", octal(line))).collect();
    let name = engine.container("a").driver("local").run(&script);
    for (receiver, framing, format) in receivers {
        let what = format!("every line by {format} with {framing:?}");
        let messages = receiver.inbox.wait(&what, SOON, |frames| {
            let own = frames.iter().filter_map(|frame| message(&frame.bytes, format, &name));
            let messages: Vec<Vec<u8>> = own.map(<[u8]>::to_vec).collect();
            let last = messages.last().is_some_and(|message| message == b"the end");
            check(last, || format!("{} frames came", messages.len()))?;
            Ok(messages)
        });
        let keep = framing == Framing::OctetCounting;
        let wanted: Vec<_> =
            lines.iter().map(|line| if keep { line.clone() } else { escaped(line) }).collect();
        let show = |lines: &[Vec<u8>]| {
            lines.iter().map(|line| line.escape_ascii().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(show(&messages), show(&wanted), "{what}");
        receiver.inbox.assert_nothing_garbled();
    }
}
