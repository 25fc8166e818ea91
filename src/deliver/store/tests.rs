use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;

use super::*;
use crate::encode::{Surroundings, Terminal, plan};
use crate::lane::{Kept, Lane};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::output::Carriage;
use crate::record::{
    Chunk, ChunkBuilder, Container, Loss, LossReason, Mark, Place, Span, Stream, Timestamp,
};
use crate::store::{Batch, Refused, SealedEvent, StreamName, Trouble};

const NOW_MILLIS: i64 = 1_795_000_000_000;

const TERMS: Terms = Terms {
    batch_bytes: 100_000,
    batch_events: 1000,
    event_overhead_bytes: 26,
    span: Duration::from_hours(24),
    oldest: Duration::from_hours(24 * 14),
    newest: Duration::from_hours(2),
    flush: Duration::from_secs(5),
    in_flight: 8,
    empty_line: None,
};

/// A call, and what it holds.
#[derive(Debug, Clone)]
struct Call {
    stream: String,
    /// Times in milliseconds, and texts.
    events: Vec<(i64, String)>,
    at: Instant,
    /// Calls before this one.
    before: usize,
}

/// What becomes of a call.
struct Plan {
    after: Duration,
    /// Whether the events are kept.
    kept: bool,
    reply: Reply,
}

fn taken() -> Plan {
    Plan { after: Duration::from_millis(50), kept: true, reply: Reply::Taken(Refused::default()) }
}

fn failed(trouble: Trouble) -> Plan {
    let reply = Reply::Again { trouble, why: "so told".into() };
    Plan { after: Duration::from_millis(50), kept: false, reply }
}

type Script = Box<dyn Fn(&Call) -> Plan + Send + Sync>;

struct Fake {
    script: Script,
    varies: Varies,
    calls: Mutex<Vec<Call>>,
    kept: Mutex<BTreeMap<String, Vec<(i64, String)>>>,
    flying: AtomicUsize,
    most_flying: AtomicUsize,
    flying_by_stream: Mutex<HashMap<String, usize>>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fake")
    }
}

impl Store for Fake {
    fn terms(&self) -> Terms {
        TERMS
    }

    fn connect(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async { Ok("fake".into()) })
    }

    fn tend(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn varies(&self) -> Varies {
        self.varies
    }

    fn stream_of(&self, container: &Container, stream: Stream, _: Timestamp) -> StreamName {
        let part = if self.varies.by_stream { stream.name() } else { "" };
        StreamName { group: "g".into(), stream: format!("{}{part}", container.name) }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(NOW_MILLIS * 1_000_000)
    }

    fn seal(&self, _: &StreamName, batch: &Batch) -> Sealed {
        let (mut body, mut events) = (Vec::new(), Vec::new());
        for (event, text) in batch.events() {
            body.extend_from_slice(format!("{} ", event.time).as_bytes());
            body.extend_from_slice(text);
            body.push(b'\n');
            events.push(SealedEvent {
                time: event.time,
                end: u32::try_from(body.len()).unwrap(),
                text_bytes: u32::try_from(text.len()).unwrap(),
                ends_line: event.ends_line,
            });
        }
        Sealed { body: body.into(), gzip: false, events }
    }

    fn cut(&self, sealed: &Sealed, wanted: Range<usize>) -> Sealed {
        let end = |event: usize| sealed.events[event].end as usize;
        let start = wanted.start.checked_sub(1).map_or(0, end);
        let body = Bytes::copy_from_slice(&sealed.body[start..end(wanted.end - 1)]);
        Sealed { body, gzip: false, events: sealed.events[wanted].to_vec() }
    }

    fn put(
        self: Arc<Self>,
        name: Arc<StreamName>,
        sealed: Arc<Sealed>,
    ) -> BoxFuture<'static, Reply> {
        Box::pin(async move {
            let stream = name.stream.clone();
            let text = String::from_utf8(sealed.body.to_vec()).unwrap();
            let event = |line: &str| {
                let (time, text) = line.split_once(' ').unwrap();
                (time.parse().unwrap(), text.to_owned())
            };
            let events: Vec<(i64, String)> = text.lines().map(event).collect();
            assert!(!events.is_empty() && events.len() <= TERMS.batch_events);
            let counted: usize = events.iter().map(|(_, text)| text.len() + 26).sum();
            assert!(counted <= TERMS.batch_bytes, "{counted}");
            assert!(events.is_sorted_by_key(|(time, _)| *time));
            let call = {
                let mut calls = self.calls.lock().unwrap();
                let (at, before) = (Instant::now(), calls.len());
                calls.push(Call { stream: stream.clone(), events, at, before });
                calls[before].clone()
            };
            let flying = self.flying.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_flying.fetch_max(flying, Ordering::SeqCst);
            let before = self.flying_by_stream.lock().unwrap().insert(stream.clone(), 1);
            assert_eq!(before.unwrap_or(0), 0, "one at a time for a stream");
            let plan = (self.script)(&call);
            tokio::time::sleep(plan.after).await;
            if plan.kept {
                self.kept.lock().unwrap().entry(stream.clone()).or_default().extend(call.events);
            }
            self.flying_by_stream.lock().unwrap().insert(stream, 0);
            self.flying.fetch_sub(1, Ordering::SeqCst);
            plan.reply
        })
    }
}

