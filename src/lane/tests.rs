use futures_util::FutureExt;

use super::*;
use crate::metrics::Metrics;
use crate::record::{ChunkBuilder, Edge, Line, Mark, Place, Span, Stream};

fn container(name: &str) -> Arc<Container> {
    Arc::new(Container { id: name.into(), name: name.into(), ..Container::default() })
}

fn chunk(container: &Arc<Container>, number: i64, bytes: usize) -> Chunk {
    let mut builder = ChunkBuilder::default();
    let time = Timestamp::from_nanos(number);
    let mark = Mark { time, pieces: 1 };
    builder.push(
        &vec![b'x'; bytes],
        b"",
        Place { time, stream: Stream::Stdout, mark, span: Span::default() },
    );
    builder.take(container).unwrap()
}

fn lanes(budget: usize) -> Arc<Lanes> {
    Lanes::new(budget, Kept::default(), Metrics::new().destination("test"))
}

#[tokio::test]
async fn a_flooding_lane_cannot_hold_up_a_quiet_one() {
    let lanes = lanes(10 << 20);
    let (loud, quiet) = (container("loud"), container("quiet"));
    let (loud_lane, quiet_lane) = (lanes.open(&loud, None), lanes.open(&quiet, None));
    for number in 0..100 {
        loud_lane.push(chunk(&loud, number, 30_000));
    }
    quiet_lane.push(chunk(&quiet, 1, 10));
    let picked = lanes.next(100_000).await;
    let place = picked.iter().position(|p| p.chunk.container.name == "quiet").unwrap();
    assert!(place <= 1, "the quiet lane waits for one quantum only, not {place} chunks");
}

#[tokio::test]
async fn order_within_a_lane_is_kept_and_all_of_it_comes_out() {
    let lanes = lanes(1 << 20);
    let one = container("one");
    let lane = lanes.open(&one, None);
    for number in 0..50 {
        lane.push(chunk(&one, number, 1_000));
    }
    drop(lane);
    lanes.close();
    let mut seen = Vec::new();
    loop {
        let picked = lanes.next(5_000).await;
        if picked.is_empty() {
            break;
        }
        seen.extend(picked.iter().map(|p| p.chunk.lines()[0].time.nanos()));
    }
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    assert_eq!(lanes.queued_bytes(), 0);
}

#[tokio::test]
async fn a_quarter_of_the_budget_is_for_lanes_that_hold_nothing_and_all_of_it_is_the_limit() {
    let lanes = lanes(100_000);
    let (busy, fresh, third) = (container("busy"), container("fresh"), container("third"));
    let busy_lane = lanes.open(&busy, None);
    let (fresh_lane, third_lane) = (lanes.open(&fresh, None), lanes.open(&third, None));
    busy_lane.push(chunk(&busy, 1, 40_000));
    busy_lane.push(chunk(&busy, 2, 40_000));
    assert!(busy_lane.room().now_or_never().is_none(), "over its share");
    assert!(fresh_lane.room().now_or_never().is_some(), "kept for it");
    fresh_lane.push(chunk(&fresh, 1, 30_000));
    assert!(third_lane.room().now_or_never().is_none(), "over the limit");
    let waiting = async { tokio::join!(busy_lane.room(), third_lane.room()) };
    tokio::pin!(waiting);
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    lanes.next(1 << 20).await;
    waiting.await;
}

#[tokio::test]
async fn a_lane_that_holds_nothing_is_woken_before_those_that_do() {
    let lanes = lanes(5 * QUANTUM);
    let (busy, fresh) = (container("busy"), container("fresh"));
    let (busy_lane, fresh_lane) = (lanes.open(&busy, None), lanes.open(&fresh, None));
    for quanta in [2, 1, 1, 1] {
        busy_lane.push(chunk(&busy, 1, quanta * QUANTUM));
    }
    let (mut first, mut second) = (Box::pin(busy_lane.room()), Box::pin(fresh_lane.room()));
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    assert!(futures_util::poll!(second.as_mut()).is_pending());
    lanes.next(1).await;
    assert!(futures_util::poll!(first.as_mut()).is_pending(), "three quarters are taken");
    assert!(futures_util::poll!(second.as_mut()).is_ready());
}

