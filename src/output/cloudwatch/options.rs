//! The options of a route to CloudWatch Logs, under our names and under those that Docker's
//! awslogs driver and logspout's modules use. Never connects.

mod values;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::naming::{self, Names};
use crate::net::tls;
use crate::options::{OptionSpec, Options, parse_flag};
use crate::output::Target;
use crate::template::Template;
use values::{
    arn, class, empty_lines, endpoint, flush, in_flight, kms_key, region, retention_days, tags,
};

/// Rows of all options, aliases last.
pub(super) const OPTIONS: &[OptionSpec] = &[
    REGION,
    GROUP,
    STREAM,
    ENDPOINT,
    CREATE_GROUP,
    CREATE_STREAM,
    RETENTION_DAYS,
    KMS_KEY,
    TAGS,
    CLASS,
    FLUSH,
    IN_FLIGHT,
    GZIP,
    EMPTY_LINES,
    ROLE_ARN,
    EXTERNAL_ID,
    CONTAINER_STREAM_PREFIX,
    tls::CA,
    AWSLOGS_REGION,
    AWSLOGS_GROUP,
    AWSLOGS_STREAM,
    AWSLOGS_TAG,
    AWSLOGS_ENDPOINT,
    AWSLOGS_CREATE_GROUP,
    AWSLOGS_CREATE_STREAM,
    LOGSPOUT_GROUP,
    LOGSPOUT_STREAM,
    LOGSPOUT_DELAY,
];

const fn row(
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    help: &'static str,
) -> OptionSpec {
    OptionSpec { name, default, unit, help }
}

const REGION: OptionSpec = row(
    "region",
    "auto",
    "region or auto",
    "The AWS region, if the URI's host is not one. auto: AWS_REGION, AWS_DEFAULT_REGION, the profile, \
     or the instance's own.",
);
const GROUP: OptionSpec = row(
    "group",
    "",
    "template",
    "The log group. Fields as in {{.Name}}: Name, ID, FullID, ImageName, LoggerHost, InstanceID, Region, \
     Stream, Date, and labels as {{.Label \"key\"}}.",
);
const STREAM: OptionSpec = row(
    "stream",
    "{{.Name}}",
    "template",
    "The log stream, with the same fields. Where a label is missing, the container's name.",
);
const ENDPOINT: OptionSpec = row(
    "endpoint",
    "",
    "URL",
    "Where the service is, instead of the region's own endpoint: an interface VPC endpoint, FIPS, an \
     emulator.",
);
const CREATE_GROUP: OptionSpec = row(
    "create_group",
    "false",
    "true|false",
    "Make a log group that is missing; with retention_days, kms_key, tags and class, which count only \
     then.",
);
const CREATE_STREAM: OptionSpec =
    row("create_stream", "true", "true|false", "Make log streams that are missing.");
const RETENTION_DAYS: OptionSpec = row(
    "retention_days",
    "",
    "days",
    "How long a group that is made keeps events: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, \
     731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653; for ever by default.",
);
const KMS_KEY: OptionSpec =
    row("kms_key", "", "ARN", "The key that encrypts a group that is made.");
const TAGS: OptionSpec = row(
    "tags",
    "",
    "KEY=VALUE,KEY=VALUE",
    "Tags of a group that is made, 50 at most; in a URI the comma is written %2C.",
);
const CLASS: OptionSpec = row(
    "class",
    "",
    "STANDARD|INFREQUENT_ACCESS|…",
    "The log class of a group that is made; it cannot be changed later.",
);
const FLUSH: OptionSpec = row(
    "flush",
    "5s",
    "duration",
    "How long the first line of a batch waits for others, from 10ms to 5m; while the service throttles, \
     up to 60s.",
);
const IN_FLIGHT: OptionSpec =
    row("in_flight", "8", "1 to 64", "Calls on their way at most, one for each stream.");
const GZIP: OptionSpec = row(
    "gzip",
    "true",
    "true|false",
    "Compress requests; not any more once the endpoint refuses it.",
);
const EMPTY_LINES: OptionSpec = row(
    "empty_lines",
    "skip",
    "skip|space",
    "What becomes of lines without text, which the service does not take: they are left out and \
     counted, or sent as a space.",
);
const ROLE_ARN: OptionSpec =
    row("role_arn", "", "ARN", "A role to assume with the credentials found, for another account.");
