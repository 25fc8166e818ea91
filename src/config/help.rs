//! The text of `--help`, made from the tables. Never wider than 100 columns.

use super::arguments::{COMMANDS, DOCTOR_FLAGS, SWITCHES};
use super::table::SETTINGS;
use crate::encode;
use crate::failover;
use crate::options::OptionSpec;
use crate::output::DRIVERS;
use crate::route;
use crate::select;

const COLUMNS: usize = 100;

const HEAD: &str = "\
downspout ships the logs of all containers of a Docker host.

Usage: downspout [FLAGS] [URI…]
       downspout COMMAND

Examples:
  downspout                                               print all lines on this terminal
  downspout syslog+tcp://logs.example.com:514             ship them to a syslog server
  downspout syslog+tls://a.example.com 'stdout://?format=json'
  DOWNSPOUT_MEMORY_LIMIT=32MiB downspout --log-level debug --check syslog+udp://[::1]:514
";

pub(super) const VARIABLES: &str = "
Variables, each also a flag (DOWNSPOUT_MEMORY_LIMIT is --memory-limit, which wins) and readable
from a file whose path is in NAME_FILE. An empty value counts as unset. [default]
";

pub(super) const ROUTES: &str = "
Routes: SCHEME://HOST:PORT?OPTION=VALUE&OPTION=VALUE, several with commas between. IPv6 addresses
stand in brackets; '&', '#', '%', ',' and others inside a value are written %26, %23, %25, %2C.
Over TCP and TLS, HOST:PORT|HOST:PORT goes to the first that answers.
";

/// The whole text.
pub(super) fn text() -> String {
    let mut page = Page(HEAD.to_owned());
    page.0.push_str("\nSub-commands:\n");
    for (name, help) in COMMANDS {
        page.entry(name, help);
    }
    page.0.push_str("\nFlags:\n");
    for (name, help) in SWITCHES {
        page.0.push_str(&format_args!("  {name:<14}{help}\n").to_string());
    }
    page.0.push_str("\nFlags of doctor, explain and migrate:\n");
    for (name, help) in DOCTOR_FLAGS {
        page.0.push_str(&format_args!("  {name:<14}{help}\n").to_string());
    }
    page.0.push_str(VARIABLES);
    for setting in SETTINGS {
        page.entry(&title(setting.name, setting.unit, setting.default), setting.help);
    }
    page.0.push_str(ROUTES);
    for driver in DRIVERS {
        page.entry(&driver.schemes.join(", "), driver.help);
        page.paragraph(&format!("Example: {}", driver.example));
    }
    for (heading, options) in groups() {
        page.options(&heading, options);
    }
    page.0
}

/// All options of routes, with a heading for each group that has any.
pub(super) fn groups() -> Vec<(String, &'static [OptionSpec])> {
    let mut groups = vec![
        ("Options of every route".to_owned(), route::OPTIONS),
        ("Options of cloudwatch routes".to_owned(), route::STORE_OPTIONS),
        ("Options of every route but cloudwatch".to_owned(), route::LINK_OPTIONS),
        ("Options of several addresses, over TCP, TLS and RELP".to_owned(), failover::OPTIONS),
        ("Options of every route: which containers it ships".to_owned(), select::OPTIONS),
        ("Options of the encoding".to_owned(), encode::OPTIONS),
        (
            "Options of names in the lines, for every route but cloudwatch".to_owned(),
            encode::NAME_OPTIONS,
        ),
    ];
    for driver in DRIVERS.iter().filter(|driver| !driver.options.is_empty()) {
        groups.push((format!("Options of {}", driver.schemes.join(", ")), driver.options));
    }
    groups
}

struct Page(String);

impl Page {
    fn options(&mut self, heading: &str, rows: &[OptionSpec]) {
        if rows.is_empty() {
            return;
        }
        self.0.extend(["\n", heading, ":\n"]);
        for row in rows {
            self.entry(&title(row.name, row.unit, row.default), row.help);
        }
    }

    fn entry(&mut self, title: &str, help: &str) {
        self.0.extend(["  ", title, "\n"]);
        self.paragraph(help);
    }

    fn paragraph(&mut self, text: &str) {
        wrap(&mut self.0, "      ", text);
    }
}

/// Appends the words of a text in lines of at most 100 characters, each behind `indent`.
pub(super) fn wrap(out: &mut String, indent: &str, text: &str) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            out.push('\n');
            column = 0;
        }
        let gap = if column == 0 { indent } else { " " };
        out.extend([gap, word]);
        column += gap.len() + width;
    }
    out.push('\n');
}

pub(super) fn title(name: &str, unit: &str, default: &str) -> String {
    let default = if default.is_empty() { String::new() } else { format!("  [{default}]") };
    format!("{name}={unit}{default}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_there_and_nothing_is_wider_than_a_terminal() {
        let text = text();
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        for setting in SETTINGS {
            assert!(
                text.contains(&format!("\n  {}={}", setting.name, setting.unit)),
                "{setting:?}"
            );
        }
        for driver in DRIVERS {
            assert!(text.contains(driver.example), "{driver:?}");
            for row in route::known(driver).into_iter().flatten() {
                assert!(text.contains(&format!("\n  {}={}", row.name, row.unit)), "{row:?}");
            }
        }
    }
}
