//! Which of the files that are followed have changed: one inotify instance for all of them, and a
//! slow look at everything for what it does not tell. Never reads a file.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::net::kernel;

/// All files are looked at this often, whatever was told.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Files that could not be watched are looked at this often (`max_user_watches` is used up, or the
/// file system does not tell).
const POLL_EVERY: Duration = Duration::from_millis(250);
/// Changes are read again after this pause at the earliest. While a host stays busy it doubles up to
/// the second value, so that lines gather and each file is read less often; not before so many
/// rounds, for a few lines after silence are wanted at once.
const GATHER: Duration = Duration::from_millis(2);
const GATHER_BUSY: Duration = Duration::from_millis(30);
const BUSY_ROUNDS: usize = 8;
/// As many changes at once mean a busy host.
const BUSY_CHANGES: usize = 4;
/// Room for some hundreds of changes, 16 bytes each.
const BUFFER_BYTES: usize = 8 * 1024;

/// All files that are followed.
#[derive(Debug)]
pub(super) struct Changes {
    /// `None` where the kernel gives none (`max_user_instances`): then all files are polled.
    inotify: Option<OwnedFd>,
    watched: Mutex<Watched>,
    unwatched: AtomicUsize,
    /// There is a first file that cannot be watched.
    polled: Notify,
}

#[derive(Debug, Default)]
struct Watched {
    next: u64,
    /// By inotify's number; those that have none are under their own negative one.
    signs: HashMap<i64, Vec<(u64, Arc<Sign>)>>,
}

#[derive(Debug)]
struct Sign {
    changed: Notify,
    moved: AtomicBool,
}

/// A file that is watched; dropping it ends that.
#[derive(Debug)]
pub(super) struct Watch {
    changes: Arc<Changes>,
    number: i64,
    id: u64,
    sign: Arc<Sign>,
}

impl Changes {
    /// Watches nothing yet.
    pub(super) fn new() -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        if let Err(error) = &inotify {
            tracing::warn!(
                %error,
                "no inotify instance; log files are looked at 4 times a second \
                 (raise fs.inotify.max_user_instances)"
            );
        }
        Self {
            inotify: inotify.ok(),
            watched: Mutex::default(),
            unwatched: AtomicUsize::new(0),
            polled: Notify::new(),
        }
    }

    /// Watches an open file, which is or was at `path`.
    pub(super) fn watch(self: &Arc<Self>, file: BorrowedFd<'_>, path: &Path) -> Watch {
        let mut watched = self.lock();
        watched.next += 1;
        let id = watched.next;
        // By its descriptor, for the name may be another file's by now.
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::ATTRIB;
        let number = self.inotify.as_ref().and_then(|inotify| {
            inotify::add_watch(inotify, own.as_str(), flags)
                .or_else(|_| inotify::add_watch(inotify, path, flags))
                .ok()
        });
        let number = number.map_or_else(|| -i64::try_from(id).unwrap_or(i64::MAX), i64::from);
        if number < 0 {
            self.unwatched.fetch_add(1, Ordering::Relaxed);
            self.polled.notify_one();
        }
        // Nobody knows what happened before this.
        let sign = Arc::new(Sign { changed: Notify::new(), moved: AtomicBool::new(true) });
        watched.signs.entry(number).or_default().push((id, sign.clone()));
        Watch { changes: self.clone(), number, id, sign }
    }

    /// Tells the readers of files that have changed, for ever.
    pub(super) async fn tell(&self) {
        let (mut look, mut poll) = (interval(LOOK_EVERY), interval(POLL_EVERY));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
        let (mut gather, mut busy_rounds) = (GATHER, 0);
        loop {
            tokio::select! {
                changes = self.changed(&mut buffer) => {
                    busy_rounds = if changes >= BUSY_CHANGES { busy_rounds + 1 } else { 0 };
                    let longer = busy_rounds > BUSY_ROUNDS;
                    gather = if longer { (gather * 2).min(GATHER_BUSY) } else { GATHER };
                    tokio::time::sleep(gather).await;
                }
                _ = poll.tick(), if self.unwatched.load(Ordering::Relaxed) > 0 => {
                    self.tell_all(|number| number < 0);
                }
                () = self.polled.notified() => {}
                _ = look.tick() => self.tell_all(|_| true),
            }
        }
    }

    // Waits for changes and tells of those that are there; returns how many.
    async fn changed(&self, buffer: &mut [MaybeUninit<u8>]) -> usize {
        let Some(inotify) = &self.inotify else { return std::future::pending().await };
        if let Err(error) = kernel::readable(inotify.as_fd()).await {
            tracing::debug!(%error, "cannot wait for changes of log files");
            tokio::time::sleep(POLL_EVERY).await;
        }
        let mut changes = 0;
        let mut reader = Reader::new(inotify, buffer);
        let watched = self.lock();
        loop {
            match reader.next() {
                Ok(event) => {
                    changes += 1;
                    watched.tell_of(event.wd(), event.events());
                }
                Err(Errno::INTR) => {}
                Err(_) => return changes,
            }
        }
    }

    fn tell_all(&self, which: impl Fn(i64) -> bool) {
        self.lock().tell(which);
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    fn tell_of(&self, number: i32, events: ReadFlags) {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.tell(|_| true);
        }
        for (_, sign) in self.signs.get(&i64::from(number)).into_iter().flatten() {
            if events.intersects(ReadFlags::MOVE_SELF | ReadFlags::ATTRIB) {
                sign.moved.store(true, Ordering::Relaxed);
            }
            sign.changed.notify_one();
        }
    }

    fn tell(&self, which: impl Fn(i64) -> bool) {
        for (_, signs) in self.signs.iter().filter(|(number, _)| which(**number)) {
            for (_, sign) in signs {
                sign.moved.store(true, Ordering::Relaxed);
                sign.changed.notify_one();
            }
        }
    }
}

