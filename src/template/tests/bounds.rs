//! Limits, and hostile texts and data: always an end, never a panic, never more than allowed.

use proptest::prelude::*;

use super::super::*;
use super::{Message, NAMES, check, outcome};

#[test]
fn a_template_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Template>();
    shared::<Layout>();
    shared::<Zone>();
}

fn fault(text: &str) -> String {
    Template::parse(text, None).unwrap_err().to_string()
}

#[test]
fn a_template_has_limits() {
    assert!(fault(&"x".repeat(MOST_TEXT_BYTES + 1)).contains("has 16385 bytes, 16384 at most"));
    Template::parse(&"x".repeat(MOST_TEXT_BYTES), None).unwrap();
    let blocks = |depth: usize| "{{if 1}}".repeat(depth) + &"{{end}}".repeat(depth);
    Template::parse(&blocks(MOST_DEPTH), None).unwrap();
    assert!(fault(&blocks(MOST_DEPTH + 1)).contains("nested deeper than 32 levels"));
    let parens = |depth: usize| format!("{{{{{}1{}}}}}", "(".repeat(depth), ")".repeat(depth));
    Template::parse(&parens(MOST_DEPTH), None).unwrap();
    assert!(fault(&parens(MOST_DEPTH + 1)).contains("nested deeper"));
    assert!(fault(&"{{1}}".repeat(MOST_NODES)).contains("more than 2000 parts"));
    let long_else = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(300));
    Template::parse(&long_else, None).unwrap();
}

#[test]
fn a_rendering_has_limits() {
    check(&[
        ("{{range 10001}}{{end}}", "!takes more than 10000 steps"),
        ("{{range 4000}}{{$x := 1}}{{$x = 2}}{{end}}", "!takes more than 10000 steps"),
        ("{{range 200}}{{range 200}}{{end}}{{end}}", "!takes more than 10000 steps"),
        ("{{range 9223372036854775807}}{{end}}", "!takes more than 10000 steps"),
        ("{{printf \"%10001d\" 1}}", "!the output is longer than it may be"),
        ("{{$x := printf \"%100000d\" 1}}{{$y := $x}}{{$y = $x}}", "!too much text on the way"),
        ("a{{range 200}}{{printf \"%100d\" 1}}{{end}}", "!the output is longer"),
    ]);
    let message = Message { data: vec![b','; 10_001], ..Message::default() };
    let template = Template::parse("{{len (split .Data \",\")}}", None).unwrap();
    let error = template.render(&message, 100_000, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("more than 10000 parts"), "{error}");
    assert_eq!(outcome("{{len (splitN .Data \",\" 5)}}", &message), "5");
}

#[test]
fn work_of_which_nothing_is_made_has_limits_too() {
    let labels = (0..20_000).map(|n| (n.to_string(), String::new())).collect();
    let message = Message { data: vec![b'2'; 1 << 20], labels, ..Message::default() };
    for (template, wanted) in [
        ("{{contains .Data \"x\"}} {{contains .Data \"2\"}}", "false true"),
        ("{{range 70}}{{if contains $.Data \"x\"}}{{end}}{{end}}", "!looks through too much"),
        ("{{.Time.Format .Data}}", "!the layout has 1048576 bytes, 1024 at most"),
        ("{{.Time.Format (slice .Data 0 1024) | len}}", "1024"),
        ("{{range .Labels}}a{{break}}{{end}}", "a"),
        ("{{range 100}}{{range $.Labels}}{{break}}{{end}}{{end}}", "!looks through too much"),
    ] {
        let given = outcome(template, &message);
        let is_wanted = match wanted.strip_prefix('!') {
            Some(part) => given.starts_with('!') && given.contains(part),
            None => given == wanted,
        };
        assert!(is_wanted, "{template}: {given}");
    }
}

#[test]
fn the_limit_is_met_to_the_byte_and_counts_only_what_is_new() {
    let template = Template::parse("ab{{.Data}}", None).unwrap();
    let mut out = b"before".to_vec();
    template.render(&Message::default(), 7, &mut out).unwrap();
    assert_eq!(out, b"beforeabhello");
    let error = template.render(&Message::default(), 6, &mut out).unwrap_err();
    assert_eq!(out, b"beforeabhello");
    assert_eq!(error.to_string(), "at character 5, <.Data>: the output is longer than it may be");
    assert_eq!(error.position, 5);
    let error = template.render(&Message::default(), 1, &mut out).unwrap_err();
    assert_eq!(error.position, 1);
}

