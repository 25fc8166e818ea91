use std::cell::RefCell;
use std::collections::BTreeMap;

use tokio::time::{advance, timeout};

use super::*;
use crate::metrics::Metrics;
use crate::output::{Carriage, TargetKind};

/// What an address does with a connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Takes,
    TakesAfter(Duration),
    Refuses,
    Never,
}

/// Everything outside of the list; a test runs on one thread.
#[derive(Debug, Default)]
struct World {
    answers: BTreeMap<String, Answer>,
    broken: Vec<String>,
    close_takes: Duration,
    diary: Vec<String>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn world<T>(change: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with(|world| change(&mut world.borrow_mut()))
}

fn answers(host: &str, answer: Answer) {
    world(|world| world.answers.insert(host.to_owned(), answer));
}

fn all(hosts: &[&str], answer: Answer) {
    for host in hosts {
        answers(host, answer);
    }
}

/// What happened since the last call.
fn diary() -> Vec<String> {
    world(|world| std::mem::take(&mut world.diary))
}

#[derive(Debug)]
struct Fake {
    host: String,
    sent: Option<u64>,
    metrics: OutputMetrics,
}

const FLAVOUR: OptionSpec = OptionSpec { name: "flavour", default: "", unit: "", help: "" };

static DRIVER: Driver = Driver {
    schemes: &["fake"],
    help: "",
    example: "",
    target: TargetKind::Host { default_port: 1 },
    carriage: Carriage::Stream,
    options: &[FLAVOUR],
    open: Open::Link(|target, options, metrics| {
        let Target::Host(host, _) = target else { return None };
        if let Some(flavour) = options.text(&FLAVOUR) {
            world(|world| world.diary.push(format!("{host} tastes of {flavour}")));
            if flavour == "bitter" {
                options.problem("bitter is no flavour");
                options.problem(format!("{host} has none"));
                return None;
            }
        }
        Some(Box::new(Fake { host, sent: None, metrics }))
    }),
};

impl Fake {
    fn note(&self, what: &str) {
        world(|world| world.diary.push(format!("{what} {}", self.host)));
    }

    fn fault(&self) -> Option<Fault> {
        let broken = world(|world| world.broken.contains(&self.host));
        broken.then(|| Fault::retry(format!("{} broke", self.host)))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if self.sent.is_some() {
            self.note("drop");
        }
    }
}

impl Output for Fake {
    fn connect(&mut self) -> BoxFuture<'_, Result<String, Fault>> {
        Box::pin(async {
            self.note("connect");
            match world(|world| world.answers.get(&self.host).copied()) {
                Some(Answer::Takes) => {}
                Some(Answer::TakesAfter(time)) => sleep(time).await,
                Some(Answer::Never) => std::future::pending().await,
                Some(Answer::Refuses) | None => return Err(Fault::retry("refused")),
            }
            self.metrics.connections.inc();
            self.sent = Some(0);
            Ok(format!("{} at its place", self.host))
        })
    }

