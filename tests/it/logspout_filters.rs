//! Which containers a route ships: logspout's filters and our own, several routes of one agent at
//! the same containers. Who should be shipped is known from how the containers are made.

use std::collections::BTreeSet;

use crate::support::agent::{Agent, Launch};
use crate::support::engine::Engine;
use crate::support::numbers::Stream;
use crate::support::receiver::{Frame, TcpReceiver};
use crate::support::site::{Site, wait_printed};
use crate::support::{SOON, check, until};

/// Who came to a receiver, by short names, of this test's containers.
fn came(engine: &Engine, receiver: &TcpReceiver) -> BTreeSet<String> {
    let prefix = engine.name("");
    receiver.inbox.with(|frames| {
        let records = frames.iter().filter_map(Frame::rfc5424);
        let own = records.filter_map(|record| record.container.strip_prefix(&prefix));
        own.map(str::to_owned).collect()
    })
}

/// Routes of one agent, each with what it asks for and who is to come by it.
struct Routes<'a> {
    engine: &'a Engine,
    agent: Agent,
    rows: Vec<(String, BTreeSet<String>, TcpReceiver)>,
}

impl<'a> Routes<'a> {
    /// The containers run already, and have printed a line each.
    fn start(engine: &'a Engine, launch: Launch, rows: &[(&str, &str)]) -> Self {
        let mut launch = launch.env("BACKLOG", "true");
        let mut started = Vec::new();
        for (options, who) in rows {
            let receiver = TcpReceiver::start();
            launch = launch.arg(format!("{}?{options}", receiver.route()));
            let who = who.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            started.push(((*options).to_owned(), who, receiver));
        }
        Self { engine, agent: launch.ready(), rows: started }
    }

    /// Each route has shipped those that it should, and nobody else by the time all have.
    #[track_caller]
    fn assert_right(self) {
        for (options, who, receiver) in &self.rows {
            until(&format!("all that {options} wants"), SOON, || {
                let came = came(self.engine, receiver);
                check(came.is_superset(who), || format!("{came:?} of {who:?}"))
            });
        }
        let ended = self.agent.terminate();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        for (options, who, receiver) in &self.rows {
            assert_eq!(&came(self.engine, receiver), who, "{options}");
        }
    }
}

const LINE: &str = "echo line; exec sleep 1000";

fn run_all(engine: &Engine, containers: &[(&str, &[&str])]) {
    std::thread::scope(|scope| {
        for (name, labels) in containers {
            scope.spawn(move || {
                let start = labels.iter().fold(engine.container(name), |start, label| {
                    start.option(&format!("--label={label}"))
                });
                wait_printed(&start.run(LINE), 1, SOON);
            });
        }
    });
}

#[test]
fn logspout_filters_let_pass_what_they_name_and_nothing_else() {
    let engine = Engine::new("filters");
    run_all(
        &engine,
        &[
            ("web-1", &["team=shop", "path=a/b"]),
            ("web-2", &["team=shop", "tier="]),
            ("db", &["team=data", "tier=1"]),
        ],
    );
    let id = Engine::docker(&["inspect", "--format", "{{.Id}}", &engine.name("db")]);
    let (short, beginning) = (id.get(..12).unwrap(), id.get(..5).unwrap());
    let web = format!("filter.name={}", engine.name("web-*"));
    let one_of = format!("filter.name={}", engine.name("web-[2-9]"));
    let any = format!("filter.name={}", engine.name("*"));
    let half = format!("filter.name={}", engine.name("we"));
    let own = format!("select.name={}", engine.name("*"));
    let both = format!("{web}&filter.labels=tier");
    let neither = format!("{web}&filter.id={id}");
    let empty = format!("{own}&filter.name=&filter.labels=&filter.id=");
    Routes::start(
        &engine,
        Launch::new(),
        &[
            (&format!("filter.id={short}"), "db"),
            (&format!("filter.id={beginning}&{own}"), "db"),
            // logspout never matches these two.
            (&format!("filter.id={id}"), "db"),
            (&format!("filter.id={}", id.to_uppercase()), "db"),
            (&web, "web-1 web-2"),
            (&one_of, "web-2"),
            (&any, "web-1 web-2 db"),
            // The whole name has to match.
            (&half, ""),
            (&format!("{own}&filter.labels=team:shop"), "web-1 web-2"),
            (&format!("{own}&filter.labels=team:*%2Ctier:1"), "db"),
            (&format!("{own}&filter.labels=team:s*"), "web-1 web-2"),
            (&format!("{own}&filter.labels=path:a*"), ""),
            (&format!("{own}&filter.labels=path:a/*"), "web-1"),
            // Here logspout lets everybody pass.
            (&format!("{own}&filter.labels=tier"), "web-2 db"),
            (&format!("{own}&filter.labels=tier:*"), "web-2 db"),
            (&both, "web-2"),
            (&neither, ""),
            // A variable in the URI may be unset.
            (&empty, "web-1 web-2 db"),
        ],
    )
    .assert_right();
}

