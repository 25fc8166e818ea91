//! Templates: any text is a template or a fault that names a place in it; any data ends in output
//! within the limit, or in an error that leaves the output as it was; and what was made of nothing
//! but text is that text.
#![no_main]

use std::collections::BTreeMap;

use downspout::record::Timestamp;
use downspout::template::{Data, Template, Value, Zone};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 4096;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    text: &'a str,
    /// Put between `{{` and `}}`, so that more texts are templates.
    is_action: bool,
    message: Message<'a>,
}

#[derive(Debug, Arbitrary)]
struct Message<'a> {
    data: &'a [u8],
    labels: BTreeMap<String, String>,
    nanos: i64,
}

static UTC: Zone = Zone::utc();

impl Data for Message<'_> {
    fn field(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "Data" => Some(self.data.into()),
            "Labels" => Some(Value::Labels(&self.labels)),
            "Time" => Some(Value::Time(Timestamp::from_nanos(self.nanos), &UTC)),
            _ => None,
        }
    }

    fn method(&self, name: &str, _: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        (name == "env").then(|| Ok("value".into()))
    }

    fn members(&self) -> Vec<(&str, Value<'_>)> {
        ["Data", "Labels", "Time"]
            .iter()
            .filter_map(|name| Some((*name, self.field(name)?)))
            .collect()
    }
}

fuzz_target!(|input: Input<'_>| {
    let text = if input.is_action { format!("{{{{{}}}}}", input.text) } else { input.text.into() };
    let places = 1..=text.chars().count() + 1;
    let template = match Template::parse(&text, None) {
        Ok(template) => template,
        Err(fault) => {
            assert!(places.contains(&fault.position), "{fault}");
            return;
        }
    };
    let mut out = b"before".to_vec();
    match template.render(&input.message, LIMIT, &mut out) {
        Ok(()) => {
            assert!(out.starts_with(b"before") && out.len() <= LIMIT + 6);
            if let Some(constant) = template.constant() {
                assert_eq!(&out[6..], constant.as_bytes());
            }
        }
        Err(error) => {
            assert!(places.contains(&error.position), "{error}");
            assert_eq!(out, b"before", "{error}");
        }
    }
});
