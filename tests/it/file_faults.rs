//! Log files that are cut, damaged, replaced, renamed faster than they are read, or that cannot be
//! read at all. On an engine that keeps every record in a file and answers for its log as well, so
//! that the agent can go over to asking it.

use std::fs::Permissions;
use std::ops::{Range, RangeInclusive};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::agent::{Agent, Launch, Metrics};
use crate::support::fake_engine::{Container, FakeEngine, Release, now};
use crate::support::log_files::{LogFiles, record};
use crate::support::numbers::{Expected, Stream, text};
use crate::support::receiver::{Close, TcpReceiver};
use crate::support::{SOON, check, until};

const WIDTH: usize = 60;

/// One container, one agent that keeps its positions, one receiver.
struct Scene {
    agent: Agent,
    receiver: TcpReceiver,
    engine: FakeEngine,
    container: Arc<Container>,
    width: usize,
    state: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self::starting(|_| {})
    }

    /// Does something to the log before the agent is started.
    fn starting(prepare: impl FnOnce(&Container)) -> Self {
        Self::launched(Launch::new(), prepare)
    }

    fn launched(launch: Launch, prepare: impl FnOnce(&Container)) -> Self {
        let (engine, receiver) = (FakeEngine::with_files(Release::V24), TcpReceiver::start());
        let state = tempfile::tempdir().unwrap();
        let container = engine.container("web");
        prepare(&container);
        let agent = configured(launch, &engine, &receiver, &state).ready();
        Self { agent, receiver, engine, container, width: WIDTH, state }
    }

    /// Prints numbered lines.
    fn print(&self, lines: RangeInclusive<u64>) {
        self.container.print_numbers(Stream::Out, lines, self.width);
    }

    /// Prints numbered lines and waits until they, and all before them, have come.
    #[track_caller]
    fn ship(&self, lines: RangeInclusive<u64>) {
        let last = *lines.end();
        self.print(lines);
        self.arrived(last);
    }

    /// Ends the line that is open on standard output, and ships lines behind it.
    #[track_caller]
    fn ship_after_open_lines(&self, lines: RangeInclusive<u64>) {
        let end = [(Stream::Out, now(), (*b"end\n").into())];
        self.container.append(end.into_iter());
        self.ship(lines);
    }

    /// The record of a line.
    fn numbered(&self, number: u64) -> Vec<u8> {
        let line = text(Stream::Out, number, self.width) + "\n";
        record(Stream::Out, now(), line.as_bytes())
    }

    /// Waits for line `last`.
    #[track_caller]
    fn arrived(&self, last: u64) {
        let wanted = text(Stream::Out, last, self.width);
        until(&format!("line {last} arrives"), SOON, || {
            let lines = self.receiver.inbox.lines_of("web");
            let came = lines.iter().any(|(_, line)| *line == wanted.as_bytes());
            check(came, || format!("{} lines came", lines.len()))
        });
    }

    /// A long stretch of lines in the log, a rotation after each of these numbers.
    fn print_and_rotate(&self, lines: RangeInclusive<u64>, every: u64, files: usize) {
        for number in lines {
            self.print(number..=number);
            if number % every == 0 {
                self.container.files().rotate(files);
            }
        }
    }

    /// Ends the agent in order and starts another one in its place.
    #[track_caller]
    fn restart(&mut self) {
        self.agent.signal("TERM");
        until("the agent ends", SOON, || check(!self.agent.is_running(), || "it runs".into()));
        let launch = Launch::new();
        self.agent = configured(launch, &self.engine, &self.receiver, &self.state).ready();
    }

    fn streams_opened(&self) -> u64 {
        self.agent.metrics().value("log_streams_opened_total")
    }

    fn gaps(&self) -> u64 {
        self.agent.metrics().of("gaps_total", &self.receiver.route())
    }

    /// Lines 1 to `last` came once and in order, but for `gone`; and all that was read is settled.
    #[track_caller]
    fn assert_came(self, last: u64, gone: Range<u64>) -> Metrics {
        let mut expected = Expected::new(self.width);
        expected.add("web", Stream::Out, 1..=last);
        self.arrived(last);
        self.agent.assert_balance(&self.receiver.route());
        let metrics = self.agent.metrics();
        assert_eq!(metrics.value("task_panics_total"), 0);
        assert_eq!(self.agent.terminate().code, Some(0));
        let tally = self.receiver.inbox.tally(&expected);
        let missing: Vec<_> = gone.map(|number| format!("web stdout {number}")).collect();
        assert_eq!(tally.lost, missing, "{tally}");
        assert_eq!((tally.repeated, tally.reordered, tally.unexpected), (0, 0, 0), "{tally}");
        assert!(tally.garbled.is_empty(), "{tally}");
        metrics
    }

    /// Every line came, from files alone, and nothing is said to be missing.
    #[track_caller]
    fn assert_all_came_from_files(self, last: u64) -> Metrics {
        assert_eq!((self.streams_opened(), self.gaps()), (0, 0));
        self.assert_came(last, 0..0)
    }
}