/// A delivery to a store that follows a script.
struct Site {
    fake: Arc<Fake>,
    lanes: Arc<Lanes>,
    metrics: Metrics,
    delivery: BoxFuture<'static, ()>,
    stop: Stop,
}

impl Site {
    fn new(script: impl Fn(&Call) -> Plan + Send + Sync + 'static) -> Self {
        Self::varying(Varies::default(), script)
    }

    fn varying(varies: Varies, script: impl Fn(&Call) -> Plan + Send + Sync + 'static) -> Self {
        let fake = Arc::new(Fake {
            script: Box::new(script),
            varies,
            calls: Mutex::default(),
            kept: Mutex::default(),
            flying: AtomicUsize::new(0),
            most_flying: AtomicUsize::new(0),
            flying_by_stream: Mutex::default(),
        });
        let metrics = Metrics::new();
        let lanes = Lanes::new(4 << 20, Kept::default(), metrics.destination("d"));
        let encoder = plan(
            &mut Options::default(),
            Surroundings::plain(Carriage::Events, Terminal::default()),
        )
        .unwrap();
        let delivery = StoreDelivery::new(StoreParts {
            name: "d".into(),
            lanes: lanes.clone(),
            encoder,
            store: fake.clone(),
            window_bytes: 1 << 20,
            backoff_max: Duration::from_secs(30),
            metrics: metrics.store("d"),
        });
        let stop = Stop::new();
        let delivery = Box::pin(delivery.run(stop.clone()));
        Self { fake, lanes, metrics, delivery, stop }
    }

    fn open(&self, name: &str) -> (Lane, Arc<Container>) {
        let container = Container { id: name.into(), name: name.into(), ..Container::default() };
        (self.lanes.open(&container, None), Arc::new(container))
    }

    /// Lets the delivery work for so long.
    async fn pass(&mut self, time: Duration) {
        tokio::select! {
            biased;
            () = &mut self.delivery => panic!("the delivery has ended"),
            () = tokio::time::sleep(time) => {}
        }
    }

    /// Lets the delivery come to its end.
    async fn end(&mut self) {
        self.lanes.close();
        let end = tokio::time::timeout(Duration::from_hours(2), &mut self.delivery);
        end.await.expect("the delivery ends");
    }

    fn kept(&self, stream: &str) -> Vec<String> {
        let kept = self.fake.kept.lock().unwrap();
        kept.get(stream).into_iter().flatten().map(|(_, text)| text.clone()).collect()
    }

    fn calls(&self) -> Vec<Call> {
        self.fake.calls.lock().unwrap().clone()
    }

    /// Of a family without more labels, or with those given.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole numbers")]
    fn value(&self, family: &str, labels: &str) -> u64 {
        let series = format!("downspout_{family}{{destination=\"d\"{labels}}} ");
        let text = self.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).parse::<f64>().unwrap() as u64
    }

    fn assert_balance(&self) {
        let dropped: u64 = [
            "rejected", "overflow", "shutdown", "rotated", "too_old", "expired", "too_new",
            "empty", "rate",
        ]
        .iter()
        .map(|reason| self.value("lines_dropped_total", &format!(",reason=\"{reason}\"")))
        .sum();
        let [read, delivered, in_flight] =
            ["lines_read_total", "lines_delivered_total", "lines_in_flight"]
                .map(|f| self.value(f, ""));
        assert_eq!(read, delivered + dropped + in_flight);
    }
}

