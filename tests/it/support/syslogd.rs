//! rsyslog and syslog-ng as they are installed: each on a loopback address of its own, so that
//! ports are fixed and never guessed, writing every field of what it parsed to a file.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use super::certificates::Identity;
use super::receiver::{Frame, Framing};
use super::{SOON, check, print_end, until};

/// The port of a receiver's first door; the next door has the next port. Below the range from
/// which the kernel takes ports for connections.
const FIRST_PORT: u16 = 5514;

/// The longest message that the receivers are set to take, in bytes.
const MAX_MESSAGE_BYTES: u32 = 64 * 1024;

/// The host name in datagrams that only ask whether a receiver is there.
const PROBE: &str = "probe";

/// Whose program receives, and with which TLS library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// rsyslog with `GnuTLS`.
    Rsyslog,
    /// rsyslog with OpenSSL.
    RsyslogOpenssl,
    /// syslog-ng, which has OpenSSL.
    SyslogNg,
}

/// How messages come through a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// A datagram a message.
    Udp,
    /// A stream.
    Tcp(Framing),
    /// A stream in TLS.
    Tls(Framing),
    /// RELP, which only rsyslog speaks.
    Relp,
    /// RELP in TLS.
    RelpTls,
}

/// How a receiver shows itself, and whom it lets in.
#[derive(Debug, Clone)]
pub struct Lock {
    /// Its certificate.
    pub identity: Identity,
    /// The authority that must have signed a client's certificate; everybody may come if `None`.
    pub clients: Option<PathBuf>,
}

/// A running receiver. Dropping it kills it and, in a test that failed, prints its log.
pub struct Syslogd {
    kind: Kind,
    address: Ipv4Addr,
    doors: Vec<Wire>,
    directory: tempfile::TempDir,
    child: Option<Child>,
}

/// One message as the receiver parsed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Facility and severity.
    pub priority: u8,
    /// RFC 3339.
    pub time: String,
    /// The host name.
    pub host: String,
    /// The application's name, or the tag.
    pub application: String,
    /// The process id, or what stands in brackets after the tag.
    pub process: String,
    /// MSGID and STRUCTURED-DATA.
    pub rest: [String; 2],
    /// The text.
    pub text: Vec<u8>,
}

impl Received {
    /// The message as it came over the wire, but for its time: for the count of numbered lines.
    pub fn frame(&self) -> Frame {
        let Self { priority, time, host, application, process, rest: [id, data], .. } = self;
        let mut bytes = format!("<{priority}>1 {time} {host} {application} {process} {id} {data} ")
            .into_bytes();
        bytes.extend_from_slice(&self.text);
        Frame::new(bytes)
    }
}

/// A loopback address that no other test has, of this run or of one beside it.
pub fn own_address() -> Ipv4Addr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + high % 64, low, LAST.fetch_add(1, SeqCst) + 1)
}

impl Syslogd {
    /// Starts a receiver with these doors and waits until all of them are open.
    #[track_caller]
    pub fn start(kind: Kind, doors: &[Wire], lock: Option<&Lock>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let address = own_address();
        let doors = doors.to_vec();
        let mut receiver = Self { kind, address, doors, directory, child: None };
        let settings = match kind {
            Kind::SyslogNg => receiver.syslog_ng(lock),
            Kind::Rsyslog => receiver.rsyslog("gtls", lock),
            Kind::RsyslogOpenssl => receiver.rsyslog("ossl", lock),
        };
        std::fs::write(receiver.path("settings"), settings).unwrap();
        receiver.start_again();
        receiver
    }

    /// The address of a door.
    pub fn address(&self, door: usize) -> SocketAddr {
        (self.address, FIRST_PORT + u16::try_from(door).unwrap()).into()
    }

    /// A route to a door, with further options.
    pub fn route(&self, door: usize, options: &str) -> String {
        let (scheme, framing) = match self.doors[door] {
            Wire::Udp => ("syslog+udp", None),
            Wire::Tcp(framing) => ("syslog+tcp", Some(framing)),
            Wire::Tls(framing) => ("syslog+tls", Some(framing)),
            Wire::Relp => ("relp", None),
            Wire::RelpTls => ("relp+tls", None),
        };
        let framing = framing.map(|framing| format!("framing={}&", framing.option()));
        let framing = framing.unwrap_or_default();
        format!("{scheme}://{}?{framing}{options}", self.address(door))
    }