#[test]
fn lines_without_an_end_are_charged_and_may_not_fill_the_budget() {
    let lanes = lanes(100_000);
    let (one, other) = (container("one"), container("other"));
    let (lane, other_lane) = (lanes.open(&one, None), lanes.open(&other, None));
    assert!(lane.hold(40_000));
    assert!(!other_lane.hold(20_000), "more than half of the budget");
    assert!(other_lane.hold(0));
    other_lane.push(chunk(&other, 1, 40_000));
    assert!(!other_lane.has_room());
    drop(lane);
    assert!(other_lane.has_room(), "what a lane held goes with it");
}

#[tokio::test]
async fn a_chunk_larger_than_a_quantum_gets_its_turn() {
    let lanes = lanes(1 << 20);
    let one = container("one");
    let lane = lanes.open(&one, None);
    lane.push(chunk(&one, 1, 10 * QUANTUM));
    assert_eq!(lanes.next(1).await.len(), 1);
}

fn texts(picked: &[Picked]) -> Vec<String> {
    let line = |p: &Picked| String::from_utf8_lossy(p.chunk.text(&p.chunk.lines()[0])).into_owned();
    picked.iter().map(line).collect()
}

fn balance(lanes: &Lanes) -> [u64; 3] {
    let metrics = lanes.metrics();
    let in_flight = metrics.lines_in_flight();
    [metrics.lines_read(), metrics.lines_dropped(), in_flight]
}

#[tokio::test]
async fn the_oldest_go_where_nothing_can_be_read_again_and_the_stream_says_so() {
    let lanes = lanes(100_000);
    let one = container("one");
    let lane = lanes.open(&one, None);
    for number in 0..4 {
        lane.offer(chunk(&one, number, 40_000), Overflow::DropOldest);
    }
    assert_eq!(balance(&lanes), [4, 2, 2]);
    let picked = lanes.next(1 << 20).await;
    let notice = &texts(&picked)[0];
    assert!(notice.starts_with("2 lines (80000 bytes) of one (one) lost between "), "{notice}");
    assert_eq!(picked[1].chunk.lines()[0].time.nanos(), 2);
    assert_eq!(balance(&lanes), [5, 2, 3], "the notice is a line as well");
}

#[tokio::test]
async fn the_newest_go_if_asked_for_and_the_stream_says_so_where_they_are_missing() {
    let lanes = lanes(100_000);
    let one = container("one");
    let lane = lanes.open(&one, None);
    for number in 0..4 {
        lane.offer(chunk(&one, number, 40_000), Overflow::DropNewest);
    }
    assert_eq!(balance(&lanes), [4, 2, 2]);
    assert_eq!(lanes.next(1 << 20).await.len(), 2);
    lane.offer(chunk(&one, 4, 10), Overflow::DropNewest);
    let picked = lanes.next(1 << 20).await;
    assert!(texts(&picked)[0].starts_with("2 lines (80000 bytes) of one"), "{:?}", texts(&picked));
    assert_eq!(picked[1].chunk.lines()[0].time.nanos(), 4);
    for number in 0..3 {
        lane.offer(chunk(&one, number, 40_000), Overflow::DropNewest);
    }
    drop(lane);
    let picked = lanes.next(1 << 20).await;
    assert!(texts(&picked)[2].starts_with("1 line (40000 bytes) of one"), "at the end as well");
}

