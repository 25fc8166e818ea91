//! The options of a route that choose its encoding, checked together. Never opens anything.

mod rows;
mod values;

use std::sync::LazyLock;

use super::console::Console;
use super::json::Json;
use super::logspout::{Adapter, Logspout, OfRoute};
use super::names::Names;
use super::raw::Raw;
use super::rfc3164::Rfc3164;
use super::rfc5424::{Rfc5424, Structured};
use super::{Encoder, Format, Framing, Priorities, default_framing};
use crate::options::{OptionSpec, Options, parse_facility, parse_severity};
use crate::output::Carriage;
use crate::select::Allowed;

use rows::{
    APPEND_TAG, FACILITY, FORMAT, FRAMING, HOSTNAME, LABELS, MAX_MESSAGE_BYTES, RAW_FORMAT, SD,
    SD_ENTERPRISE, SD_LABELS, SEVERITY_STDERR, SEVERITY_STDOUT, STRUCTURED_DATA, TAG, UTC_OFFSET,
};
pub use rows::{NAME_OPTIONS, OPTIONS};
use values::{
    ANY_RAW, Name, OWN, SYSLOG, parse_enterprise, parse_framing, parse_labels,
    parse_max_message_bytes, parse_names, parse_sd, parse_utc_offset,
};

/// What is known of the terminal that standard output may be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminal {
    /// Standard output is a terminal: names are aligned, terminal commands in lines disarmed.
    pub attached: bool,
    /// Colours may be used; if nothing is attached, they were forced.
    pub colour: bool,
}

/// What decides of an encoding beside a route's options.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// How the transport tells frames apart.
    pub carriage: Carriage,
    /// What standard output is.
    pub terminal: Terminal,
    /// Which of logspout's adapters the scheme names, if any.
    pub adapter: Option<Adapter>,
    /// What logspout's variables say.
    pub logspout: &'a Logspout,
    /// What a container may ask for by its labels.
    pub allowed: &'a Allowed,
}

impl Surroundings<'static> {
    /// Those of a scheme of our own, where nothing of logspout's is set and labels have no say.
    pub fn plain(carriage: Carriage, terminal: Terminal) -> Self {
        static UNSET: LazyLock<Logspout> = LazyLock::new(Logspout::unset);
        static NONE: Allowed = Allowed::none();
        Self { carriage, terminal, adapter: None, logspout: &UNSET, allowed: &NONE }
    }
}

/// Takes the options of `OPTIONS` and of `NAME_OPTIONS` and makes the encoder they describe. `None` if one of them is
/// wrong or two contradict each other: `options` then holds the problems, all of them.
pub fn plan(options: &mut Options, around: Surroundings<'_>) -> Option<Encoder> {
    let Surroundings { terminal, logspout, allowed, .. } = around;
    let is_given = |spec| options.is_given(spec);
    let wants_logspout = is_given(&APPEND_TAG) || is_given(&STRUCTURED_DATA);
    let mut taking = Taking { options, around, format: None, sound: true };
    taking.format(wants_logspout);
    let framing = taking.framing();
    let priorities = Priorities::new(
        taking.fitting(&FACILITY, SYSLOG, parse_facility).unwrap_or(1),
        taking.fitting(&SEVERITY_STDOUT, SYSLOG, parse_severity).unwrap_or(6),
        taking.fitting(&SEVERITY_STDERR, SYSLOG, parse_severity).unwrap_or(3),
    );
    let structured = taking.structured();
    let utc_offset = taking.fitting(&UTC_OFFSET, &[Name::Rfc3164], parse_utc_offset).unwrap_or(0);
    let labels = taking.fitting(&LABELS, &[Name::Json], parse_labels).unwrap_or(false);
    let (mut tag, mut hostname) = (None, None);
    if around.carriage != Carriage::Events {
        tag = taking.fitting(&TAG, OWN, Names::template);
        hostname = taking.fitting(&HOSTNAME, OWN, Names::template);
    }
    let names = Names::new(tag, hostname, allowed.clone(), priorities);
    let of_route = taking.of_route();
    let name = taking.format.filter(|_| taking.sound)?;
    let format: Box<dyn Format> = match name {
        Name::Rfc5424 => Box::new(Rfc5424 { names, structured }),
        Name::Rfc3164 => Box::new(Rfc3164 { names, utc_offset }),
        Name::Logspout => {
            let layout =
                |problems: &mut _| logspout.syslog(&of_route, priorities, allowed, problems);
            taking.made(layout)?
        }
        Name::LogspoutRaw => taking.made(|problems| logspout.raw(&of_route, problems))?,
        Name::Raw => match &of_route.raw_format {
            Some(_) => taking.made(|problems| logspout.framed_raw(&of_route, problems))?,
            None => Box::new(Raw),
        },
        Name::Json => Box::new(Json { names, labels }),
        Name::Console => Box::new(Console::new(terminal)),
    };
    Some(Encoder::new(format, framing).called(name.word()))
}

