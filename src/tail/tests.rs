//! The hub with lanes that the test fills: who sees what, who is left out, who is let go.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::queue::QUEUE_BYTES;
use super::*;
use crate::assemble::Joining;
use crate::lane::Lane;
use crate::metrics::Metrics;
use crate::record::{ChunkBuilder, Mark, Place, Span};
use crate::select::{Rules, Selection};

struct Site {
    hub: Hub,
    intakes: Intakes,
    metrics: Metrics,
    tasks: Tasks,
    stop: Stop,
}

impl Site {
    fn new() -> Self {
        let (metrics, intakes, stop) = (Metrics::new(), Intakes::new(), Stop::new());
        let tasks = Tasks::new(metrics.tasks().clone());
        let wish = Wish {
            route: String::new(),
            selection: Selection::default(),
            rules: Arc::new(Rules::default()),
            joining: Joining::never(),
            heeds_variable: false,
        };
        let hub = Hub::new(Parts {
            intakes: intakes.clone(),
            wish,
            lanes: metrics.unlisted(),
            metrics: metrics.tail().clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        Self { hub, intakes, metrics, tasks, stop }
    }

    /// What a source does for every intake: opens a lane for a container.
    fn lane(&self, container: &Container) -> Lane {
        let intakes = self.intakes.now();
        assert_eq!(intakes.len(), 1, "one way for all viewers");
        assert!(intakes[0].is_tail() && intakes[0].seat().is_none());
        intakes[0].open(container, Some(intakes[0].since()))
    }
}

fn everything() -> Filter {
    Filter { container: Box::new(|_| true), stdout: true, stderr: true }
}

fn container(name: &str) -> Arc<Container> {
    let id = format!("{name:0<64}");
    Arc::new(Container { id, name: name.into(), ..Container::default() })
}

fn chunk(container: &Arc<Container>, texts: &[&str], time: Timestamp) -> Chunk {
    let mut builder = ChunkBuilder::default();
    for text in texts {
        let mark = Mark { time, pieces: 1 };
        let stream = if text.starts_with("err") { Stream::Stderr } else { Stream::Stdout };
        builder.push(text.as_bytes(), b"", Place { time, stream, mark, span: Span::default() });
    }
    builder.take(container).unwrap()
}

/// What a viewer sees of what is there by now.
async fn seen(viewer: &Viewer) -> Vec<String> {
    let mut seen = Vec::new();
    // The hub's task has its turns meanwhile.
    for _ in 0..50 {
        tokio::task::yield_now().await;
        match viewer.next().now_or_never() {
            Some(Some(Next::Lines(chunk))) => {
                let wanted = chunk.lines().iter().filter(|line| viewer.wants(line));
                seen.extend(wanted.map(|line| String::from_utf8_lossy(chunk.text(line)).into()));
            }
            Some(Some(Next::LeftOut(lines))) => seen.push(format!("<{lines} left out>")),
            Some(None) => seen.push("<end>".to_owned()),
            None => {}
        }
    }
    seen.dedup_by(|a, b| a == "<end>" && b == "<end>");
    seen
}

#[tokio::test(start_paused = true)]
async fn each_viewer_sees_what_it_asked_for_from_the_moment_at_which_it_asked() {
    let site = Site::new();
    let all = site.hub.view(everything()).unwrap();
    let web = container("web");
    let lane = site.lane(&web);
    lane.push(chunk(&web, &["one", "err two"], Timestamp::now()));
    assert_eq!(seen(&all).await, ["one", "err two"]);
    let early = Timestamp::now();
    let errors = Filter { container: Box::new(|c| c.name == "web"), stdout: false, stderr: true };
    let errors = site.hub.view(errors).unwrap();
    let db = site.hub.view(Filter { container: Box::new(|c| c.name == "db"), ..everything() });
    let db = db.unwrap();
    lane.push(chunk(&web, &["err too early"], early.before(1)));
    lane.push(chunk(&web, &["three", "err four"], Timestamp::now()));
    assert_eq!(seen(&all).await, ["err too early", "three", "err four"]);
    assert_eq!(seen(&errors).await, ["err four"]);
    assert_eq!(seen(&db).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_does_not_read_loses_the_oldest_and_is_told_while_others_get_all() {
    let site = Site::new();
    let (slow, quick) =
        (site.hub.view(everything()).unwrap(), site.hub.view(everything()).unwrap());
    let web = container("web");
    let lane = site.lane(&web);
    let text = "x".repeat(10_000);
    let (mut sent, mut got) = (0, 0);
    while sent < 4 * QUEUE_BYTES / text.len() {
        assert!(lane.has_room(), "nobody waits for a viewer");
        lane.push(chunk(&web, &[&text], Timestamp::now()));
        sent += 1;
        got += seen(&quick).await.len();
    }
    assert_eq!(got, sent);
    let seen = seen(&slow).await;
    let kept = seen.len() - 1;
    assert_eq!(seen[0], format!("<{} left out>", sent - kept));
    let weight = chunk(&web, &[&text], Timestamp::now()).weight();
    assert_eq!(kept, QUEUE_BYTES / weight, "as many as there is room for");
    assert_eq!(site.metrics.tail().lines_dropped.get(), (sent - kept) as u64);
    assert_eq!(site.metrics.tail().lines.get(), 2 * sent as u64);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_larger_than_the_queue_is_shown_and_makes_all_else_go() {
    let site = Site::new();
    let viewer = site.hub.view(everything()).unwrap();
    let web = container("web");
    let lane = site.lane(&web);
    lane.push(chunk(&web, &["small"], Timestamp::now()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    lane.push(chunk(&web, &[&"y".repeat(2 * QUEUE_BYTES)], Timestamp::now()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let seen = seen(&viewer).await;
    assert_eq!(seen[0], "<1 left out>");
    assert_eq!(seen[1].len(), 2 * QUEUE_BYTES);
}

#[tokio::test(start_paused = true)]
async fn one_viewer_too_many_is_refused_and_a_place_that_was_left_is_given_again() {
    let site = Site::new();
    let mut viewers: Vec<Viewer> =
        (0..MOST_VIEWERS).map(|_| site.hub.view(everything()).unwrap()).collect();
    assert_eq!(site.hub.view(everything()).unwrap_err(), Refused::Full);
    assert_eq!(site.metrics.tail().refused.get(), 1);
    assert_eq!(site.metrics.tail().viewers.get(), 16);
    viewers.pop();
    assert!(site.hub.view(everything()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_way_into_the_containers_closes_some_seconds_after_the_last_has_left() {
    let site = Site::new();
    drop(site.hub.view(everything()).unwrap());
    let first = site.intakes.now()[0].id();
    tokio::time::sleep(GRACE / 2).await;
    let again = site.hub.view(everything()).unwrap();
    tokio::time::sleep(3 * GRACE).await;
    assert_eq!(site.intakes.now()[0].id(), first, "who comes soon finds it open");
    drop(again);
    tokio::time::sleep(GRACE + Duration::from_secs(1)).await;
    assert!(site.intakes.now().is_empty(), "nothing is read for nobody");
    assert_eq!(site.tasks.alive(), 0);
    assert_eq!(site.metrics.tail().viewers.get(), 0);
    let viewer = site.hub.view(everything()).unwrap();
    let web = container("web");
    site.lane(&web).push(chunk(&web, &["again"], Timestamp::now()));
    assert_eq!(seen(&viewer).await, ["again"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_not_noticed_the_end_never_waits_for_room() {
    let site = Site::new();
    let viewer = site.hub.view(everything()).unwrap();
    let web = container("web");
    let lane = site.lane(&web);
    drop(viewer);
    tokio::time::sleep(2 * GRACE).await;
    for _ in 0..200 {
        lane.room().await;
        lane.push(chunk(&web, &[&"z".repeat(30_000)], Timestamp::now()));
    }
    drop(lane);
    site.tasks.finished().await;
}

#[tokio::test(start_paused = true)]
async fn viewers_end_when_sources_stop_and_nobody_comes_any_more() {
    let site = Site::new();
    let viewer = site.hub.view(everything()).unwrap();
    site.stop.drain();
    assert_eq!(seen(&viewer).await, ["<end>"]);
    site.tasks.finished().await;
    assert_eq!(site.hub.view(everything()).unwrap_err(), Refused::Stopping);
}

#[tokio::test(start_paused = true)]
async fn only_who_takes_nothing_although_something_waits_is_stuck() {
    let site = Site::new();
    let viewer = site.hub.view(everything()).unwrap();
    let stuck = viewer.progress();
    let stuck = stuck.stuck();
    tokio::pin!(stuck);
    let hour = Duration::from_hours(1);
    assert!(tokio::time::timeout(hour, &mut stuck).await.is_err(), "there was nothing to take");
    let web = container("web");
    let lane = site.lane(&web);
    for _ in 0..10 {
        lane.push(chunk(&web, &["line"], Timestamp::now()));
        assert!(tokio::time::timeout(STUCK_AFTER / 2, &mut stuck).await.is_err());
        assert_eq!(seen(&viewer).await, ["line"]);
    }
    lane.push(chunk(&web, &["line"], Timestamp::now()));
    assert!(tokio::time::timeout(STUCK_AFTER * 2, &mut stuck).await.is_ok());
    assert_eq!(site.metrics.tail().stuck.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn containers_are_known_by_any_beginning_of_their_id_until_they_are_gone() {
    let site = Site::new();
    assert!(!site.hub.knows("w"), "nobody looks");
    let _viewer = site.hub.view(everything()).unwrap();
    let web = container("web");
    let lane = site.lane(&web);
    for there in ["w", "web", &web.id] {
        assert!(site.hub.knows(there), "{there}");
    }
    for other in ["v", "webb", &format!("{}0", web.id)] {
        assert!(!site.hub.knows(other), "{other}");
    }
    site.intakes.now()[0].gone(&web.id);
    assert!(!site.hub.knows("web"));
    drop(lane);
}