#[tokio::test]
async fn a_log_that_is_read_again_is_counted_once_and_what_does_not_come_again_is_lost() {
    let lanes = lanes(1 << 20);
    let one = container("one");
    let lane = lanes.open(&one, None);
    let rewinds = lane.rewinds();
    for number in 1..=6 {
        lane.push(chunk(&one, number, 100));
    }
    let sent = lanes.next(1).await;
    sent[0].settled.advance(sent[0].chunk.lines(), &[], Edge::default());
    lanes.metrics().delivered(1, 0);
    let to = sent[0].settled.cursor();
    assert!(lanes.rewind(lane.settled(), to, 0));
    assert_eq!(balance(&lanes), [6, 0, 5], "what is given back is still to be delivered");
    assert_eq!(lanes.metrics().lines_replayed.get(), 5);
    lane.push(chunk(&one, 7, 100));
    assert_eq!(lanes.queued_bytes(), 0, "it comes from behind the place");
    assert_eq!(rewinds.next().await.cursor, to);
    for number in 2..=4 {
        lane.push(chunk(&one, number, 100));
    }
    assert_eq!(balance(&lanes), [6, 0, 5]);
    lane.push(chunk(&one, 10_000_000_000, 100));
    assert_eq!(balance(&lanes), [7, 2, 4], "two lines did not come again");
    assert!(rewinds.next().now_or_never().is_none());
}

#[tokio::test]
async fn lateness_is_that_of_the_oldest_line_and_of_the_reader_that_waits() {
    const SECOND: i64 = 1_000_000_000;
    let lanes = lanes(100_000);
    let (one, other) = (container("one"), container("other"));
    let (lane, other_lane) = (lanes.open(&one, None), lanes.open(&other, None));
    let now = Timestamp::now();
    let lags = || {
        lanes.look();
        [&lanes.metrics().delivery_lag, &lanes.metrics().source_lag].map(|lag| lag.get().round())
    };
    assert!(lags().iter().all(|lag| *lag < 1.0), "nothing was read");
    lane.push(chunk(&one, now.before(100 * SECOND).nanos(), 80_000));
    other_lane.push(chunk(&other, now.before(40 * SECOND).nanos(), 10));
    assert!(lags().iter().all(|lag| (99.0..=102.0).contains(lag)), "{:?}", lags());
    // It goes on falling behind while it waits for room.
    assert!(lane.room().now_or_never().is_none());
    let behind = |seconds: i64| {
        let later = Timestamp::from_nanos(now.nanos() + seconds * SECOND);
        lock(&lanes.state).slots.values().map(|slot| slot.behind(later) / SECOND).max()
    };
    assert!((159..=161).contains(&behind(60).unwrap()), "{:?}", behind(60));
    let picked = lanes.next(1 << 20).await;
    let acknowledge = |name: &str| {
        for Picked { chunk, settled, .. } in
            picked.iter().filter(|p| p.chunk.container.name == name)
        {
            settled.advance(chunk.lines(), &[], Edge::default());
        }
    };
    acknowledge("one");
    assert!((39.0..=42.0).contains(&lags()[0]), "the other one is the oldest now: {:?}", lags());
    lane.room().await;
    assert_eq!(behind(60), Some(0), "who reads what comes is not behind");
    acknowledge("other");
    assert!(lags()[0] < 1.0, "all is acknowledged");
}

#[test]
fn what_is_in_no_log_is_not_sent_back() {
    let lanes = lanes(1 << 20);
    let one = container("one");
    let lane = lanes.open(&one, None);
    lane.never_returns();
    lane.push(chunk(&one, 1, 100));
    assert!(!lanes.rewind(lane.settled(), Cursor::default(), 0));
    assert_eq!(lanes.abandon(), (1, 100));
    assert_eq!(lanes.kept().unwrap().logs.len(), 0, "there is nothing to return to");
}

#[test]
fn a_reader_that_ends_is_told_to_go_back_or_never_sent_back_any_more() {
    let lanes = lanes(1 << 20);
    let one = container("one");
    let lane = lanes.open(&one, None);
    lane.push(chunk(&one, 1, 100));
    assert!(lanes.rewind(lane.settled(), Cursor::default(), 0));
    assert_eq!(lane.end(), Some(Resume::default()), "it was not told yet");
    lane.push(chunk(&one, 1, 100));
    assert_eq!(lane.end(), None);
    assert!(!lanes.rewind(lane.settled(), Cursor::default(), 0), "nobody would read it");
    assert_eq!((lanes.queued_bytes() > 0, balance(&lanes)), (true, [1, 0, 1]));
}