#[test]
fn bytes_that_are_no_text_come_out_as_they_are() {
    let data = b"\xff\x00\xc3(\xe2\x82".to_vec();
    let message = Message { data: data.clone(), ..Message::default() };
    let render = |template: &str| {
        let mut out = Vec::new();
        Template::parse(template, None).unwrap().render(&message, 100, &mut out).unwrap();
        out
    };
    for template in [
        "{{.Data}}",
        "{{printf \"%s\" .Data}}",
        "{{print .Data}}",
        "{{with .Data}}{{.}}{{end}}",
        "{{$x := .Data}}{{$x}}",
        "{{upper .Data}}",
        "{{replace .Data \"x\" \"y\"}}",
        "{{join (split .Data \",\") \",\"}}",
        "{{join (split .Data \"\") \"\"}}",
        "{{slice .Data 0 6}}",
        "{{trim .Data}}",
    ] {
        assert_eq!(render(template), data, "{template}");
    }
    assert_eq!(render("{{slice .Data 3 5}}"), b"(\xe2");
    assert_eq!(render("{{json .Data}}"), br#""\ufffd\u0000\ufffd(\ufffd\ufffd""#);
    assert_eq!(render("{{printf \"%.2s\" .Data}}"), b"\xff\x00");
}

#[test]
fn positions_count_characters() {
    let error = outcome("üüü{{.Container.Nope}}", &Message::default());
    assert!(error.starts_with("!at character 6, <.Container.Nope>:"), "{error}");
    assert!(fault("üüü{{.Data | nope}}").starts_with("at character 14:"));
    let long = format!("{{{{.Container.{}}}}}", "n".repeat(100));
    assert!(
        outcome(&long, &Message::default()).contains(&format!("<.Container.{}…>", "n".repeat(29)))
    );
}

const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    "(",
    ")",
    "|",
    ".Data",
    ".Container",
    ".Labels",
    ".Time",
    ".Nope",
    ".",
    "$",
    "$x",
    ":=",
    "=",
    ",",
    "if",
    "else",
    "end",
    "range",
    "with",
    "break",
    "continue",
    "\"a\"",
    "\"%*d%s%[2]q\"",
    "`b`",
    "'c'",
    "1",
    "-1",
    "1.5",
    "1e99",
    "true",
    "nil",
    "index",
    "slice",
    "printf",
    "print",
    "json",
    "split",
    "join",
    "replace",
    "len",
    "and",
    "or",
    "eq",
    "lt",
    "upper",
    "default",
    "env",
    ".Format",
    ".Month",
    "/*",
    "*/",
    "ü",
    "\n",
    "text",
    "99999999",
    "9223372036854775807",
    "{{range 9}}",
    "{{.Data}}",
    "{{end}}",
    "{{else}}",
];

// Texts that come near to templates.
fn near_template() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(PIECES);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

// Actions that mostly parse, with arguments of all kinds.
fn likely_template() -> impl Strategy<Value = String> {
    let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
    let argument = prop::sample::select(vec![
        ".Data",
        ".",
        ".Labels",
        ".Container",
        ".Container.Config.Env",
        ".Time",
        ".Time.Month",
        ".Free",
        ".Nothing",
        ".Labels.nope",
        "\"\"",
        "\"a\"",
        "\"%v %d %q %x %s %10.3f %+v %T %c %U\"",
        "0",
        "1",
        "-1",
        "99999",
        "9223372036854775807",
        "1.5",
        "true",
        "nil",
        "(split .Data \"\")",
        "(print .Data .Data)",
        "(slice .Data 1)",
        "(printf \"%*d\" 9 9)",
    ]);
    let call = (prop::sample::select(names), prop::collection::vec(argument, 0..5))
        .prop_map(|(name, arguments)| format!("{name} {}", arguments.join(" ")));
    let pipe = prop::collection::vec(call, 1..4).prop_map(|calls| calls.join(" | "));
    prop::collection::vec(pipe, 1..4).prop_map(|pipes| {
        pipes.iter().map(|pipe| format!("{{{{{pipe}}}}}")).collect::<Vec<_>>().join("x")
    })
}