fn chunk_at(container: &Arc<Container>, lines: &[(i64, Stream, String)]) -> Chunk {
    let mut builder = ChunkBuilder::default();
    for (number, (millis, stream, text)) in (1_i64..).zip(lines) {
        let time = Timestamp::from_nanos((NOW_MILLIS + millis) * 1_000_000 + number);
        let mark = Mark { time, pieces: 1 };
        let place = Place { time, stream: *stream, mark, span: Span::default() };
        builder.push(text.as_bytes(), b"", place);
    }
    builder.take(container).unwrap()
}

fn lines(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("line {number:06}")).collect()
}

fn chunk(container: &Arc<Container>, from: usize, to: usize) -> Chunk {
    let stamped: Vec<_> = (from..to)
        .zip(lines(from, to))
        .map(|(number, text)| (i64::try_from(number).unwrap() - 1_000_000, Stream::Stdout, text))
        .collect();
    chunk_at(container, &stamped)
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_when_it_is_full_or_its_first_line_has_waited_long_enough() {
    let mut site = Site::new(|_| taken());
    let (lane, web) = site.open("web");
    let start = Instant::now();
    lane.push(chunk(&web, 0, 3));
    site.pass(Duration::from_millis(4900)).await;
    lane.push(chunk(&web, 3, 4));
    assert_eq!(site.calls().len(), 0);
    site.pass(Duration::from_millis(200)).await;
    let first = site.calls().remove(0);
    assert_eq!((first.events.len(), first.at - start), (4, Duration::from_secs(5)));
    lane.push(chunk(&web, 4, 1300));
    site.pass(Duration::from_millis(10)).await;
    assert_eq!(site.calls()[1].events.len(), 1000, "full: at once");
    drop(lane);
    site.end().await;
    assert_eq!(site.kept("web"), lines(0, 1300));
    assert_eq!(site.value("cloudwatch_billed_bytes_total", ""), 1300 * (11 + 26));
    site.assert_balance();
}

// Whatever fails: each stream has its lines in order, none is lost, and none twice but those of a
// call whose answer was lost.
#[tokio::test(start_paused = true)]
async fn order_is_kept_and_nothing_lost_under_any_failures() {
    for seed in 0..20 {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let mut site = Site::new(move |_| {
            let mut random = random.lock().unwrap();
            let mut plan = match random.u32(0..10) {
                0 => failed(Trouble::Throttled),
                1 => failed(Trouble::Unavailable),
                2 => failed(Trouble::Unreachable),
                3 => failed(Trouble::Stale),
                // Taken, but the answer is lost.
                4 => Plan { kept: true, ..failed(Trouble::Unanswered) },
                _ => taken(),
            };
            plan.after = Duration::from_millis(random.u64(1..300));
            plan
        });
        let open: Vec<_> = (0..7).map(|number| site.open(&format!("c{number}"))).collect();
        for round in 0..20 {
            for (lane, container) in &open {
                lane.push(chunk(container, round * 150, round * 150 + 150));
            }
            site.pass(Duration::from_millis(700)).await;
            site.assert_balance();
        }
        let settled: Vec<_> = open.iter().map(|(lane, _)| lane.settled().clone()).collect();
        drop(open);
        site.end().await;
        for number in 0..7 {
            let mut kept = site.kept(&format!("c{number}"));
            let calls = site.calls();
            let of_stream = calls.iter().filter(|call| call.stream == format!("c{number}"));
            assert!(of_stream.clone().count() <= 120, "batches are filled meanwhile");
            // A batch that came twice came twice as a whole, one right behind the other.
            let doubtful = kept.len() - 3000;
            assert!(doubtful as u64 <= site.value("cloudwatch_lines_doubtful_total", ""));
            kept.sort();
            kept.dedup();
            assert_eq!(kept, lines(0, 3000), "seed {seed}");
        }
        for settled in settled {
            assert_eq!(settled.cursor(), settled.read().cursor, "all is acknowledged");
        }
        assert_eq!(site.value("lines_in_flight", ""), 0);
        site.assert_balance();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_holds_up_no_other() {
    let mut site =
        Site::new(|call| if call.stream == "c0" { failed(Trouble::Denied) } else { taken() });
    let open: Vec<_> = (0..50).map(|number| site.open(&format!("c{number}"))).collect();
    for round in 0..10 {
        for (lane, container) in &open {
            lane.push(chunk(container, round * 100, round * 100 + 100));
        }
        site.pass(Duration::from_secs(6)).await;
    }
    site.pass(Duration::from_secs(6)).await;
    for number in 1..50 {
        assert_eq!(site.kept(&format!("c{number}")), lines(0, 1000));
    }
    assert!(site.kept("c0").is_empty());
    let tries = site.calls().iter().filter(|call| call.stream == "c0").count();
    assert!((2..=6).contains(&tries), "{tries}");
    assert_eq!(site.value("destination_up", ""), 0, "somebody has to change something");
    // What was not taken is held once; the rest of it waits in its lane.
    assert!(site.value("cloudwatch_held_bytes", "") < 20_000);
    site.stop.quit();
    (&mut site.delivery).await;
    assert_eq!(site.value("lines_in_flight", ""), 1000);
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn the_cursor_of_a_log_waits_for_the_slower_of_two_streams() {
    let mut site = Site::varying(Varies { by_stream: true, by_day: false }, |call| {
        if call.stream == "webstderr" && call.before < 6 {
            failed(Trouble::Unavailable)
        } else {
            taken()
        }
    });
    let (lane, web) = site.open("web");
    let streams = [Stream::Stdout, Stream::Stderr, Stream::Stderr, Stream::Stdout];
    let stamped: Vec<_> = (0..400_i64)
        .zip(streams.iter().cycle())
        .map(|(number, stream)| (number - 1000, *stream, format!("line {number:06}")))
        .collect();
    lane.push(chunk_at(&web, &stamped));
    let settled = lane.settled().clone();
    site.pass(Duration::from_millis(5100)).await;
    assert_eq!(site.kept("webstdout").len(), 200);
    let only_first = settled.cursor();
    assert_eq!(only_first.mark(Stream::Stderr), None);
    assert_eq!(only_first.mark(Stream::Stdout).unwrap().time.millis(), NOW_MILLIS - 1000);
    drop(lane);
    site.end().await;
    assert_eq!(site.kept("webstderr").len(), 200);
    assert_eq!(settled.cursor(), settled.read().cursor);
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_is_counted_by_its_reason_and_the_rest_delivered() {
    let mut site = Site::new(|_| Plan {
        reply: Reply::Taken(Refused { too_old_end: 2, expired_end: 5, too_new_start: Some(8) }),
        ..taken()
    });
    let (lane, web) = site.open("web");
    lane.push(chunk(&web, 0, 10));
    drop(lane);
    site.end().await;
    let dropped =
        |reason: &str| site.value("lines_dropped_total", &format!(",reason=\"{reason}\""));
    assert_eq!([dropped("too_old"), dropped("expired"), dropped("too_new")], [2, 3, 2]);
    assert_eq!(site.value("lines_delivered_total", ""), 3);
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn what_no_store_takes_is_not_sent_and_counted_and_the_cursor_passes_it() {
    let mut site = Site::new(|_| taken());
    let (lane, web) = site.open("web");
    let day = 24 * 3_600_000;
    let at = |millis, text: &str| (millis, Stream::Stdout, text.to_owned());
    lane.push(chunk_at(
        &web,
        &[
            at(-15 * day, "old"),
            at(-14 * day + 301_000, "just"),
            at(-1, "now"),
            at(0, ""),
            at(7_200_000, "ahead"),
        ],
    ));
    let settled = lane.settled().clone();
    drop(lane);
    site.end().await;
    assert_eq!(site.kept("web"), ["just", "now"]);
    assert_eq!(site.calls().len(), 2, "no batch spans more than a day");
    let dropped =
        |reason: &str| site.value("lines_dropped_total", &format!(",reason=\"{reason}\""));
    assert_eq!([dropped("too_old"), dropped("too_new"), dropped("empty")], [1, 1, 1]);
    assert_eq!(settled.cursor(), settled.read().cursor);
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn an_end_in_an_outage_counts_each_lost_line_once() {
    let mut site = Site::new(|_| failed(Trouble::Unavailable));
    let (lane, web) = site.open("web");
    let at = |millis, text: &str| (millis, Stream::Stdout, text.to_owned());
    let old = -15 * 24 * 3_600_000;
    lane.push(chunk_at(&web, &[at(old, "old"), at(-2, "one"), at(-1, ""), at(0, "two")]));
    site.pass(Duration::from_mins(1)).await;
    // Its log goes with it: what is on its way cannot be read again.
    site.lanes.gone("web");
    site.stop.quit();
    site.end().await;
    let dropped =
        |reason: &str| site.value("lines_dropped_total", &format!(",reason=\"{reason}\""));
    assert_eq!([dropped("too_old"), dropped("empty"), dropped("shutdown")], [1, 1, 2]);
    assert_eq!(site.value("lines_in_flight", ""), 0);
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn one_bad_event_costs_itself_only() {
    let mut site = Site::new(|call| {
        if call.events.iter().any(|(_, text)| text == "line 000611") {
            Plan { reply: Reply::Invalid { why: "so told".into() }, ..failed(Trouble::Denied) }
        } else {
            taken()
        }
    });
    let (lane, web) = site.open("web");
    lane.push(chunk(&web, 0, 1000));
    drop(lane);
    site.end().await;
    let mut rest = lines(0, 1000);
    rest.remove(611);
    assert_eq!(site.kept("web"), rest);
    assert!(site.calls().len() <= 1 + 20, "{}", site.calls().len());
    assert_eq!(site.value("lines_dropped_total", ",reason=\"rejected\""), 1);
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn what_the_agent_says_of_a_log_goes_where_its_lines_go() {
    let mut site = Site::new(|_| taken());
    let (lane, web) = site.open("web");
    let at = Timestamp::from_nanos((NOW_MILLIS - 5) * 1_000_000);
    let loss = Loss { counted: Some((3, 30)), from: at, to: at, reason: LossReason::Overflow };
    lane.announce(&loss, &web);
    lane.push(chunk(&web, 0, 1));
    drop(lane);
    site.end().await;
    let kept = site.kept("web");
    assert!(kept.len() == 2 && kept[0] == "line 000000" && kept[1].contains("3 lines"), "{kept:?}");
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_too_long_go_in_parts_and_count_as_one() {
    let mut site = Site::new(|_| taken());
    let (lane, web) = site.open("web");
    let longest = TERMS.event_bytes();
    // 'é' has two bytes and would be cut in the middle; invalid UTF-8 grows to three each.
    let text = format!("{}é{}", "x".repeat(longest - 1), "y".repeat(longest));
    lane.push(chunk_at(&web, &[(-1, Stream::Stdout, text.clone())]));
    let mut builder = ChunkBuilder::default();
    let time = Timestamp::from_nanos(NOW_MILLIS * 1_000_000);
    let place = Place {
        time,
        stream: Stream::Stdout,
        mark: Mark { time, pieces: 1 },
        span: Span::default(),
    };
    builder.push(&vec![0xFF; longest / 2], b"", place);
    lane.push(builder.take(&web).unwrap());
    let settled = lane.settled().clone();
    drop(lane);
    site.end().await;
    let expected = format!("{text}{}", "\u{FFFD}".repeat(longest / 2));
    assert_eq!(site.kept("web").concat(), expected);
    assert_eq!(site.value("lines_delivered_total", ""), 2);
    assert_eq!(site.value("cloudwatch_lines_split_total", ""), 2);
    assert_eq!(settled.cursor(), settled.read().cursor);
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_500_streams_costs_a_trickle_of_calls_and_its_end_comes_soon() {
    let start = Instant::now();
    let up = start + Duration::from_mins(1);
    let mut site =
        Site::new(move |call| if call.at < up { failed(Trouble::Unreachable) } else { taken() });
    let open: Vec<_> = (0..500).map(|number| site.open(&format!("c{number}"))).collect();
    for (lane, container) in &open {
        lane.push(chunk(container, 0, 10));
    }
    site.pass(Duration::from_mins(1)).await;
    assert!(site.calls().len() < 80, "{} calls in a minute", site.calls().len());
    assert_eq!(site.value("destination_up", ""), 0);
    site.pass(Duration::from_secs(20)).await;
    for number in 0..500 {
        assert_eq!(site.kept(&format!("c{number}")), lines(0, 10));
    }
    assert_eq!(site.value("destination_up", ""), 1);
    drop(open);
    site.end().await;
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn throttling_for_ten_minutes_costs_time_only() {
    let start = Instant::now();
    let open_at = start + Duration::from_mins(10);
    let mut site =
        Site::new(move |call| if call.at < open_at { failed(Trouble::Throttled) } else { taken() });
    let open: Vec<_> = (0..20).map(|number| site.open(&format!("c{number}"))).collect();
    for minute in 0..10 {
        for (lane, container) in &open {
            lane.push(chunk(container, minute * 10, minute * 10 + 10));
        }
        site.pass(Duration::from_mins(1)).await;
    }
    let calls = site.calls();
    let in_minute = |minute: u64| {
        let from = start + Duration::from_mins(minute);
        calls.iter().filter(|c| c.at >= from && c.at < from + Duration::from_mins(1)).count()
    };
    assert!(in_minute(9) <= 20 && in_minute(0) <= 60, "{} and {}", in_minute(0), in_minute(9));
    assert_eq!(site.value("destination_up", ""), 1, "throttled is not down");
    drop(open);
    site.end().await;
    for number in 0..20 {
        assert_eq!(site.kept(&format!("c{number}")), lines(0, 100));
    }
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn the_end_flushes_200_streams_side_by_side() {
    let mut site = Site::new(|_| Plan { after: Duration::from_millis(100), ..taken() });
    let open: Vec<_> = (0..200).map(|number| site.open(&format!("c{number}"))).collect();
    for (lane, container) in &open {
        lane.push(chunk(container, 0, 1));
    }
    site.pass(Duration::from_millis(10)).await;
    let start = Instant::now();
    drop(open);
    site.end().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(site.fake.most_flying.load(Ordering::SeqCst), TERMS.in_flight);
    assert_eq!(site.value("lines_delivered_total", ""), 200);
}

#[tokio::test(start_paused = true)]
async fn a_dead_store_fills_the_window_and_no_more() {
    let mut site = Site::new(|_| failed(Trouble::Unreachable));
    let open: Vec<_> = (0..30).map(|number| site.open(&format!("c{number}"))).collect();
    let text = "x".repeat(1000);
    for round in 0..300 {
        for (lane, container) in &open {
            if lane.room().now_or_never().is_some() {
                let line = (round - 1_000_000, Stream::Stdout, text.clone());
                lane.push(chunk_at(container, &vec![line; 30]));
            }
        }
        site.pass(Duration::from_millis(100)).await;
        let held = site.value("cloudwatch_held_bytes", "");
        assert!(held <= (1 << 20) + 2 * 64 * 1024, "{held} bytes held");
        assert!(site.lanes.queued_bytes() <= (4 << 20) + 64 * 1024);
    }
    assert!(site.value("cloudwatch_held_bytes", "") > 1 << 19, "the window is used");
    site.stop.quit();
    (&mut site.delivery).await;
    site.assert_balance();
}

#[tokio::test(start_paused = true)]
async fn streams_of_containers_that_are_gone_are_forgotten() {
    let mut site = Site::new(|_| Plan { after: Duration::from_millis(1), ..taken() });
    let (_stays, _) = site.open("stays");
    for number in 0..3000 {
        let (lane, container) = site.open(&format!("c{number}"));
        lane.push(chunk(&container, 0, 1));
        drop(lane);
        site.pass(Duration::from_millis(20)).await;
    }
    site.pass(Duration::from_secs(6)).await;
    let (lane, container) = site.open("last");
    lane.push(chunk(&container, 0, 1));
    site.pass(Duration::from_secs(6)).await;
    assert!(site.value("cloudwatch_streams", "") < 700, "{}", site.value("cloudwatch_streams", ""));
    assert_eq!(site.value("lines_delivered_total", ""), 3001);
}