#[test]
fn of_a_container_that_was_removed_what_waits_is_all_there_is() {
    let lanes = lanes(1 << 20);
    let one = container("one");
    let lane = lanes.open(&one, None);
    lane.push(chunk(&one, 1, 100));
    assert_eq!(lanes.abandon(), (0, 0), "its log has it");
    lanes.gone("one");
    assert!(!lanes.rewind(lane.settled(), Cursor::default(), 0));
    assert_eq!(balance(&lanes), [1, 0, 1]);
    assert_eq!(lanes.abandon(), (1, 100));
}

#[tokio::test]
async fn what_is_kept_is_where_the_next_run_goes_on() {
    let lanes = lanes(1 << 20);
    let (one, gone) = (container("one"), container("gone"));
    let lane = lanes.open(&one, Some(Timestamp::from_nanos(1)));
    let gone_lane = lanes.open(&gone, None);
    gone_lane.push(chunk(&gone, 5, 10));
    lane.push(chunk(&one, 7, 10));
    lanes.gone("gone");
    drop(gone_lane);
    let kept = lanes.kept().unwrap();
    assert_eq!(kept.logs.len(), 2, "not delivered yet");
    assert_eq!(kept.logs["one"].cursor, Cursor::default());
    assert_eq!(lanes.kept(), None, "nothing moved");
    for picked in lanes.next(1 << 20).await {
        picked.settled.advance(picked.chunk.lines(), &[], Edge::default());
    }
    let kept = lanes.kept().unwrap();
    assert_eq!(kept.logs.keys().collect::<Vec<_>>(), ["one"], "gone and delivered");
    assert_eq!(kept.logs["one"].floor, Some(Timestamp::from_nanos(1)));
    let again = Lanes::new(1, kept, Metrics::new().destination("again"));
    assert!(again.knows("one") && !again.knows("two"));
    let lane = again.open(&one, None);
    assert_eq!(lane.settled().read().cursor.mark(Stream::Stdout).unwrap().time.nanos(), 7);
    assert_eq!(lane.settled().read().floor, Some(Timestamp::from_nanos(1)));
    again.retain(&HashSet::from(["two"]));
    drop(lane);
    assert!(again.kept().unwrap().logs.is_empty(), "its container does not exist any more");
}

#[test]
fn settling_moves_each_stream_to_its_last_line() {
    let lanes = lanes(1);
    let lane = lanes.open(&container("one"), None);
    let stamped = |nanos, stream| {
        let time = Timestamp::from_nanos(nanos);
        Line {
            start: 0,
            end: 0,
            time,
            stream,
            mark: Mark { time, pieces: 1 },
            span: Span::default(),
        }
    };
    lane.settled().advance(
        &[stamped(5, Stream::Stderr), stamped(3, Stream::Stdout), stamped(4, Stream::Stdout)],
        &[],
        Edge::default(),
    );
    let cursor = lane.settled().cursor();
    assert_eq!(cursor.mark(Stream::Stdout).unwrap().time.nanos(), 4);
    assert_eq!(cursor.mark(Stream::Stderr).unwrap().time.nanos(), 5);
}

#[tokio::test]
async fn a_log_that_can_be_read_later_fills_its_lane_to_a_limit_and_another_has_none() {
    let (lanes, one, other) = (lanes(8 * LANE_BYTES), container("one"), container("two"));
    let (lane, attached) = (lanes.open(&one, None), lanes.open(&other, None));
    attached.never_returns();
    for (lane, container) in [(&lane, &one), (&attached, &other)] {
        lane.push(chunk(container, 1, LANE_BYTES));
    }
    assert!(!lane.has_room() && attached.has_room());
    while lanes.queued_bytes() > 0 {
        drop(lanes.next(LANE_BYTES).await);
    }
    assert!(lane.has_room());
}
