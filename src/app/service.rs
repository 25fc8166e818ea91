//! What a service manager is told: systemd with `Type=notify`, or whoever sets `NOTIFY_SOCKET`.
//! Where there is none, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::shutdown::Stop;

/// Says that the agent has started, then, as often as the watchdog asks for, that it goes on, and
/// at last that it stops. It has started when its configuration holds and it listens, whatever
/// is down: a manager that waited for Docker would end what waits for Docker.
pub(super) async fn tell(stop: Stop) {
    say(&[NotifyState::Ready]);
    tokio::select! {
        () = goes_on() => {}
        () = stop.draining() => {}
    }
    say(&[NotifyState::Stopping]);
}

/// Half of the time after which the manager would end us, as systemd's manual advises. The beat
/// comes from the runtime that does all the work: if that hangs, it misses.
async fn goes_on() {
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(Duration::from_micros(micros / 2)).await;
        say(&[NotifyState::Watchdog]);
    }
}

fn say(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "the service manager did not listen");
    }
}