fn configured(
    launch: Launch,
    engine: &FakeEngine,
    receiver: &TcpReceiver,
    state: &tempfile::TempDir,
) -> Launch {
    launch
        .env("DOCKER_HOST", engine.docker_host())
        .env("DOWNSPOUT_BACKLOG", "true")
        // A place for 1 MiB of lines, half of it for lines without an end.
        .env("DOWNSPOUT_MEMORY_LIMIT", "16MiB")
        .env("DOWNSPOUT_BACKOFF_MAX", "200ms")
        .env("DOWNSPOUT_STATE_DIR", state.path())
        .arg(receiver.route())
}

#[test]
fn a_log_that_is_truncated_to_nothing_goes_on_with_what_comes_behind() {
    let scene = Scene::new();
    scene.ship(1..=100);
    scene.container.files().truncate(0);
    scene.ship(101..=103);
    scene.assert_came(103, 0..0);
}

#[test]
fn what_a_truncation_took_unread_is_announced_and_what_comes_behind_is_shipped() {
    let scene = Scene::new();
    scene.ship(1..=100);
    scene.agent.frozen(|| {
        scene.print(101..=120);
        scene.container.files().truncate(0);
        scene.print(121..=130);
    });
    scene.arrived(130);
    assert_eq!(scene.gaps(), 1);
    scene.assert_came(130, 101..121);
}

#[test]
fn a_log_that_has_grown_beyond_its_former_length_after_a_truncation_is_read_from_its_start() {
    let scene = Scene::new();
    scene.ship(1..=100);
    scene.agent.frozen(|| {
        scene.print(101..=120);
        scene.container.files().truncate(0);
        // The former end lies within one of these.
        scene.print(121..=300);
    });
    scene.arrived(300);
    assert_eq!(scene.gaps(), 1);
    scene.assert_came(300, 101..121);
}

#[test]
fn a_log_that_is_cut_to_a_part_goes_on_with_what_comes_behind() {
    let scene = Scene::new();
    scene.ship(1..=100);
    let length = scene.container.files().length();
    // Within a record, onto which the next one is written.
    scene.container.files().truncate(length / 2 + 7);
    scene.ship(101..=103);
    scene.assert_came(103, 0..0);
}

#[test]
fn a_hole_of_zeros_before_a_record_costs_no_record() {
    let scene = Scene::new();
    scene.ship(1..=10);
    // After a rotation the engine writes where it is, not at the end.
    scene.container.files().rotate(2);
    scene.ship(11..=100);
    scene.container.files().truncate(0);
    scene.ship(101..=103);
    assert_eq!(scene.streams_opened(), 0);
    scene.assert_came(103, 0..0);
}

#[test]
fn a_large_hole_costs_no_record_behind_it() {
    for around in [0, 40, 150] {
        let scene = Scene::starting(|web| web.files().rotate(2));
        scene.ship(1..=10);
        scene.agent.frozen(|| {
            let length = scene.container.files().length();
            // A record that begins in one read of 1 MiB of zeros and ends in the next.
            scene.container.files().write(&vec![0; (3 << 20) - around]);
            scene.print(11..=20);
            assert!(scene.container.files().length() > length + (3 << 20));
        });
        scene.arrived(20);
        let metrics = scene.assert_came(20, 0..0);
        assert_eq!(metrics.value("log_bytes_garbled_total"), (3 << 20) - around as u64);
    }
}

