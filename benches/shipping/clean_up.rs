//! Ctrl-C and SIGTERM: ends the shippers that run and removes the containers, for nothing is
//! dropped then. SIGKILL leaves them to the next run.

use std::collections::BTreeSet;
use std::process::{Command, exit};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::containers;

/// What a shell says of a command that was interrupted.
const INTERRUPTED: i32 = 130;
/// Time for a container whose start was under way to be known to the engine.
const STARTING: Duration = Duration::from_secs(2);

static SHIPPERS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());
static ENDING: AtomicBool = AtomicBool::new(false);

/// Cleans up when one of the signals comes, and ends the process.
pub(crate) fn on_signals() {
    thread::spawn(|| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).unwrap();
            let mut terminate = signal(SignalKind::terminate()).unwrap();
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        ENDING.store(true, Ordering::SeqCst);
        eprintln!(">> interrupted: removing the containers");
        for pid in SHIPPERS.lock().unwrap().iter() {
            drop(Command::new("kill").arg(pid.to_string()).output());
        }
        loop {
            thread::sleep(STARTING);
            if containers::remove_left_overs() == 0 {
                exit(INTERRUPTED);
            }
        }
    });
}

/// Does not come back when the process is about to end: nothing is to be started any more, nor is
/// a command that was interrupted with us a failure to report.
pub(crate) fn stop_here_if_ending() {
    while ENDING.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// A shipper runs.
pub(crate) fn remember(pid: u32) {
    SHIPPERS.lock().unwrap().insert(pid);
}

/// A shipper has ended.
pub(crate) fn forget(pid: u32) {
    SHIPPERS.lock().unwrap().remove(&pid);
}