fn render_within(text: &str, data: &[u8], limit: usize) {
    for names in [None, Some(NAMES)] {
        match Template::parse(text, names) {
            Ok(template) => {
                let labels = [("k".to_owned(), String::from_utf8_lossy(data).into_owned())].into();
                let message = Message { data: data.to_vec(), labels, ..Message::default() };
                let mut out = b"before".to_vec();
                match template.render(&message, limit, &mut out) {
                    Ok(()) => {
                        assert!(out.starts_with(b"before") && out.len() <= 6 + limit);
                        if let Some(constant) = template.constant() {
                            assert_eq!(out.get(6..).unwrap(), constant.as_bytes());
                        }
                    }
                    Err(error) => {
                        assert_eq!(out, b"before");
                        assert!(
                            (1..=text.chars().count() + 1).contains(&error.position),
                            "{error}"
                        );
                    }
                }
            }
            Err(fault) => {
                assert!((1..=text.chars().count() + 1).contains(&fault.position), "{fault}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_text_is_a_template_or_a_fault(text in ".{0,200}") {
        render_within(&text, b"x", 100);
    }

    #[test]
    fn what_comes_near_to_a_template_ends_within_its_limits(
        text in near_template(),
        data in prop::collection::vec(any::<u8>(), 0..50),
        limit in 0..500_usize,
    ) {
        render_within(&text, &data, limit);
    }

    #[test]
    fn what_is_a_template_ends_within_its_limits(
        text in likely_template(),
        data in prop::collection::vec(any::<u8>(), 0..50),
        limit in 0..5_000_usize,
    ) {
        render_within(&text, &data, limit);
    }

    #[test]
    fn any_format_of_printf_ends(
        format in "(%[-+# 0]{0,2}(\\[[0-9]\\])?([0-9]{0,9}|\\*)(\\.([0-9]{0,9}|\\*))?[vdsqxXobcUtTefgGEO%z]?|.){0,6}",
        data in prop::collection::vec(any::<u8>(), 0..20),
        limit in 0..5_000_usize,
    ) {
        let quoted = format.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("{{{{printf \"{quoted}\" .Data 7 -7 2.5 .Labels .Time nil}}}}");
        render_within(&text, &data, limit);
    }

    #[test]
    fn json_is_read_back_by_another_reader(text in any::<String>(), float in any::<f64>()) {
        let json = |template: &str, message: &Message| {
            let mut out = Vec::new();
            Template::parse(template, None).unwrap().render(message, 9_999, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let message = Message { data: text.clone().into_bytes(), ..Message::default() };
        let read: String = serde_json::from_str(&json("{{json .Data}}", &message)).unwrap();
        prop_assert_eq!(read, text);
        let written = json(&format!("{{{{json {float:e}}}}}"), &message);
        prop_assert!(serde_json::from_str::<serde_json::Number>(&written).is_ok());
        // serde_json does not read the last digit exactly; the standard library does.
        prop_assert_eq!(written.parse::<f64>(), Ok(float));
    }

    #[test]
    fn printf_writes_numbers_as_rust_does(int in any::<i32>(), float in -1e9..1e9_f64) {
        let text = format!("{{{{printf \"%d %08d %+d %#x %9.3f|%-12.1f|%.2e\" {int} {int} {int} {0} {float:.9} {float:.9} 1.5}}}}", int.unsigned_abs());
        let float: f64 = format!("{float:.9}").parse().unwrap();
        let wanted = format!("{int} {int:08} {int:+} {0:#x} {float:9.3}|{float:<12.1}|1.50e+00", int.unsigned_abs());
        prop_assert_eq!(outcome(&text, &Message::default()), wanted);
    }

    #[test]
    fn any_layout_can_be_written(layout in ".{0,60}", nanos in any::<i64>()) {
        let mut out = Vec::new();
        format_time(&layout, crate::record::Timestamp::from_nanos(nanos), &Zone::utc(), &mut out);
        prop_assert!(String::from_utf8(out).is_ok());
    }

    #[test]
    fn quoted_literals_read_back(text in ".{0,40}") {
        let quoted = String::from_utf8(quote::string(text.as_bytes(), false, false)).unwrap();
        prop_assert_eq!(literal::string(&quoted), Ok(text.into_bytes()));
    }
}