// rsyslog and syslog-ng take 8 KiB unless told otherwise; RFC 5426 section 3.2 wants receivers to
// take 2 KiB.
const MAX_DATAGRAM_DEFAULT: usize = 8 << 10;
// The largest UDP payload over IPv4, which logspout sends.
const MAX_UDP_BYTES: usize = 65_507;
// What version 1 of RELP allows. A server that ends the connection at more would get the same
// message again, for ever.
const MAX_RELP_MESSAGE_DEFAULT: usize = 128 << 10;

/// Takes options one by one, remembering whether all were right.
struct Taking<'a> {
    options: &'a mut Options,
    around: Surroundings<'a>,
    // `None` if the option names no format; then nothing can be said about what fits it.
    format: Option<Name>,
    sound: bool,
}

impl Taking<'_> {
    fn refuse(&mut self, text: String) {
        self.sound = false;
        self.options.problem(text);
    }

    // Whether the option was given, and its value if that was right.
    fn take<T>(
        &mut self,
        spec: &OptionSpec,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> (bool, Option<T>) {
        let seen = std::cell::Cell::new(false);
        let value = self.options.parsed(spec, |text| {
            seen.set(true);
            parse(text)
        });
        self.sound &= !seen.get() || value.is_some();
        (seen.get(), value)
    }

    // An option that only some formats have.
    fn fitting<T>(
        &mut self,
        spec: &OptionSpec,
        formats: &[Name],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (seen, value) = self.take(spec, parse);
        if let (true, Some(format)) = (seen, self.format)
            && !formats.contains(&format)
        {
            let name = spec.name;
            let cure: Vec<_> = formats.iter().map(ToString::to_string).collect();
            let cure = cure.join(" or ");
            self.refuse(format!(
                "option '{name}' says nothing with {format}; set {cure}, or leave '{name}' out"
            ));
        }
        value
    }

    fn format(&mut self, wants_logspout: bool) {
        let Surroundings { carriage, adapter, logspout, .. } = self.around;
        let is_logspout = wants_logspout || logspout.is_asked_for;
        let default = match (carriage, adapter) {
            (Carriage::Text, _) => Name::Console,
            (Carriage::Events, _) => Name::Raw,
            (_, Some(Adapter::Raw)) => Name::LogspoutRaw,
            (_, Some(Adapter::Syslog)) if is_logspout => Name::Logspout,
            _ => Name::Rfc5424,
        };
        let (seen, format) = self.take(&FORMAT, Name::parse);
        self.format = match (seen, format) {
            (true, Some(Name::Raw)) if adapter == Some(Adapter::Raw) => Some(Name::LogspoutRaw),
            (true, format) => format,
            (false, _) => Some(default),
        };
        if self.format == Some(Name::Console) && carriage != Carriage::Text {
            self.refuse(
                "option 'format=console' is for people in front of standard output, not for a \
                 network destination; set format=rfc5424 or format=json, or leave 'format' out"
                    .into(),
            );
        }
    }

    fn of_route(&mut self) -> OfRoute {
        const LOGSPOUT: &[Name] = &[Name::Logspout];
        let text = |text: &str| Ok(text.to_owned());
        OfRoute {
            append_tag: self.fitting(&APPEND_TAG, LOGSPOUT, text),
            structured_data: self.fitting(&STRUCTURED_DATA, LOGSPOUT, text),
            raw_format: self.fitting(&RAW_FORMAT, ANY_RAW, text),
        }
    }

    // What is wrong with the templates of a route is said with its other problems.
    fn made<T: Format + 'static>(
        &mut self,
        make: impl FnOnce(&mut Vec<String>) -> Option<T>,
    ) -> Option<Box<dyn Format>> {
        let mut problems = Vec::new();
        let format = make(&mut problems);
        for problem in problems {
            self.refuse(problem);
        }
        Some(Box::new(format?))
    }

    fn framing(&mut self) -> Framing {
        let (framing_seen, framing) = self.take(&FRAMING, parse_framing);
        let carriage = self.around.carriage;
        let (max_seen, max) =
            self.take(&MAX_MESSAGE_BYTES, |text| parse_max_message_bytes(text, carriage));
        let (ends, max_default) = match carriage {
            Carriage::Datagram => ("each datagram is one frame", self.max_datagram()),
            Carriage::Messages => ("each message has its length", MAX_RELP_MESSAGE_DEFAULT),
            Carriage::Stream | Carriage::Lines | Carriage::Text => ("each line is one frame", 0),
            Carriage::Events => ("each line is an event", 0),
        };
        if framing_seen && !matches!(carriage, Carriage::Stream | Carriage::Lines) {
            self.refuse(format!(
                "option 'framing' is for byte streams such as syslog+tcp, and here {ends}; leave \
                 'framing' out"
            ));
        }
        if max_seen && !matches!(carriage, Carriage::Datagram | Carriage::Messages) {
            self.refuse(
                "option 'max_message_bytes' limits datagrams and RELP messages, and this \
                 destination has none; leave 'max_message_bytes' out"
                    .into(),
            );
        }
        let default = default_framing(carriage, max.unwrap_or(max_default));
        let is_stream = !matches!(default, Framing::Datagram { .. });
        let is_counted = self.around.logspout.is_counted && carriage == Carriage::Stream;
        match (self.format, framing) {
            (_, Some(Framing::OctetCounting)) => Framing::OctetCounting,
            (Some(Name::Logspout), None) if is_counted => Framing::OctetCounting,
            (Some(Name::Logspout), _) if is_stream => Framing::BareLf,
            // It brings the ends of its lines itself.
            (Some(Name::LogspoutRaw), _) if is_stream => Framing::Datagram { max: usize::MAX },
            (_, Some(framing)) => framing,
            (Some(Name::Raw | Name::Json), None) if is_stream => Framing::Lf,
            _ => default,
        }
    }

    fn max_datagram(&self) -> usize {
        match self.format {
            Some(Name::Logspout | Name::LogspoutRaw) => MAX_UDP_BYTES,
            _ => MAX_DATAGRAM_DEFAULT,
        }
    }

    fn structured(&mut self) -> Structured {
        const RFC5424: &[Name] = &[Name::Rfc5424];
        let (container, meta) = self.fitting(&SD, RFC5424, parse_sd).unwrap_or_default();
        let labels = self.fitting(&SD_LABELS, RFC5424, parse_names);
        let enterprise = self.fitting(&SD_ENTERPRISE, RFC5424, parse_enterprise);
        let without_element =
            [(SD_LABELS, labels.is_some()), (SD_ENTERPRISE, enterprise.is_some())];
        for (OptionSpec { name, .. }, given) in without_element {
            if given && !container && self.format == Some(Name::Rfc5424) {
                self.refuse(format!(
                    "option '{name}' belongs to the container element, which 'sd' does not ask \
                     for; set sd=container or sd=container+meta, or leave '{name}' out"
                ));
            }
        }
        Structured {
            container,
            meta,
            labels: labels.unwrap_or_default(),
            enterprise: enterprise.unwrap_or(32_473),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Options {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Options::new(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
    }

    fn problems(text: &str, carriage: Carriage) -> Vec<String> {
        let mut options = given(text);
        let encoder = plan(&mut options, Surroundings::plain(carriage, Terminal::default()));
        let problems: Vec<_> =
            options.finish(&[OPTIONS, NAME_OPTIONS]).iter().map(ToString::to_string).collect();
        assert_eq!(encoder.is_none(), !problems.is_empty(), "{text}: {problems:?}");
        problems
    }

    fn planned(text: &str, carriage: Carriage) -> Encoder {
        let around = Surroundings::plain(carriage, Terminal::default());
        plan(&mut given(text), around).unwrap()
    }

    #[test]
    fn each_transport_has_its_default_format_and_framing() {
        let datagram = Framing::Datagram { max: 8192 };
        let message = Framing::Datagram { max: 131_072 };
        for (text, carriage, format, framing) in [
            ("", Carriage::Messages, "Rfc5424", message),
            ("format=raw", Carriage::Messages, "Raw", message),
            ("", Carriage::Datagram, "Rfc5424", datagram),
            ("", Carriage::Stream, "Rfc5424", Framing::OctetCounting),
            ("", Carriage::Lines, "Rfc5424", Framing::Lf),
            ("", Carriage::Text, "Console", Framing::Lf),
            ("format=rfc3164", Carriage::Stream, "Rfc3164", Framing::OctetCounting),
            ("format=raw", Carriage::Stream, "Raw", Framing::Lf),
            ("format=json", Carriage::Stream, "Json", Framing::Lf),
            ("format=json", Carriage::Datagram, "Json", datagram),
            ("format=json", Carriage::Text, "Json", Framing::Lf),
            ("format=rfc5424", Carriage::Text, "Rfc5424", Framing::Lf),
        ] {
            let encoder = planned(text, carriage);
            assert!(format!("{:?}", encoder.format).starts_with(format), "{text} {carriage:?}");
            assert_eq!(encoder.framing, framing, "{text} {carriage:?}");
        }
    }

    #[test]
    fn options_given_are_used() {
        let framing = |text, carriage| planned(text, carriage).framing;
        assert_eq!(framing("framing=lf", Carriage::Stream), Framing::Lf);
        assert_eq!(
            framing("format=json&framing=octet-counting", Carriage::Stream),
            Framing::OctetCounting
        );
        assert_eq!(
            framing("max_message_bytes=2k", Carriage::Datagram),
            Framing::Datagram { max: 2048 }
        );
        assert_eq!(
            framing("max_message_bytes=32m", Carriage::Messages),
            Framing::Datagram { max: 32 << 20 }
        );
        let shown = |text| format!("{:?}", planned(text, Carriage::Stream).format);
        let priorities = shown("facility=local7&severity_stdout=debug&severity_stderr=0");
        assert!(priorities.contains("stdout: 191, stderr: 184"), "{priorities}");
        assert!(shown("").contains("stdout: 14, stderr: 11"));
        assert!(shown("format=rfc3164&utc_offset=-05:30").contains("utc_offset: -19800"));
        assert!(shown("format=json&labels=all").contains("labels: true"));
        let structured = shown("sd=container+meta&sd_labels=a+b&sd_enterprise=9");
        let expected = r#"container: true, meta: true, labels: ["a", "b"], enterprise: 9"#;
        assert!(structured.contains(expected), "{structured}");
        assert!(shown("sd=meta").contains("container: false, meta: true"));
    }

    #[test]
    fn contradictions_name_both_options_and_the_cure() {
        use Carriage::{Datagram, Messages, Stream, Text};
        for (text, carriage, words) in [
            ("framing=lf", Datagram, "'framing'|leave 'framing' out"),
            ("framing=lf", Messages, "'framing'|leave 'framing' out"),
            ("framing=lf", Text, "'framing'|leave 'framing' out"),
            ("max_message_bytes=2k", Stream, "'max_message_bytes'|out"),
            ("utc_offset=+02:00", Stream, "'utc_offset'|=rfc5424|set format=rfc3164"),
            ("format=rfc3164&sd=meta", Stream, "'sd'|=rfc3164|set format=rfc5424"),
            ("labels=all", Stream, "'labels'|=rfc5424|set format=json"),
            ("format=json&facility=user", Stream, "'facility'|=json|=rfc3164"),
            ("format=raw&severity_stdout=1", Stream, "'severity_stdout'|=raw"),
            ("severity_stderr=1", Text, "'severity_stderr'|=console"),
            ("format=console", Stream, "format=console|set format=rfc5424"),
            ("sd_labels=a", Stream, "'sd_labels'|'sd'|set sd=container"),
            ("sd=meta&sd_enterprise=1", Stream, "'sd_enterprise'|'sd'|set sd=container"),
        ] {
            let problems = problems(text, carriage);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            for word in words.split('|') {
                assert!(problems[0].contains(word), "{text}: {problems:?} lacks {word}");
            }
        }
    }

    #[test]
    fn wrong_values_are_all_reported_at_once_with_what_was_expected() {
        for (text, carriage) in [
            ("format=syslog", Carriage::Stream),
            ("framing=crlf", Carriage::Stream),
            ("facility=24", Carriage::Stream),
            ("facility=local8", Carriage::Stream),
            ("severity_stdout=8", Carriage::Stream),
            ("severity_stderr=loud", Carriage::Stream),
            ("sd=none+meta", Carriage::Stream),
            ("sd=container&sd_labels=a++b", Carriage::Stream),
            ("sd=container&sd_enterprise=x", Carriage::Stream),
            ("format=rfc3164&utc_offset=02:00", Carriage::Stream),
            ("format=rfc3164&utc_offset=+2:00", Carriage::Stream),
            ("format=rfc3164&utc_offset=+24:00", Carriage::Stream),
            ("format=json&labels=some", Carriage::Stream),
            ("max_message_bytes=479", Carriage::Datagram),
            ("max_message_bytes=64KiB", Carriage::Datagram),
            ("max_message_bytes=33m", Carriage::Messages),
        ] {
            let problems = problems(text, carriage);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].contains("expected"), "{text}: {problems:?}");
        }
        let all = "format=x&framing=y&facility=z&labels=q&sd=r&utc_offset=s";
        assert_eq!(problems(all, Carriage::Stream).len(), 6);
    }

    #[test]
    fn every_row_is_taken() {
        let leftovers: Vec<_> = OPTIONS
            .iter()
            .flat_map(|spec| problems(&format!("{}=?", spec.name), Carriage::Stream))
            .filter(|problem| problem.starts_with("unknown option"))
            .collect();
        assert!(leftovers.is_empty(), "{leftovers:?}");
    }

    #[test]
    fn the_defaults_in_the_table_are_the_defaults_in_the_code() {
        let shown = |text: &str, carriage| format!("{:?}", planned(text, carriage));
        for (spec, with) in [
            (FORMAT, ""),
            (FRAMING, ""),
            (FACILITY, ""),
            (SEVERITY_STDOUT, ""),
            (SEVERITY_STDERR, ""),
            (SD, ""),
            (SD_ENTERPRISE, "sd=container"),
            (UTC_OFFSET, "format=rfc3164"),
            (LABELS, "format=json"),
        ] {
            let written = format!("{}={}&{with}", spec.name, spec.default);
            let (written, left_out) =
                (shown(&written, Carriage::Stream), shown(with, Carriage::Stream));
            assert_eq!(written, left_out, "{}", spec.name);
        }
        let written = format!("{}={}", MAX_MESSAGE_BYTES.name, MAX_MESSAGE_BYTES.default);
        assert_eq!(shown(&written, Carriage::Datagram), shown("", Carriage::Datagram));
    }
}