#[test]
fn logspout_sources_choose_the_streams_of_a_route() {
    let engine = Engine::new("sources");
    let script = "echo out; echo err >&2; exec sleep 1000";
    let name = engine.container("a").run(script);
    wait_printed(&name, 1, SOON);
    let options = [
        ("filter.sources=stdout", &[Stream::Out][..]),
        ("filter.sources=stderr", &[Stream::Err]),
        ("filter.sources=stdout%2Cstderr", &[Stream::Out, Stream::Err]),
        ("select.stream=stderr", &[Stream::Err]),
    ];
    let receivers = options.map(|(option, wanted)| (option, wanted, TcpReceiver::start()));
    let mut launch = Launch::new().env("BACKLOG", "true");
    for (option, _, receiver) in &receivers {
        launch = launch.arg(format!("{}?{option}", receiver.route()));
    }
    let agent = launch.ready();
    for (option, wanted, receiver) in &receivers {
        let mut came = receiver.inbox.wait_lines(&name, wanted.len(), SOON);
        came.sort();
        let line = |stream: &Stream| {
            (*stream, if *stream == Stream::Out { b"out".to_vec() } else { b"err".to_vec() })
        };
        assert_eq!(came, wanted.iter().map(line).collect::<Vec<_>>(), "{option}");
    }
    assert_eq!(agent.terminate().code, Some(0));
    for (option, wanted, receiver) in &receivers {
        assert_eq!(receiver.inbox.lines_of(&name).len(), wanted.len(), "{option}");
    }
}

#[test]
fn logspout_image_project_service_driver_and_label_select_containers() {
    let engine = Engine::new("select");
    run_all(
        &engine,
        &[
            ("web", &["com.docker.compose.project=shop", "com.docker.compose.service=web"]),
            ("db", &["com.docker.compose.project=shop", "com.docker.compose.service=db"]),
            ("job", &["com.docker.stack.namespace=batch", "team=data/etl"]),
            ("plain", &[]),
        ],
    );
    let local = engine.container("local").driver("local");
    wait_printed(&local.run(LINE), 1, SOON);
    let own = format!("select.name={}", engine.name("*"));
    let all = "web db job plain local";
    let not = format!("{own}+!{}", engine.name("w*"));
    let rows = [
        ("select.image=downspout/*", all),
        ("select.image=*busybox*:test", all),
        ("select.image=!downspout/*", ""),
        ("select.image=nginx*", ""),
        ("select.project=shop", "web db"),
        ("select.project=shop+batch", "web db job"),
        ("select.project=*+!shop", "job"),
        ("select.project=!shop", "job plain local"),
        ("select.service=web", "web"),
        ("select.driver=local", "local"),
        ("select.driver=!local", "web db job plain"),
        ("select.label=team", "job"),
        ("select.label=team=data*", "job"),
        ("select.label=!team+!com.docker.compose.project", "plain local"),
    ];
    let rows = rows.map(|(options, who)| (format!("{own}&{options}"), who));
    let rows: Vec<_> = rows.iter().map(|(options, who)| (options.as_str(), *who)).collect();
    let rows = [&rows[..], &[(&not, "db job plain local")]].concat();
    Routes::start(&engine, Launch::new(), &rows).assert_right();
}