#[test]
fn a_log_that_is_removed_while_it_is_read_is_read_to_its_end() {
    let scene = Scene::new();
    scene.ship(1..=10);
    scene.agent.frozen(|| {
        scene.print(11..=100);
        scene.engine.remove(&scene.container);
    });
    scene.arrived(100);
    scene.agent.wait_for("nobody follows it", SOON, |metrics| metrics.value("followers") == 0);
    scene.assert_all_came_from_files(100);
}

#[test]
fn a_last_line_that_is_completed_later_is_shipped_then_and_once() {
    let scene = Scene::new();
    scene.ship(1..=10);
    for (at, number) in [1, 7, 8, 30, usize::MAX].into_iter().zip(11..) {
        let line = scene.numbered(number);
        // A stamp that ends with zeros is shorter.
        let (start, end) = line.split_at(at.min(line.len() - 1));
        scene.container.files().write(start);
        // The start has been looked at by then: changes are told in their order.
        let marker = scene.engine.container(&format!("marker-{number}"));
        marker.print_numbers(Stream::Out, 1..=1, WIDTH);
        scene.receiver.inbox.wait_lines(&marker.name, 1, SOON);
        scene.container.files().write(end);
        scene.arrived(number);
    }
    let metrics = scene.assert_all_came_from_files(15);
    assert_eq!(metrics.value("log_bytes_garbled_total"), 0);
}

#[test]
fn a_last_line_that_was_never_completed_costs_nothing_but_itself() {
    let scene = Scene::new();
    scene.ship(1..=10);
    let torn = scene.numbered(999);
    scene.container.files().write(&torn[..50]);
    scene.container.files().rotate(5);
    scene.ship(11..=20);
    let metrics = scene.assert_all_came_from_files(20);
    assert_eq!(metrics.value("log_bytes_garbled_total"), 50);
}

#[test]
fn a_record_behind_a_torn_one_on_its_line_is_shipped() {
    let scene = Scene::new();
    scene.ship(1..=10);
    // The engine was killed while it wrote, and goes on behind that.
    let torn = scene.numbered(999);
    scene.container.files().write(&torn[..50]);
    scene.ship(11..=20);
    let metrics = scene.assert_all_came_from_files(20);
    assert_eq!(metrics.value("log_bytes_garbled_total"), 50);
}

#[test]
fn damage_in_the_middle_of_a_log_costs_nothing_beside_it() {
    let damage: [&[u8]; 5] = [
        b"garbage\n",
        b"\n\n{}\n",
        b"{\"log\":\"no end\n",
        b"{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"yesterday\"}\n",
        &vec![0xff; 200_000],
    ];
    let scene = Scene::new();
    for (damage, at) in damage.iter().zip(0..) {
        scene.container.files().write(damage);
        scene.ship(at * 10 + 1..=at * 10 + 10);
    }
    let bytes: usize = damage.iter().map(|damage| damage.len()).sum();
    let metrics = scene.assert_all_came_from_files(50);
    assert_eq!(metrics.value("log_bytes_garbled_total"), bytes as u64);
}

#[test]
fn a_copy_in_the_place_of_the_log_is_gone_on_with() {
    let scene = Scene::new();
    scene.ship(1..=1);
    scene.container.files().replace();
    scene.ship(2..=100);
    scene.agent.frozen(|| {
        scene.print(101..=110);
        scene.container.files().replace();
        scene.print(111..=120);
    });
    scene.arrived(120);
    scene.assert_all_came_from_files(120);
}

#[test]
fn rotations_that_were_not_seen_cost_nothing_while_the_files_are_there() {
    let scene = Scene::new();
    scene.ship(1..=10);
    scene.agent.frozen(|| scene.print_and_rotate(11..=100, 15, 20));
    scene.arrived(100);
    scene.assert_all_came_from_files(100);
}

