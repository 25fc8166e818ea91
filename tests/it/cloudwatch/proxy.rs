//! The way to AWS through the proxy that the environment names.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{Growing, aimed, assert_all_came};
use crate::support::agent::Launch;
use crate::support::cloudwatch::FakeCloudWatch;

/// Tunnels each connection to one place, whatever it is asked for, and keeps what it was asked.
struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    fn to(place: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = asked.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, heads) = (client.unwrap(), heads.clone());
                std::thread::spawn(move || tunnel(client, place, &heads));
            }
        });
        Self { address, asked }
    }
}

fn tunnel(mut client: TcpStream, place: SocketAddr, heads: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(client.read(&mut byte), Ok(1)) {
        head.extend(byte);
    }
    heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let mut server = TcpStream::connect(place).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let up = std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    std::io::copy(&mut server, &mut client).ok();
    up.join().unwrap().ok();
}

#[test]
fn a_proxy_of_the_environment_carries_all_calls_and_is_told_who_asks() {
    let service = FakeCloudWatch::start();
    let proxy = ConnectProxy::to(service.server.address());
    // A name that nobody knows: only the proxy can have brought the lines.
    let endpoint = "&endpoint=http://logs.unknown.invalid:80";
    let mut agent = aimed(Launch::fed(), &service, endpoint)
        .env("HTTP_PROXY", format!("http://user:word@{}", proxy.address))
        .ready();
    let mut lines = Growing::new("web", 2);
    for _ in 0..3 {
        lines.ship(&mut agent, &service);
    }
    assert_all_came(&service, &agent, &lines.expected(), 0);
    let asked = proxy.asked.lock().unwrap().clone();
    assert!(
        asked.iter().all(|head| head.starts_with("CONNECT logs.unknown.invalid:80 ")),
        "{asked:?}"
    );
    // user:word in base 64.
    let basic = |head: &String| {
        head.to_ascii_lowercase().contains("proxy-authorization: basic dxnlcjp3b3jk")
    };
    assert!(asked.iter().all(basic), "{asked:?}");
}

#[test]
fn what_is_excepted_is_asked_directly() {
    let service = FakeCloudWatch::start();
    let proxy = ConnectProxy::to(service.server.address());
    let endpoint = format!("&endpoint=http://ip4.test:{}", service.server.address().port());
    let agent = aimed(Launch::fed(), &service, &endpoint)
        .env("HTTP_PROXY", format!("http://{}", proxy.address))
        .env("NO_PROXY", "ip4.test");
    let mut agent = agent.start();
    agent.logged("that the name is not known", |line| line.contains("ip4.test"));
    assert!(proxy.asked.lock().unwrap().is_empty());
}