    fn send<'a>(&'a mut self, frames: Frames<'a>) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.note("send");
            self.sent = self.sent.map(|sent| sent + frames.bytes().len() as u64);
            self.fault().map_or(Ok(()), Err)
        })
    }

    fn settled(&mut self) -> u64 {
        self.sent.unwrap_or(0)
    }

    fn acknowledged(&mut self, beyond: u64) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async move {
            loop {
                if let Some(fault) = self.fault() {
                    return Err(fault);
                }
                if self.settled() > beyond {
                    return Ok(self.settled());
                }
                sleep(Duration::from_millis(500)).await;
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<u64, Fault>> {
        Box::pin(async {
            self.note("close");
            sleep(world(|world| world.close_takes)).await;
            Ok(self.settled())
        })
    }
}

/// A list of a, b and c, and what it counts.
struct List {
    output: Box<dyn Output>,
    metrics: OutputMetrics,
}

fn list(options: &[(&str, &str)]) -> List {
    let metrics = Metrics::new().output("list");
    let mut options = Options::new(options.iter().map(|(k, v)| ((*k).into(), (*v).into())));
    let targets = ["a", "b", "c"].map(|host| Target::Host(host.into(), 1)).to_vec();
    let output = open(&DRIVER, targets, &mut options, metrics.clone()).unwrap();
    assert_eq!(options.finish(&[]), []);
    List { output, metrics }
}

impl List {
    /// Where it is connected to, and how long that took in milliseconds.
    async fn connect(&mut self) -> (String, u128) {
        let start = Instant::now();
        let to = self.output.connect().await.unwrap();
        (to, start.elapsed().as_millis())
    }

    /// The end of the link, and how long that took in seconds.
    async fn end(&mut self) -> (String, u64) {
        let start = Instant::now();
        let limit = Duration::from_hours(2);
        let fault = timeout(limit, self.output.acknowledged(u64::MAX)).await;
        let fault = fault.map_or("no end".into(), |fault| fault.unwrap_err().to_string());
        (fault, start.elapsed().as_secs())
    }

    async fn broken(&mut self, host: &str) {
        world(|world| world.broken.push(host.into()));
        assert_eq!(self.end().await.0, format!("{host} broke"));
        world(|world| world.broken.clear());
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_address_is_taken_alone_while_it_answers() {
    all(&["a", "b", "c"], Answer::Takes);
    let mut list = list(&[]);
    assert_eq!(list.connect().await, ("a at its place".into(), 0));
    list.output.send(Frames::new(b"one", &[3], 0)).await.unwrap();
    assert_eq!(list.output.acknowledged(0).await, Ok(3));
    assert_eq!(list.end().await.0, "no end");
    assert_eq!(diary(), ["connect a", "send a"], "nobody else is asked, now or later");
    assert_eq!((list.metrics.connections.get(), list.metrics.switches.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_moves_on_at_once_and_a_black_hole_after_two_seconds() {
    answers("a", Answer::Refuses);
    answers("b", Answer::Never);
    answers("c", Answer::Takes);
    let mut list = list(&[]);
    assert_eq!(list.connect().await, ("c at its place".into(), 2000));
    assert_eq!(diary(), ["connect a", "connect b", "connect c"]);
    assert_eq!((list.metrics.connections.get(), list.metrics.switches.get()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_first_whole_handshake_wins_and_the_others_are_dropped() {
    answers("a", Answer::TakesAfter(Duration::from_millis(3500)));
    answers("b", Answer::TakesAfter(Duration::from_secs(9)));
    answers("c", Answer::Never);
    let mut list = list(&[]);
    assert_eq!(list.connect().await, ("a at its place".into(), 3500));
    advance(Duration::from_secs(30)).await;
    assert_eq!(diary(), ["connect a", "connect b"], "b goes without a word");
    assert_eq!(list.metrics.connections.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_every_address_is_named_with_its_reason() {
    all(&["a", "b", "c"], Answer::Refuses);
    let mut list = list(&[]);
    let why = list.output.connect().await.unwrap_err().to_string();
    assert_eq!(why, "none of 3 addresses answers: a:1: refused; b:1: refused; c:1: refused");
}

#[tokio::test(start_paused = true)]
async fn it_goes_back_after_two_answers_in_a_row_and_ends_the_link_in_order() {
    answers("a", Answer::Refuses);
    answers("b", Answer::Takes);
    let mut list = list(&[("failback", "60s")]);
    list.connect().await;
    diary();
    answers("a", Answer::Takes);
    assert_eq!(list.end().await, ("going back to a:1, which answers again".into(), 120));
    let probe = ["connect a", "close a", "drop a"];
    assert_eq!(diary(), [&probe[..], &probe, &["close b"]].concat());
    assert_eq!(list.connect().await, ("a at its place".into(), 0));
    assert_eq!(diary(), ["drop b", "connect a"]);
    assert_eq!((list.metrics.connections.get(), list.metrics.switches.get()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn one_answer_between_failures_is_no_reason_to_go_back() {
    answers("a", Answer::Refuses);
    answers("b", Answer::Takes);
    let mut list = list(&[("failback", "60s")]);
    list.connect().await;
    for answer in [Answer::Takes, Answer::Refuses, Answer::Takes, Answer::Refuses] {
        answers("a", answer);
        let probed = timeout(Duration::from_mins(1), list.output.acknowledged(0));
        assert!(probed.await.is_err(), "{answer:?}");
    }
    answers("a", Answer::Takes);
    assert_eq!(list.end().await.1, 120);
}

#[tokio::test(start_paused = true)]
async fn a_probe_goes_on_while_lines_are_sent() {
    answers("a", Answer::Refuses);
    answers("b", Answer::Takes);
    let mut list = list(&[("failback", "1s")]);
    list.connect().await;
    answers("a", Answer::TakesAfter(Duration::from_millis(300)));
    let start = Instant::now();
    let mut sent = 0;
    // Under load the watch is dropped for every batch, long before a probe has ended.
    let fault = loop {
        let watch = timeout(Duration::from_millis(20), list.output.acknowledged(u64::MAX)).await;
        match watch {
            Ok(outcome) => break outcome.unwrap_err(),
            Err(_) => list.output.send(Frames::new(b"x", &[1], 0)).await.unwrap(),
        }
        sent += 1;
        assert!(sent < 1000, "it never goes back");
    };
    assert!(fault.to_string().contains("going back to a:1"), "{fault}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(list.output.settled(), sent, "all of it is acknowledged");
}

#[tokio::test(start_paused = true)]
async fn a_probe_ends_with_the_link_that_it_was_made_beside() {
    answers("a", Answer::Never);
    answers("b", Answer::Takes);
    let mut list = list(&[("failback", "60s")]);
    list.connect().await;
    let hanging = timeout(Duration::from_secs(61), list.output.acknowledged(0));
    assert!(hanging.await.is_err());
    list.broken("b").await;
    assert_eq!(list.connect().await.0, "b at its place");
    answers("a", Answer::Takes);
    assert_eq!(list.end().await.1, 120);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_on_a_link_that_is_being_left() {
    answers("b", Answer::Takes);
    let mut list = list(&[("failback", "1s")]);
    list.connect().await;
    answers("a", Answer::Takes);
    world(|world| world.close_takes = Duration::from_millis(500));
    // Dropped in the middle of the goodbye, as when lines come at that moment.
    let watch = timeout(Duration::from_millis(3200), list.output.acknowledged(0));
    assert!(watch.await.is_err());
    diary();
    let fault = list.output.send(Frames::new(b"x", &[1], 0)).await.unwrap_err();
    assert_eq!(fault, Fault::retry("going back to a:1, which answers again"));
    assert_eq!(diary(), ["close b"]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_does_not_hold_is_gone_back_to_ever_later() {
    all(&["a", "b"], Answer::Takes);
    let mut list = list(&[("failback", "60s")]);
    list.connect().await;
    list.broken("a").await;
    // It accepts, and breaks each time: b is taken at once, and the way back gets longer.
    for seconds in [120, 240, 480, 960, 1920, 3600, 3600] {
        assert_eq!(list.connect().await.0, "b at its place");
        assert_eq!(list.end().await.1, seconds);
        assert_eq!(list.connect().await.0, "a at its place");
        list.broken("a").await;
    }
    // Once it has held for long, all is forgotten.
    assert_eq!(list.connect().await.0, "b at its place");
    list.end().await;
    assert_eq!(list.connect().await.0, "a at its place");
    advance(Duration::from_hours(1)).await;
    list.broken("a").await;
    answers("a", Answer::Refuses);
    assert_eq!(list.connect().await.0, "b at its place");
    answers("a", Answer::Takes);
    assert_eq!(list.end().await.1, 120);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_held_for_long_is_made_anew_where_it_was() {
    all(&["a", "b"], Answer::Takes);
    let mut list = list(&[]);
    list.connect().await;
    advance(SHORT_LIVED).await;
    list.broken("a").await;
    assert_eq!(list.connect().await.0, "a at its place");
}

#[tokio::test(start_paused = true)]
async fn the_better_of_those_that_answer_again_is_gone_back_to() {
    answers("a", Answer::Never);
    answers("c", Answer::Takes);
    let mut list = list(&[("failback", "60s")]);
    assert_eq!(list.connect().await.0, "c at its place");
    answers("a", Answer::Refuses);
    answers("b", Answer::Takes);
    assert_eq!(list.end().await, ("going back to b:1, which answers again".into(), 120));
    answers("a", Answer::Never);
    assert_eq!(list.connect().await, ("b at its place".into(), 0), "not by way of a");
}

#[tokio::test(start_paused = true)]
async fn with_failback_off_it_stays() {
    for off in ["off", "0"] {
        answers("a", Answer::Refuses);
        answers("b", Answer::Takes);
        let mut list = list(&[("failback", off)]);
        list.connect().await;
        answers("a", Answer::Takes);
        assert_eq!(list.end().await.0, "no end");
    }
}

#[tokio::test(start_paused = true)]
async fn every_address_gets_the_same_options_and_each_problem_is_told_once() {
    let mut sweet = list(&[("flavour", "sweet")]);
    answers("c", Answer::Takes);
    diary();
    sweet.connect().await;
    let tasted = diary().into_iter().filter(|line| line.contains("tastes")).collect::<Vec<_>>();
    assert_eq!(tasted, ["a", "b", "c"].map(|host| format!("{host} tastes of sweet")));
    let mut options = Options::new([("flavour".to_owned(), "bitter".to_owned())]);
    let targets = ["a", "b"].map(|host| Target::Host(host.into(), 1)).to_vec();
    let metrics = Metrics::new().output("list");
    assert!(open(&DRIVER, targets, &mut options, metrics).is_none());
    let problems: Vec<_> = options.finish(&[]).iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["bitter is no flavour", "a has none", "b has none"]);
}

#[test]
fn the_interval_is_taken_within_its_limits() {
    assert_eq!(failback::parse(FAILBACK.default), Ok(Some(failback::DEFAULT)));
    assert_eq!(failback::parse("24h"), Ok(Some(Duration::from_hours(24))));
    for text in ["900ms", "25h", "soon", ""] {
        assert!(failback::parse(text).is_err(), "{text}");
    }
}