fn rows<'a>(table: &'a [(String, &'a str)]) -> Vec<(&'a str, &'a str)> {
    table.iter().map(|(options, who)| (options.as_str(), *who)).collect()
}

#[test]
fn logspout_containers_ask_for_routes_by_name_and_are_shipped_where_they_ask() {
    let engine = Engine::new("asking");
    run_all(
        &engine,
        &[
            ("silent", &[]),
            ("on", &["downspout.enable=true"]),
            ("off", &["downspout.enable=false"]),
            ("audit", &["downspout.routes=audit"]),
            ("two", &["downspout.routes=audit,eu-west.1"]),
            ("nowhere", &["downspout.routes=adit"]),
            ("old", &["logspout.exclude=TRUE"]),
            ("older", &["logspout.exclude=false"]),
        ],
    );
    let own = format!("select.name={}", engine.name("*"));
    let plain = own.as_str();
    let with = |options: &str| format!("{own}&{options}");
    let by_default = [
        (plain.to_owned(), "silent on older"),
        (with("name=audit"), "silent on older audit two"),
        (with("name=eu-west.1"), "silent on older two"),
        (with("opt_in=true"), "on"),
        (with("opt_in=true&name=audit"), "on audit two"),
    ];
    let routes = Routes::start(&engine, Launch::new(), &rows(&by_default));
    let nowhere = engine.name("nowhere");
    let mut agent = routes.agent;
    agent.logged("the name that no route has", |line| {
        line.contains(&nowhere)
            && line.contains("no route has the name 'adit'; did you mean 'audit'?")
    });
    Routes { agent, ..routes }.assert_right();
    let opt_in = [
        (plain.to_owned(), "on"),
        (with("name=audit"), "on audit two"),
        (with("opt_in=false"), "silent on older"),
    ];
    let launch = Launch::new().env("DOWNSPOUT_OPT_IN", "true");
    Routes::start(&engine, launch, &rows(&opt_in)).assert_right();
    let without = [(plain.to_owned(), "silent on off audit two nowhere older")];
    let launch = Launch::new().env("DOWNSPOUT_LABELS", "none");
    Routes::start(&engine, launch, &rows(&without)).assert_right();
}

#[test]
fn logspout_a_container_that_is_skipped_is_named_once_with_its_reason() {
    let engine = Engine::new("skipped");
    let out = engine.container("out").option("--label=logspout.exclude=true").run(LINE);
    let ignored = engine.container("ignored").option("-e=LOGSPOUT=ignore").run(LINE);
    let tty = engine.container("tty").option("-t").run(LINE);
    for name in [&out, &ignored, &tty] {
        wait_printed(name, 1, SOON);
    }
    let launch = |launch: Launch| launch.env("BACKLOG", "true").env("ALLOW_TTY", "false");
    let mut site = Site::on(engine, launch);
    let skipped = [
        (&out, "logspout.exclude"),
        (&ignored, "LOGSPOUT=ignore"),
        (&tty, "ALLOW_TTY=false or DOWNSPOUT_TTY=skip"),
    ];
    for (name, why) in skipped {
        site.agent.logged("the reason", |line| line.contains(name) && line.contains(why));
    }
    // It is nothing new in its next run, nor under another name.
    Engine::docker(&["restart", "-t", "0", &out]);
    Engine::docker(&["rename", &tty, &site.engine.name("renamed")]);
    site.pass_a_marker();
    let log = site.agent.log();
    for (name, why) in skipped {
        let said = log.lines().filter(|line| line.contains("skipped") && line.contains(why));
        let own = said.filter(|line| line.contains(name) || line.contains("renamed"));
        assert_eq!(own.count(), 1, "{name}: {log}");
        assert!(site.receiver.inbox.lines_of(name).is_empty(), "{name}");
    }
}

#[test]
fn logspout_a_filter_by_name_follows_a_rename_in_both_directions() {
    let engine = Engine::new("rename");
    let name = engine.container("old").run("exec sleep 1000");
    let (old, new) = (engine.name("old"), engine.name("new"));
    let [olds, news, all] = [(); 3].map(|()| TcpReceiver::start());
    let filtered =
        |receiver: &TcpReceiver, name: &str| format!("{}?filter.name={name}", receiver.route());
    // logspout asks once, when a route and a container meet: the new name then gets nothing.
    let agent = Launch::new()
        .env("SYSLOG_TCP_FRAMING", "octet-counted")
        .arg(filtered(&olds, &old))
        .arg(filtered(&news, &new))
        .arg(all.route())
        .ready();
    let lines = |receiver: &TcpReceiver, name: &str| -> Vec<String> {
        let lines = receiver.inbox.lines_of(name);
        lines.iter().map(|(_, text)| String::from_utf8_lossy(text).trim_end().to_owned()).collect()
    };
    let mut number = 0;
    let mut say_until = |what: &str, name: &str, receiver: &TcpReceiver, wanted: &str| {
        until(what, SOON, || {
            number += 1;
            Site::say(name, &format!("{number:03}"));
            let last = format!("{number:03}");
            check(lines(receiver, wanted).contains(&last), || format!("{last} did not come"))
        });
    };
    say_until("the old name's route gets lines", &name, &olds, &old);
    Engine::docker(&["rename", &old, &new]);
    say_until("the new name's route gets lines", &new, &news, &new);
    Engine::docker(&["rename", &new, &old]);
    say_until("the old name's route gets lines again", &old, &olds, &old);
    let last = number;
    let everything = until("the route without a filter gets all", SOON, || {
        let mut came = [lines(&all, &old), lines(&all, &new)].concat();
        came.sort();
        check(came.len() >= last, || format!("{} of {last}", came.len()))?;
        Ok(came)
    });
    let wanted: Vec<_> = (1..=last).map(|number| format!("{number:03}")).collect();
    assert_eq!(everything, wanted);
    assert_eq!(agent.terminate().code, Some(0));
    // Whatever a route got came under its own name, and no line came to both.
    assert_eq!((lines(&olds, &new).len(), lines(&news, &old).len()), (0, 0));
    let mut parted = [lines(&olds, &old), lines(&news, &new)].concat();
    parted.sort();
    let twice = parted.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(twice, 0, "{parted:?}");
}