impl Watch {
    /// Waits until the file has changed, or may have.
    pub(super) async fn changed(&self) {
        self.sign.changed.notified().await;
    }

    /// Whether it may have got another name since the last call.
    pub(super) fn take_moved(&self) -> bool {
        self.sign.moved.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.changes.lock();
        let Some(signs) = watched.signs.get_mut(&self.number) else { return };
        signs.retain(|(id, _)| *id != self.id);
        if !signs.is_empty() {
            return;
        }
        watched.signs.remove(&self.number);
        if self.number < 0 {
            self.changes.unwatched.fetch_sub(1, Ordering::Relaxed);
        } else if let (Some(inotify), Ok(number)) = (&self.changes.inotify, self.number.try_into())
        {
            // It is gone already if the file was removed.
            inotify::remove_watch(inotify, number).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        changes: Arc<Changes>,
        file: File,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = File::create(folder.path().join("log")).unwrap();
            Self { folder, changes: Arc::new(Changes::new()), file }
        }

        fn path(&self) -> std::path::PathBuf {
            self.folder.path().join("log")
        }

        fn watch(&self) -> Watch {
            let watch = self.changes.watch(self.file.as_fd(), &self.path());
            assert!(watch.take_moved(), "nobody knows what happened before");
            watch
        }

        async fn told(&self, watch: &Watch) {
            tokio::select! {
                () = watch.changed() => {}
                () = self.changes.tell() => unreachable!("it tells for ever"),
                () = tokio::time::sleep(Duration::from_secs(10)) => panic!("not told"),
            }
        }
    }

    #[tokio::test]
    async fn a_file_that_was_written_to_is_told_and_one_that_was_renamed_has_moved() {
        let mut scene = Scene::new();
        let watch = scene.watch();
        scene.file.write_all(b"line\n").unwrap();
        scene.told(&watch).await;
        assert!(!watch.take_moved());
        fs::rename(scene.path(), scene.folder.path().join("log.1")).unwrap();
        scene.told(&watch).await;
        assert!(watch.take_moved() && !watch.take_moved());
    }

    #[tokio::test]
    async fn one_watcher_of_a_file_that_goes_leaves_the_other_watching() {
        let mut scene = Scene::new();
        let (gone, stays) = (scene.watch(), scene.watch());
        drop(gone);
        scene.file.write_all(b"line\n").unwrap();
        scene.told(&stays).await;
        drop(stays);
        assert!(scene.changes.lock().signs.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_cannot_be_watched_is_looked_at_all_the_same() {
        let mut scene = Scene::new();
        scene.changes = Arc::new(Changes { inotify: None, ..Changes::new() });
        let watch = scene.watch();
        let looked_at = async {
            watch.changed().await;
            let started = tokio::time::Instant::now();
            watch.changed().await;
            watch.changed().await;
            started.elapsed()
        };
        tokio::select! {
            elapsed = looked_at => assert!(elapsed <= 2 * POLL_EVERY, "{elapsed:?}"),
            () = scene.changes.tell() => unreachable!("it tells for ever"),
        }
    }
}