const EXTERNAL_ID: OptionSpec =
    row("external_id", "", "text", "The external id that the role asks for.");
const CONTAINER_STREAM_PREFIX: OptionSpec = row(
    "container_stream_prefix",
    "",
    "text",
    "Lets a container choose its stream, by its label downspout.stream or LOGSPOUT_STREAM or its \
     variable DOWNSPOUT_STREAM or LOGSPOUT_STREAM; this always stands before it. Without it a container \
     has no say.",
);

const AWSLOGS_REGION: OptionSpec = row("awslogs-region", "", "region", "Docker's name of region.");
const AWSLOGS_GROUP: OptionSpec = row("awslogs-group", "", "template", "Docker's name of group.");
const AWSLOGS_STREAM: OptionSpec =
    row("awslogs-stream", "", "template", "Docker's name of stream.");
const AWSLOGS_TAG: OptionSpec = row("tag", "", "template", "Docker's other name of stream.");
const AWSLOGS_ENDPOINT: OptionSpec =
    row("awslogs-endpoint", "", "URL", "Docker's name of endpoint.");
const AWSLOGS_CREATE_GROUP: OptionSpec =
    row("awslogs-create-group", "", "true|false", "Docker's name of create_group.");
const AWSLOGS_CREATE_STREAM: OptionSpec =
    row("awslogs-create-stream", "", "true|false", "Docker's name of create_stream.");
const LOGSPOUT_GROUP: OptionSpec =
    row("LOGSPOUT_GROUP", "", "template", "logspout's name of group.");
const LOGSPOUT_STREAM: OptionSpec =
    row("LOGSPOUT_STREAM", "", "template", "logspout's name of stream.");
const LOGSPOUT_DELAY: OptionSpec = row("DELAY", "", "seconds", "logspout's name of flush.");

/// What a route says.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// `None` to find it out.
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) names: Names,
    pub(super) creation: Creation,
    pub(super) flush: Duration,
    pub(super) in_flight: usize,
    pub(super) gzip: bool,
    pub(super) empty_as_space: bool,
    pub(super) role: Option<Role>,
    pub(super) ca: Option<PathBuf>,
}

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) external_id: Option<String>,
}

/// What may be made, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Creation {
    pub(super) group: bool,
    pub(super) stream: bool,
    pub(super) retention_days: Option<i32>,
    pub(super) kms_key: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) class: Option<String>,
}

impl Settings {
    /// Takes all options. `None` if one of them is wrong: `options` then has the problems.
    pub(super) fn take(target: &Target, options: &mut Options) -> Option<Self> {
        let mut taking = Taking { options, sound: true };
        let host = match target {
            Target::Name(name) => Host::of(name),
            _ => Host::Auto,
        };
        let region = taking.region(&host);
        let names = taking.names(&host);
        let creation = taking.creation();
        let role = taking.role();
        let endpoint = taking.one(&[&ENDPOINT, &AWSLOGS_ENDPOINT], endpoint);
        let flush = taking.one(&[&FLUSH, &LOGSPOUT_DELAY], flush);
        let settings = Self {
            region,
            endpoint,
            names: names?,
            creation,
            flush: flush.unwrap_or(Duration::from_secs(5)),
            in_flight: taking.one(&[&IN_FLIGHT], in_flight).unwrap_or(8),
            gzip: taking.one(&[&GZIP], parse_flag).unwrap_or(true),
            empty_as_space: taking.one(&[&EMPTY_LINES], empty_lines).unwrap_or(false),
            role,
            ca: taking.options.text(&tls::CA).map(PathBuf::from),
        };
        taking.sound.then_some(settings)
    }
}

/// What stands as the host of the URI.
enum Host {
    Auto,
    Region(String),
    /// logspout's module by bradgignac: the group.
    Group(String),
}

impl Host {
    fn of(name: &str) -> Self {
        match name {
            "" | "auto" => Self::Auto,
            region if naming::is_region(region) => Self::Region(region.to_owned()),
            group => Self::Group(group.to_owned()),
        }
    }
}