    /// The name that metrics and log have for a route to a door.
    pub fn destination(&self, door: usize) -> String {
        let route = self.route(door, "");
        route.split('?').next().unwrap().to_owned()
    }

    /// What has come through a door so far.
    pub fn received(&self, door: usize) -> Vec<Received> {
        let content = std::fs::read(self.file(door)).unwrap_or_default();
        let whole = content.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        let lines = content[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let all = lines.map(|line| {
            parsed(line).unwrap_or_else(|| panic!("not as written: {}", line.escape_ascii()))
        });
        all.filter(|received| received.host != PROBE).collect()
    }

    /// Waits until `count` messages have come through a door.
    #[track_caller]
    pub fn wait_received(&self, door: usize, count: usize) {
        until(&format!("{count} messages at door {door}"), SOON, || {
            let came = self.received(door).len();
            check(came >= count, || format!("{came} came; its log:\n{}", self.log()))
        });
    }

    /// Ends the receiver in order: it writes down what it has taken.
    #[track_caller]
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let status = Command::new("kill").arg(child.id().to_string()).status();
        assert!(status.unwrap().success(), "the receiver had ended: {}", self.log());
        until("the receiver ends", SOON, || {
            child.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
        });
    }

    /// Starts a receiver that has ended, with the files as they are now.
    #[track_caller]
    pub fn start_again(&mut self) {
        let log = File::options().append(true).create(true).open(self.path("log")).unwrap();
        let program = match self.kind {
            Kind::SyslogNg => "syslog-ng",
            Kind::Rsyslog | Kind::RsyslogOpenssl => "rsyslog",
        };
        let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receivers").join(program);
        let mut command = Command::new(wrapper);
        command.args([self.path("settings"), self.path("")]).env("TZ", "UTC");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().expect("tests/receivers has the receivers"));
        for door in 0..self.doors.len() {
            self.wait_open(door);
        }
    }

    fn wait_open(&mut self, door: usize) {
        let address = self.address(door);
        until(&format!("{:?} listens on {address}", self.kind), SOON, || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let hint = "deploy/setup/receivers.sh unpacks the receivers";
            assert!(ended.is_none(), "it ended, {ended:?} ({hint}); its log:\n{}", self.log());
            match self.doors[door] {
                Wire::Udp => self.probe(door),
                _ => TcpStream::connect(address).map(drop),
            }
            .map_err(|error| error.to_string())
        });
    }

    // There is no other sign that a receiver of datagrams is there.
    fn probe(&self, door: usize) -> std::io::Result<()> {
        let socket = UdpSocket::bind((self.address, 0))?;
        let message = format!("<14>1 2026-01-01T00:00:00Z {PROBE} - - - - ready");
        socket.send_to(message.as_bytes(), self.address(door))?;
        File::open(self.file(door)).map(drop)
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path("log")).unwrap()).into_owned()
    }

    fn file(&self, door: usize) -> PathBuf {
        self.path(&format!("door-{door}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn rsyslog(&self, library: &str, lock: Option<&Lock>) -> String {
        // librelp brings its own TLS, and has its own names.
        let relp_library = if library == "ossl" { "openssl" } else { "gnutls" };
        let relp_tls = lock.map(|lock| {
            format!(
                "tls=\"on\" {} tls.caCert=\"{}\" tls.myCert=\"{}\" tls.myPrivKey=\"{}\"",
                lock.clients.as_ref().map_or("", |_| "tls.authMode=\"certvalid\""),
                lock.clients.as_ref().unwrap_or(&lock.identity.certificate).display(),
                lock.identity.certificate.display(),
                lock.identity.key.display()
            )
        });
        let mut settings = format!(
            "global(maxMessageSize=\"{MAX_MESSAGE_BYTES}\" net.enableDNS=\"off\"
                parser.escapeControlCharactersOnReceive=\"off\")
            module(load=\"imtcp\")
            module(load=\"imrelp\" tls.tlslib=\"{relp_library}\")
            module(load=\"imudp\")
            template(name=\"all\" type=\"string\" string=\"%pri% %timereported:::date-rfc3339% \
                %hostname% %app-name% %procid% %msgid% %structured-data% %msg%\\n\")
            action(type=\"omfile\" file=\"{}\")\n",
            self.path("log").display()
        );
        let tls = lock.map(|lock| {
            let mode = if lock.clients.is_some() { "x509/certvalid" } else { "anon" };
            format!(
                "streamDriver.name=\"{library}\" streamDriver.mode=\"1\" \
                 streamDriver.authMode=\"{mode}\" streamDriver.CAFile=\"{}\" \
                 streamDriver.certFile=\"{}\" streamDriver.keyFile=\"{}\"",
                lock.clients.as_ref().unwrap_or(&lock.identity.certificate).display(),
                lock.identity.certificate.display(),
                lock.identity.key.display()
            )
        });
        for (door, wire) in self.doors.iter().enumerate() {
            let (input, more) = match wire {
                Wire::Udp => ("imudp", "rcvbufSize=\"4m\""),
                Wire::Tcp(_) => ("imtcp", ""),
                Wire::Tls(_) => ("imtcp", tls.as_deref().expect("a lock")),
                Wire::Relp => ("imrelp", ""),
                Wire::RelpTls => ("imrelp", relp_tls.as_deref().expect("a lock")),
            };
            let (address, file) = (self.address(door), self.file(door));
            settings += &format!(
                "ruleset(name=\"{door}\") {{
                    action(type=\"omfile\" file=\"{}\" template=\"all\")
                }}
                input(type=\"{input}\" address=\"{}\" port=\"{}\" ruleset=\"{door}\" {more})\n",
                file.display(),
                address.ip(),
                address.port(),
            );
        }
        settings
    }

    fn syslog_ng(&self, lock: Option<&Lock>) -> String {
        let mut settings = format!(
            "@version: 3.38
            options {{ keep-hostname(yes); use-dns(no); keep-timestamp(yes); time-zone(\"UTC\");
                frac-digits(6); log-msg-size({MAX_MESSAGE_BYTES}); stats-freq(0); }};
            template all {{ template(\"${{PRI}} ${{ISODATE}} ${{HOST}} ${{PROGRAM}} ${{PID:--}} \
                ${{MSGID:--}} ${{SDATA:--}} ${{MSG}}\\n\"); }};\n"
        );
        let tls = lock.map(|lock| {
            let clients = lock.clients.as_ref().map_or_else(
                || "peer-verify(optional-untrusted)".to_owned(),
                |file| format!("peer-verify(required-trusted) ca-file(\"{}\")", file.display()),
            );
            format!(
                "tls(cert-file(\"{}\") key-file(\"{}\") {clients})",
                lock.identity.certificate.display(),
                lock.identity.key.display(),
            )
        });
        for (door, wire) in self.doors.iter().enumerate() {
            let driver = |framing| match framing {
                Framing::OctetCounting => "syslog",
                Framing::Lf => "network",
            };
            let (driver, transport, more) = match wire {
                Wire::Udp => ("syslog", "udp", "so-rcvbuf(4194304)"),
                Wire::Tcp(framing) => (driver(*framing), "tcp", ""),
                Wire::Tls(framing) => (driver(*framing), "tls", tls.as_deref().expect("a lock")),
                Wire::Relp | Wire::RelpTls => panic!("syslog-ng does not speak RELP"),
            };
            let flags = if driver == "network" { "flags(syslog-protocol)" } else { "" };
            let (address, file) = (self.address(door), self.file(door));
            settings += &format!(
                "log {{
                    source {{ {driver}(transport(\"{transport}\") ip(\"{}\") port({}) {flags} {more}); }};
                    destination {{ file(\"{}\" template(all)); }};
                }};\n",
                address.ip(),
                address.port(),
                file.display(),
            );
        }
        settings
    }
}

impl Drop for Syslogd {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            print_end("the receiver's log", &self.log());
        }
    }
}

fn parsed(line: &[u8]) -> Option<Received> {
    let mut parts = line.splitn(8, |byte| *byte == b' ');
    let mut field = || String::from_utf8(parts.next()?.to_vec()).ok();
    let priority = field()?.parse().ok()?;
    let (time, host, application, process) = (field()?, field()?, field()?, field()?);
    let rest = [field()?, field()?];
    let text = parts.next()?.to_vec();
    Some(Received { priority, time, host, application, process, rest, text })
}