#[test]
fn rotations_into_compressed_files_cost_nothing_while_the_files_are_there() {
    for beside in [false, true] {
        let scene = Scene::new();
        scene.ship(1..=10);
        scene.agent.frozen(|| {
            scene.print_and_rotate(11..=100, 15, 20);
            let files = scene.container.files();
            for number in 2..=6 {
                files.compress(number);
            }
            // The engine is about to remove the original.
            if beside { files.compress_beside(1) } else { files.compress(1) }
        });
        scene.arrived(100);
        scene.assert_all_came_from_files(100);
    }
}

#[test]
fn files_that_were_rotated_away_unread_are_announced_once() {
    let scene = Scene::new();
    scene.ship(1..=10);
    // Lines 1 to 15 are in the file that is held, 46 to 100 in the four that are left.
    scene.agent.frozen(|| scene.print_and_rotate(11..=100, 15, 4));
    scene.arrived(100);
    assert_eq!((scene.gaps(), scene.streams_opened()), (1, 0));
    scene.assert_came(100, 16..46);
}

#[test]
fn rotations_while_the_destination_takes_nothing_cost_only_what_they_remove() {
    for (files, lost) in [(30, 0..0), (3, 4_001..5_001)] {
        let scene = Scene { width: 1000, ..Scene::new() };
        scene.ship(1..=10);
        scene.receiver.refuse();
        scene.receiver.close_all(Close::Fin);
        let route = scene.receiver.route();
        scene.agent.wait_for("the link has ended", SOON, |m| m.of("destination_up", &route) == 0);
        // More than there is room for.
        scene.print(11..=4_000);
        let mut before = 0;
        until("it takes no more", SOON, || {
            std::thread::sleep(Duration::from_millis(300));
            let read = scene.agent.metrics().of("lines_read_total", &route);
            check(read == std::mem::replace(&mut before, read), || format!("{read} lines"))
        });
        assert!(before < 3_500, "{before} lines were read");
        scene.container.files().rotate(files);
        scene.print_and_rotate(4_001..=6_000, 500, files);
        scene.receiver.accept_again();
        scene.arrived(6_000);
        assert_eq!(scene.gaps(), u64::from(!lost.is_empty()));
        assert_eq!(scene.streams_opened(), 0);
        scene.assert_came(6_000, lost);
    }
}

#[track_caller]
fn asked_for_and_said_once(mut scene: Scene, deny: impl Fn(&Container)) {
    scene.arrived(100);
    scene.agent.frozen(|| {
        let other = scene.engine.container("other");
        deny(&other);
        other.print_numbers(Stream::Out, 1..=5, WIDTH);
    });
    scene.receiver.inbox.wait_lines("other", 5, SOON);
    let said = |line: &str| line.contains("WARN") && line.contains("a log file cannot be read");
    scene.agent.logged("the reason", said);
    assert_eq!(scene.agent.log().lines().filter(|line| said(line)).count(), 1);
    scene.ship(101..=110);
    assert!(scene.streams_opened() > 0);
    assert_eq!(scene.agent.metrics().value("log_files_followed"), 0);
    let metrics = scene.assert_came(110, 0..0);
    assert_eq!(metrics.value("log_files_refused_total"), 2);
}

#[test]
fn a_log_that_cannot_be_read_is_asked_for_and_that_is_said_once() {
    let scene = Scene::starting(|web| {
        web.print_numbers(Stream::Out, 1..=100, WIDTH);
        make_unreadable(web);
    });
    asked_for_and_said_once(scene, make_unreadable);
}

#[test]
fn a_log_that_may_not_be_read_is_asked_for_and_that_is_said_once() {
    let forbid = |container: &Container| {
        let folder = container.files().name(0).parent().unwrap().to_owned();
        std::fs::set_permissions(folder, Permissions::from_mode(0o0)).unwrap();
    };
    let scene = Scene::launched(Launch::without_override(), |web| {
        web.print_numbers(Stream::Out, 1..=100, WIDTH);
        forbid(web);
    });
    asked_for_and_said_once(scene, forbid);
}

// As if it could not be opened.
fn make_unreadable(container: &Container) {
    let path = container.files().name(0);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(path).unwrap();
}

#[test]
fn a_log_without_files_is_asked_for_without_a_word() {
    let scene = Scene::starting(|web| web.files().remove());
    scene.ship(1..=10);
}