struct Taking<'a> {
    options: &'a mut Options,
    sound: bool,
}

impl Taking<'_> {
    /// An option that has several names, of which one may be given.
    fn one<T>(
        &mut self,
        specs: &[&OptionSpec],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (place, text) = self.given(specs).or_else(|| {
            let (variable, text) = specs.iter().find_map(|spec| self.options.fallback(spec))?;
            Some((format!("{variable}={text}"), text))
        })?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse(format!("{place}: {why}"));
                None
            }
        }
    }

    /// What the route itself says, and how it is named in an error.
    fn given(&mut self, specs: &[&OptionSpec]) -> Option<(String, String)> {
        let given: Vec<(&str, String)> =
            specs.iter().filter_map(|spec| Some((spec.name, self.options.text(spec)?))).collect();
        if let [(first, _), (second, _), ..] = given.as_slice() {
            let twice = format!("options '{first}' and '{second}' mean the same; keep one of them");
            self.refuse(twice);
        }
        let (name, text) = given.into_iter().next()?;
        Some((format!("option '{name}={text}'"), text))
    }

    fn refuse(&mut self, text: String) {
        self.sound = false;
        self.options.problem(text);
    }

    fn region(&mut self, host: &Host) -> Option<String> {
        let given = self.one(&[&REGION, &AWSLOGS_REGION], region);
        match (host, given) {
            (Host::Region(region), Some(Some(other))) if *region != other => {
                self.refuse(format!(
                    "the URI says region {region} and the options say {other}; keep one of them"
                ));
                None
            }
            (Host::Region(region), _) => Some(region.clone()),
            (_, given) => given.flatten(),
        }
    }

    fn names(&mut self, host: &Host) -> Option<Names> {
        let specs = [&GROUP, &AWSLOGS_GROUP, &LOGSPOUT_GROUP];
        let group = match host {
            Host::Group(place) => {
                // A variable says less than the host does.
                if self.given(&specs).is_some() {
                    self.refuse(format!(
                        "'{place}' is no region, and the group is given as an option; write \
                         cloudwatch://REGION or cloudwatch://auto"
                    ));
                }
                self.group_of_host(place)
            }
            _ => self.one(&specs, naming::group),
        };
        let stream =
            self.one(&[&STREAM, &AWSLOGS_STREAM, &AWSLOGS_TAG, &LOGSPOUT_STREAM], naming::stream);
        let prefix = self.one(&[&CONTAINER_STREAM_PREFIX], naming::prefix);
        if group.is_none() && self.sound {
            self.refuse(
                "the log group is missing; give group=NAME, or set DOWNSPOUT_CLOUDWATCH_GROUP"
                    .into(),
            );
        }
        Some(Names::new(group?, stream, prefix))
    }

    fn group_of_host(&mut self, place: &str) -> Option<Template> {
        naming::group(place)
            .map_err(|why| {
                self.refuse(format!("'{place}' is neither a region nor a log group: {why}"));
            })
            .ok()
    }

    fn creation(&mut self) -> Creation {
        let creation = Creation {
            group: self.one(&[&CREATE_GROUP, &AWSLOGS_CREATE_GROUP], parse_flag).unwrap_or(false),
            stream: self.one(&[&CREATE_STREAM, &AWSLOGS_CREATE_STREAM], parse_flag).unwrap_or(true),
            retention_days: self.one(&[&RETENTION_DAYS], retention_days),
            kms_key: self.one(&[&KMS_KEY], kms_key),
            tags: self.one(&[&TAGS], tags).unwrap_or_default(),
            class: self.one(&[&CLASS], class),
        };
        let given = [
            (RETENTION_DAYS.name, creation.retention_days.is_some()),
            (KMS_KEY.name, creation.kms_key.is_some()),
            (TAGS.name, !creation.tags.is_empty()),
            (CLASS.name, creation.class.is_some()),
        ];
        for (name, _) in given.iter().filter(|(_, given)| *given && !creation.group) {
            self.refuse(format!(
                "option '{name}' is for groups that are made here; set create_group=true, or leave \
                 '{name}' out"
            ));
        }
        creation
    }

    fn role(&mut self) -> Option<Role> {
        let arn = self.one(&[&ROLE_ARN], arn);
        let external_id = self.one(&[&EXTERNAL_ID], |text| Ok(text.to_owned()));
        if arn.is_none() && external_id.is_some() && self.sound {
            self.refuse("option 'external_id' belongs to role_arn, which is not given".into());
        }
        arn.map(|arn| Role { arn, external_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(host: &str, pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut options = Options::new(pairs);
        let settings = Settings::take(&Target::Name(host.to_owned()), &mut options);
        let problems: Vec<_> = options.finish(&[OPTIONS]).iter().map(ToString::to_string).collect();
        assert_eq!(settings.is_none(), !problems.is_empty(), "{problems:?}");
        settings.ok_or(problems)
    }

    #[test]
    fn the_host_is_a_region_auto_or_the_group() {
        let group = ("group", "g");
        for (host, pairs, region) in [
            ("eu-west-1", vec![group], Some("eu-west-1")),
            ("us-gov-west-1", vec![group, ("region", "us-gov-west-1")], Some("us-gov-west-1")),
            ("auto", vec![group], None),
            ("", vec![group, ("region", "auto")], None),
            ("auto", vec![group, ("awslogs-region", "ap-southeast-2")], Some("ap-southeast-2")),
            ("my-group", vec![], None),
            ("/app/web", vec![("region", "eu-west-1")], Some("eu-west-1")),
        ] {
            assert_eq!(take(host, &pairs).unwrap().region.as_deref(), region, "{host}");
        }
        for (host, pairs, named) in [
            ("eu-west-1", vec![], "group=NAME"),
            ("eu-west-1", vec![group, ("region", "eu-west-2")], "eu-west-2"),
            ("web", vec![group], "'web' is no region"),
            ("we b", vec![], "' '"),
            ("auto", vec![group, ("region", "Frankfurt")], "region=Frankfurt"),
        ] {
            let problems = take(host, &pairs).unwrap_err();
            assert!(problems.iter().any(|problem| problem.contains(named)), "{problems:?}");
        }
    }

    #[test]
    fn the_names_of_docker_and_of_logspout_mean_the_same_and_not_twice() {
        let docker = take(
            "auto",
            &[
                ("awslogs-group", "g"),
                ("tag", "{{.ID}}"),
                ("awslogs-create-group", "true"),
                ("awslogs-endpoint", "http://127.0.0.1:4566"),
            ],
        );
        let docker = docker.unwrap();
        assert!(docker.creation.group);
        assert_eq!(docker.endpoint.as_deref(), Some("http://127.0.0.1:4566"));
        let logspout = [("LOGSPOUT_GROUP", "g"), ("LOGSPOUT_STREAM", "s"), ("DELAY", "4")];
        assert_eq!(take("auto", &logspout).unwrap().flush, Duration::from_secs(4));
        let twice =
            take("auto", &[("group", "g"), ("awslogs-group", "h"), ("stream", "s"), ("tag", "t")]);
        assert_eq!(twice.unwrap_err().len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_value_all_at_once() {
        let wrong = [
            ("group", "g"),
            ("retention_days", "8"),
            ("tags", "a"),
            ("class", "standard"),
            ("flush", "1h"),
            ("in_flight", "0"),
            ("role_arn", "me"),
            ("endpoint", "logs"),
            ("empty_lines", "keep"),
            ("grup", "x"),
        ];
        let problems = take("auto", &wrong).unwrap_err();
        for (name, value) in wrong.iter().skip(1).take(8) {
            let named = format!("{name}={value}");
            assert!(
                problems.iter().any(|problem| problem.contains(&named)),
                "{named}: {problems:?}"
            );
        }
        assert!(problems.iter().any(|problem| problem.contains("did you mean 'group'?")));
        let idle = take("auto", &[("group", "g"), ("retention_days", "7")]).unwrap_err();
        assert!(idle[0].contains("create_group=true"), "{idle:?}");
    }

    #[test]
    fn tags_are_pairs() {
        let made = take("auto", &[("group", "g"), ("create_group", "1"), ("tags", "a=b, c=d=e")]);
        let tags = made.unwrap().creation.tags;
        assert_eq!(
            tags.into_iter().collect::<Vec<_>>(),
            [("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d=e".to_owned())]
        );
    }
}
