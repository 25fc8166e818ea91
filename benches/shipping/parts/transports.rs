//! The same backlog over each transport.

use super::Row;
use crate::Bench;
use crate::cipher;
use crate::drain::LINE_BYTES;
use crate::limits::Limit;
use crate::shippers::{Places, Shipper};
use crate::table::{Column, Entry, Table};
use crate::wire::Wire;

/// What TLS may cost beside its cipher, in plain TCP's CPU seconds.
const TLS_FACTOR: f64 = 1.5;

/// Over TCP the syslog daemons are in the backlog's table. rsyslog has no output to a unix stream,
/// syslog-ng none to RELP. UDP is left out: it loses lines, so its speed says nothing.
const ROWS: [Transport; 8] = [
    Transport(Shipper::Downspout, Wire::Tcp),
    Transport(Shipper::Downspout, Wire::Tls),
    Transport(Shipper::Rsyslog, Wire::Tls),
    Transport(Shipper::SyslogNg, Wire::Tls),
    Transport(Shipper::Downspout, Wire::Relp),
    Transport(Shipper::Rsyslog, Wire::Relp),
    Transport(Shipper::Downspout, Wire::UnixStream),
    Transport(Shipper::SyslogNg, Wire::UnixStream),
];

const COLUMNS: &[Column] = &[
    Column::measure("wall_s", "drain s", 2),
    Column::measure("cpu_s", "CPU s", 2),
    Column::measure("cipher_s", "cipher alone CPU s", 3),
    Column::measure("dockerd_s", "dockerd CPU s", 2),
    Column::peak("peak_mib", "peak MiB", 1),
    Column::count("lost", "lost"),
    Column::count("repeated", "repeated"),
];

struct Transport(Shipper, Wire);

impl Transport {
    fn name(&self) -> String {
        format!("{}, {}", self.0.name(), self.1.name())
    }
}

impl Row for Transport {
    fn entry(&self, places: &Places) -> Entry {
        let Self(shipper, wire) = *self;
        let [name, shipper_name] = [self.name(), self.name()];
        Entry { name, shipper: shipper_name, way: shipper.way(wire), ..shipper.entry(places) }
    }
}

impl Bench {
    /// Every shipper drains the same log over each transport that it has.
    pub(crate) fn transports(&self) -> Vec<Table> {
        let lines = self.options.lines;
        let backlog = self.backlog_of(lines, LINE_BYTES);
        let setting = format!(
            "{lines} lines of {LINE_BYTES} bytes wait in a json-file and go to a syslog receiver \
             on this machine, which uses the same cores and, for TLS, decrypts on them. With TLS \
             everybody checks the receiver's certificate. Cipher alone: what rustls takes in the \
             same round to encrypt as many bytes with the suite that was agreed on, in full \
             records, without sockets."
        );
        let wanted = self.shippers();
        let rows: Vec<Transport> = ROWS.into_iter().filter(|row| wanted.contains(&row.0)).collect();
        let table = Table::new("Transports: the backlog over each", setting, COLUMNS);
        let [mut table] = self.measure("transports", &rows, [table], |row| {
            let figures = self.drain(row.0, row.1, &backlog);
            let ours = figures.suite.filter(|_| row.0.is_downspout());
            let cipher_s = ours.and_then(|suite| cipher::seconds(suite, figures.bytes));
            [vec![
                figures.wall_s,
                figures.cpu_s,
                cipher_s,
                figures.dockerd_s,
                figures.peak_mib,
                Some(figures.lost),
                Some(figures.repeated),
            ]]
        });
        let [plain, tls] =
            [Wire::Tcp, Wire::Tls].map(|wire| Transport(Shipper::Downspout, wire).name());
        if table.has(&tls) {
            let cost = table.figure(&plain, "cpu_s").zip(table.figure(&tls, "cipher_s"));
            table.limits.push(Limit {
                what: format!("{tls}: CPU s, {TLS_FACTOR} times that over TCP and the cipher's"),
                value: table.figure(&tls, "cpu_s"),
                most: cost.map(|(plain, cipher)| TLS_FACTOR * plain + cipher),
                digits: 2,
            });
        }
        vec![table]
    }
}