#[test]
fn what_was_rotated_unread_when_its_container_was_removed_is_announced() {
    let scene = Scene::new();
    scene.ship(1..=10);
    scene.agent.frozen(|| {
        scene.print(11..=20);
        scene.container.files().rotate(5);
        scene.print(21..=30);
        scene.engine.remove(&scene.container);
    });
    scene.arrived(20);
    scene.agent.wait_for("nobody follows it", SOON, |metrics| metrics.value("followers") == 0);
    assert_eq!((scene.gaps(), scene.streams_opened()), (1, 0));
    scene.assert_came(20, 0..0);
}

#[test]
fn what_was_rotated_right_before_its_container_ended_is_shipped() {
    let scene = Scene::new();
    scene.ship(1..=10);
    for last in (20..=300).step_by(10) {
        // While changes gather that are told together.
        scene.print(last - 9..=last - 5);
        scene.container.files().rotate(50);
        scene.print(last - 4..=last);
        scene.engine.end(&scene.container);
        // While it does not run: nothing else makes the agent look again.
        scene.arrived(last);
        scene.engine.start_again(&scene.container);
    }
    scene.assert_all_came_from_files(300);
}

#[test]
fn a_log_that_is_removed_after_a_rotation_that_was_seen_is_read_to_its_end() {
    let scene = Scene::new();
    scene.ship(1..=10);
    scene.container.files().rotate(5);
    scene.ship(11..=20);
    scene.engine.remove(&scene.container);
    scene.agent.wait_for("nobody follows it", SOON, |metrics| metrics.value("followers") == 0);
    scene.assert_all_came_from_files(20);
}

#[test]
fn a_file_that_somebody_renamed_is_read_as_long_as_the_engine_writes_to_it() {
    let scene = Scene::new();
    scene.ship(1..=10);
    scene.container.files().rename_away();
    scene.ship(11..=20);
    scene.ship(21..=30);
    scene.engine.end(&scene.container);
    scene.container.files().open_again();
    scene.engine.start_again(&scene.container);
    scene.ship(31..=40);
    scene.assert_all_came_from_files(40);
}

#[test]
fn a_log_of_one_file_that_is_replaced_by_the_engine_goes_on_without_a_gap() {
    let scene = Scene::new();
    scene.ship(1..=10);
    for last in [20, 30, 40] {
        scene.agent.frozen(|| {
            scene.print(last - 9..=last - 5);
            scene.container.files().rotate(1);
            scene.print(last - 4..=last);
        });
        scene.arrived(last);
    }
    scene.assert_all_came_from_files(40);
}

#[test]
fn a_compressed_file_that_turns_out_damaged_is_asked_for_from_there_on() {
    let spoil: [fn(&LogFiles, &Path); 2] = [
        |_, path| {
            let length = std::fs::metadata(path).unwrap().len();
            std::fs::File::options().write(true).open(path).unwrap().set_len(length / 2).unwrap();
        },
        // Its last bytes are a checksum.
        |_, path| LogFiles::spoil(path, 8),
    ];
    for spoil in spoil {
        let scene = Scene::new();
        scene.ship(1..=10);
        scene.agent.frozen(|| {
            scene.print(11..=20);
            scene.container.files().rotate(9);
            scene.print(21..=5_000);
            scene.container.files().rotate(9);
            scene.print(5_001..=5_100);
            let files = scene.container.files();
            files.compress(1);
            spoil(&files, &files.compressed_name(1));
        });
        scene.arrived(5_100);
        let metrics = scene.assert_came(5_100, 0..0);
        assert_eq!(metrics.value("log_files_refused_total"), 1);
        assert!(metrics.value("log_streams_opened_total") > 0);
    }
}

#[test]
fn a_log_whose_files_were_damaged_is_read_from_them_again_once_its_container_was_restarted() {
    let scene = Scene::starting(make_unreadable);
    scene.ship(1..=10);
    assert_eq!(scene.agent.metrics().value("log_files_opened_total"), 0);
    scene.engine.end(&scene.container);
    until("its stream has ended", SOON, || {
        let (streams, _) = scene.container.streams();
        check(streams == 0, || streams.to_string())
    });
    std::fs::remove_dir(scene.container.files().name(0)).unwrap();
    scene.container.files().open_again();
    scene.engine.start_again(&scene.container);
    scene.ship(11..=20);
    scene.agent.wait_for("files are read", SOON, |m| m.value("log_files_followed") == 1);
    scene.ship(21..=30);
    scene.assert_came(30, 0..0);
}

