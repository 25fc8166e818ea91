//! What a service manager hears, over a socket as systemd has it.

use std::os::unix::net::UnixDatagram;

use crate::support::SOON;
use crate::support::agent::Launch;
use crate::support::receiver::TcpReceiver;

#[test]
fn a_service_manager_hears_of_start_life_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let heard = || {
        let mut space = [0; 256];
        let length = socket.recv(&mut space).expect("the agent says something");
        String::from_utf8_lossy(&space[..length]).trim_end().to_owned()
    };
    // What is down outside does not hold up the start.
    let receiver = TcpReceiver::start();
    receiver.refuse();
    let launch = Launch::by_itself().env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let agent = launch.arg(receiver.route()).start();
    assert_eq!(heard(), "READY=1");
    for _ in 0..3 {
        assert_eq!(heard(), "WATCHDOG=1");
    }
    agent.terminate();
    let mut last = heard();
    while last == "WATCHDOG=1" {
        last = heard();
    }
    assert_eq!(last, "STOPPING=1");
}
