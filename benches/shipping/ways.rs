//! Who sees to the lines while containers print: nobody, the engine by itself, or a shipper.

use super::containers::JSON_FILE;
use super::parts::Row;
use super::shippers::{Places, Shipper};
use super::table::Entry;
use super::wire::Address;

/// A way for lines to leave the engine, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// What the engine and the containers cost by themselves.
    Nobody,
    /// Docker's syslog driver.
    Driver,
    Shipper(Shipper),
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody reads",
            Self::Driver => "Docker's syslog driver",
            Self::Shipper(shipper) => shipper.name(),
        }
    }

    pub(crate) fn shipper(self) -> Option<Shipper> {
        match self {
            Self::Shipper(shipper) => Some(shipper),
            Self::Nobody | Self::Driver => None,
        }
    }

    /// The log driver that `docker run` has to be told.
    pub(crate) fn driver(self, to: &Address) -> Vec<String> {
        if self != Self::Driver {
            return JSON_FILE.iter().map(|option| (*option).to_owned()).collect();
        }
        let address = format!("--log-opt=syslog-address=tcp://127.0.0.1:{}", to.port);
        vec!["--log-driver=syslog".into(), address, "--log-opt=syslog-format=rfc5424micro".into()]
    }
}

impl Row for Way {
    fn entry(&self, places: &Places) -> Entry {
        let way = match self {
            Self::Nobody => "the engine writes json-files",
            Self::Driver => "the engine sends by itself, TCP with line feeds",
            Self::Shipper(shipper) => return shipper.entry(places),
        };
        let name = self.name().to_owned();
        Entry {
            shipper: name.clone(),
            name,
            way: way.to_owned(),
            version: String::new(),
            rounds: Vec::new(),
        }
    }
}
