//! What only the kernel knows of a socket: how much of what was written the peer has not
//! acknowledged, and how much room the peer has; how many files there may be, and when one can be
//! read. Never changes a socket.
#![expect(
    unsafe_code,
    reason = "SIOCOUTQ, TCP_INFO, RLIMIT_NOFILE and tokio's AsyncFd have no safe way in any crate we use"
)]

use std::io;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Bytes written to a socket that its peer does not have yet (SIOCOUTQ, which shares its number
/// with TIOCOUTQ).
///
/// TCP: not acknowledged by the peer's kernel, a FIN counting as one byte; readable even after a
/// reset. Unix streams: kernel memory of what the peer's process has not read, 0 only if it has
/// read all or is gone.
pub fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as it is borrowed, and TIOCOUTQ writes one int
    // to the address given, which is that of a live local.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if outcome == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(u32::try_from(bytes).unwrap_or(0))
}

/// The far end of a TCP connection as its answers show it (TCP_INFO).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Bytes that it said it has room for.
    pub window: u32,
    /// Questions in a row, keepalive or zero-window, that it has not answered.
    pub unanswered: u8,
    /// Time since it acknowledged anything.
    pub silent: Duration,
}

/// Asks for the far end of a TCP connection. Kernels before 5.4 do not know the window: an error
/// of kind `Unsupported`.
pub fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).unwrap_or(0);
    // SAFETY: the descriptor is open for as long as it is borrowed; the kernel writes at most
    // `len` bytes, which is the size of `info`, and puts what it wrote into `len`.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if outcome == -1 {
        return Err(io::Error::last_os_error());
    }
    if (len as usize) < offset_of!(libc::tcp_info, tcpi_snd_wnd) + size_of::<u32>() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: tcp_info consists of integers only, for which the zeroes it started with and
    // whatever the kernel wrote over them are valid.
    let info = unsafe { info.assume_init() };
    Ok(Peer {
        window: info.tcpi_snd_wnd,
        unanswered: info.tcpi_probes,
        silent: Duration::from_millis(u64::from(info.tcpi_last_ack_recv)),
    })
}

/// Waits until a descriptor that is no socket can be read, such as inotify's. It is in the poller
/// only for as long as this waits, so that nothing wakes a worker that nobody waits for. Must be
/// called within a runtime.
pub async fn readable(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for as long as the registration lives, so it stays open
    // and the same until it is taken out of the poller.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
    registered.readable().await?.retain_ready();
    Ok(())
}

/// Allows this process as many open files as its hard limit says; returns how many. The soft limit
/// is 1,024 in many places for the sake of `select`, which nothing here calls, and every log that
/// is followed takes a descriptor.
pub fn allow_all_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit to the address given, which is that of a live local.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == -1 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel reads one rlimit from the address given, which is that of a live local.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn the_window_stands_where_linux_puts_it() {
        // struct tcp_info in linux/tcp.h; the layout is part of the kernel's interface.
        assert_eq!(offset_of!(libc::tcp_info, tcpi_snd_wnd), 228);
        let (near, _far) = pair();
        assert!(peer(near.as_fd()).unwrap().window > 1_000);
    }

    #[test]
    fn what_the_peer_has_no_room_for_stays_unacknowledged_and_closes_the_window() {
        let (mut near, _far) = pair();
        near.set_nonblocking(true).unwrap();
        let (bytes, mut written) = (vec![b'x'; 65_536], 0);
        // A full send buffer may drain once more into the peer's; twice full is full.
        while written == 0 || peer(near.as_fd()).unwrap().window > 0 {
            written += near.write(&bytes).unwrap_or(0);
        }
        let left = unacknowledged(near.as_fd()).unwrap() as usize;
        assert!(left < written, "the peer's kernel took some of {written}, {left} left");
    }

    #[test]
    fn a_unix_stream_is_empty_only_once_all_was_read() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.write_all(b"0123456789").unwrap();
        far.read_exact(&mut [0; 9]).unwrap();
        assert!(unacknowledged(near.as_fd()).unwrap() > 0);
        far.read_exact(&mut [0; 1]).unwrap();
        assert_eq!(unacknowledged(near.as_fd()).unwrap(), 0);
    }

    #[test]
    fn a_descriptor_that_is_no_socket_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(unacknowledged(file.as_fd()).is_err() && peer(file.as_fd()).is_err());
    }
}