#[test]
fn files_that_begin_with_pieces_of_one_line_are_not_taken_for_each_other() {
    let scene = Scene::new();
    scene.ship(1..=10);
    scene.agent.frozen(|| {
        scene.container.files().rotate(9);
        let nanos = now();
        let piece: Arc<[u8]> = vec![b'x'; 16 * 1024].into();
        for number in 0..4 {
            let between = scene.container.files().length();
            scene.container.append([(Stream::Out, nanos, piece.clone())].into_iter());
            assert!(scene.container.files().length() > between, "{number}");
            scene.container.files().rotate(9);
        }
        scene.container.append([(Stream::Out, nanos, (*b"end\n").into())].into_iter());
        for number in 1..=4 {
            scene.container.files().compress(number);
        }
    });
    let long = 4 * 16 * 1024 + 3;
    until("the long line arrives", SOON, || {
        let lines = scene.receiver.inbox.lines_of("web");
        let lengths: Vec<_> = lines.iter().skip(10).map(|(_, line)| line.len()).collect();
        check(lengths == [long], || format!("{lengths:?}"))
    });
    scene.print(11..=20);
    scene.arrived(20);
    assert_eq!(scene.receiver.inbox.lines_of("web").len(), 21);
}

/// Standard error begins a line, standard output prints numbered lines and begins one as well:
/// `pieces` of 16 KiB each.
fn two_open_lines(scene: &Scene, pieces: [usize; 2], rotate: bool) {
    let piece: Arc<[u8]> = vec![b'x'; 16 * 1024].into();
    let open = |stream, count| {
        let nanos = now();
        scene.container.append((0..count).map(|_| (stream, nanos, piece.clone())));
    };
    open(Stream::Err, pieces[0]);
    if rotate {
        scene.container.files().rotate(5);
    }
    scene.ship(1..=100);
    open(Stream::Out, pieces[1]);
}

#[track_caller]
fn assert_each_came_once(scene: &Scene, last: u64, long_bytes: usize) {
    scene.agent.assert_balance(&scene.receiver.route());
    let lines = scene.receiver.inbox.lines_of("web");
    let (short, long): (Vec<_>, Vec<_>) = lines.iter().partition(|(_, l)| l.len() == WIDTH);
    let short: Vec<_> = short.iter().map(|(_, line)| String::from_utf8_lossy(line)).collect();
    let wanted: Vec<_> = (1..=last).map(|number| text(Stream::Out, number, WIDTH)).collect();
    assert!(short == wanted, "{} of {last} lines came", short.len());
    assert_eq!(long.iter().map(|(_, line)| line.len()).sum::<usize>(), long_bytes);
}

#[test]
fn open_lines_that_are_given_out_as_parts_repeat_nothing_after_a_restart() {
    for rotate in [false, true] {
        let mut scene = Scene::new();
        // More than there is room for.
        two_open_lines(&scene, [20, 13], rotate);
        scene.receiver.inbox.wait_lines("web", 102, SOON);
        scene.agent.assert_balance(&scene.receiver.route());
        scene.restart();
        scene.ship_after_open_lines(101..=200);
        assert_each_came_once(&scene, 200, (20 + 13) * 16 * 1024 + "end".len());
    }
}

#[test]
fn open_lines_of_a_container_that_has_ended_repeat_nothing_after_a_restart() {
    for rotate in [false, true] {
        let mut scene = Scene::new();
        two_open_lines(&scene, [2, 3], rotate);
        scene.engine.end(&scene.container);
        scene.receiver.inbox.wait_lines("web", 102, SOON);
        scene.agent.assert_balance(&scene.receiver.route());
        scene.restart();
        scene.engine.start_again(&scene.container);
        scene.ship(101..=200);
        assert_each_came_once(&scene, 200, 5 * 16 * 1024);
    }
}
