//! `downspout healthcheck`: asks the running agent, for images that hold nothing but the agent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Shorter than the time-out of any health check.
const LIMIT: Duration = Duration::from_secs(3);

/// Asks `/livez` at `address`. The error says what was tried.
pub fn probe(address: SocketAddr) -> Result<(), String> {
    let ask = || -> std::io::Result<String> {
        let mut connection = TcpStream::connect_timeout(&address, LIMIT)?;
        connection.set_read_timeout(Some(LIMIT))?;
        connection.set_write_timeout(Some(LIMIT))?;
        connection
            .write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut reply = String::new();
        connection.take(4096).read_to_string(&mut reply)?;
        Ok(reply)
    };
    let reply = ask().map_err(|error| format!("http://{address}/livez: {error}"))?;
    let status = reply.lines().next().unwrap_or_default();
    if status.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(format!("http://{address}/livez answered '{status}'"))
    }
}
