//! A black hole around a socket: the kernel drops every packet that comes for it and answers
//! none, as on a dead path or behind a load balancer that forgot the flow. A filter of the socket
//! does it: that needs no privilege, concerns nobody else, and goes with the socket.

use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};

/// "Return 0": of no packet is anything kept (`BPF_RET | BPF_K` of `linux/bpf_common.h`).
const DROP_ALL: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// Drops what comes for the socket from now on. Of a listener these are new connections.
pub fn swallow(socket: &impl AsFd) {
    SockRef::from(socket).attach_filter(&[DROP_ALL]).expect("socket filters are allowed");
}

/// Lets everything in again. The socket must have been swallowing.
pub fn heal(socket: &impl AsFd) {
    SockRef::from(socket).detach_filter().expect("it has a filter");
}

#[test]
fn a_socket_that_swallows_answers_nothing_until_it_is_healed() {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut near = TcpStream::connect(address).unwrap();
    let mut far = listener.accept().unwrap().0;
    swallow(&listener);
    let limit = Duration::from_millis(300);
    let refused = TcpStream::connect_timeout(&address, limit).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    swallow(&far);
    near.write_all(b"late").unwrap();
    far.set_read_timeout(Some(limit)).unwrap();
    assert_eq!(far.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    heal(&listener);
    heal(&far);
    TcpStream::connect_timeout(&address, super::SOON).unwrap();
    far.set_read_timeout(Some(super::SOON)).unwrap();
    assert_eq!(far.read(&mut [0; 8]).unwrap(), 4, "the kernel sends it again");
}
