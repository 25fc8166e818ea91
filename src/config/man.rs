//! The manual page, made from the tables: `downspout man | man -l -`.

use super::arguments::{COMMANDS, DOCTOR_FLAGS, SWITCHES};
use super::help;
use super::table::SETTINGS;
use crate::output::DRIVERS;
use crate::template::FUNCTIONS;

const DESCRIPTION: &str = "\
Follows every container of a Docker host and delivers its lines, complete and in order, over UDP, \
TCP, TLS, RELP, a unix socket, or to AWS CloudWatch Logs. The container's log is the buffer; every \
destination keeps a cursor in it; the cursor moves only when the destination has acknowledged.";

const EXIT: [(&str, &str); 5] = [
    ("0", "All was well; a run has ended in order."),
    (
        "1",
        "It could not do what it was asked: not healthy, no Docker to look at, no such container.",
    ),
    ("2", "The configuration can never work, or a check found a fault. All problems are named."),
    ("3", "doctor: there are warnings. explain: no route ships the container."),
    ("4", "doctor: there are problems."),
];

const SIGNALS: &str = "\
SIGTERM and SIGINT: delivers what was read, within DOWNSPOUT_SHUTDOWN_TIMEOUT, saves the positions and \
ends. A second one ends it at once.";

/// The whole page, in the macros of man(7).
pub(super) fn page() -> String {
    let mut page = Page(String::new());
    let version = env!("CARGO_PKG_VERSION");
    page.request(&format!("TH DOWNSPOUT 8 \"\" \"downspout {version}\" \"System Administration\""));
    page.section("NAME");
    page.text("downspout - ship the logs of all containers of a Docker host");
    page.section("SYNOPSIS");
    page.text("downspout [FLAGS] [URI…]");
    page.section("DESCRIPTION");
    page.text(DESCRIPTION);
    page.section("COMMANDS");
    for (name, help) in COMMANDS {
        page.entry(name, help);
    }
    page.section("FLAGS");
    for (name, help) in SWITCHES {
        page.entry(name, help);
    }
    page.request("SS \"Flags of doctor, explain and migrate\"");
    for (name, help) in DOCTOR_FLAGS {
        page.entry(name, help);
    }
    page.section("ENVIRONMENT");
    page.text(help::VARIABLES.trim());
    for setting in SETTINGS {
        page.entry(&help::title(setting.name, setting.unit, setting.default), setting.help);
    }
    page.section("ROUTES");
    page.text(help::ROUTES.trim());
    for driver in DRIVERS {
        page.entry(
            &driver.schemes.join(", "),
            &format!("{} Example: {}", driver.help, driver.example),
        );
    }
    for (heading, options) in help::groups() {
        page.request(&format!("SS \"{heading}\""));
        for option in options {
            page.entry(&help::title(option.name, option.unit, option.default), option.help);
        }
    }
    page.section("SIGNALS");
    page.text(SIGNALS);
    page.section("FUNCTIONS OF TEMPLATES");
    for function in FUNCTIONS {
        page.entry(function.name, function.help);
    }
    page.section("EXIT STATUS");
    for (code, meaning) in EXIT {
        page.entry(code, meaning);
    }
    page.0
}

struct Page(String);

impl Page {
    fn request(&mut self, line: &str) {
        self.0.extend([".", line, "\n"]);
    }

    fn section(&mut self, title: &str) {
        self.request(&format!("SH \"{title}\""));
    }

    fn entry(&mut self, title: &str, text: &str) {
        self.request("TP");
        self.0.extend(["\\fB", &escaped(title), "\\fR\n"]);
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        let text = escaped(text);
        // What begins with a dot or an apostrophe would be a request.
        let guard = if text.starts_with(['.', '\'']) { "\\&" } else { "" };
        self.0.extend([guard, &text, "\n"]);
    }
}

// In one line, so that no later one can begin with a dot; with hyphens that can be copied.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\n' => escaped.push(' '),
            '…' => escaped.push_str("..."),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_command_scheme_and_option_is_in_the_page() {
        let page = page();
        let has = |title: &str| page.contains(&format!("\n\\fB{}", escaped(title)));
        for setting in SETTINGS {
            assert!(has(&format!("{}=", setting.name)), "{setting:?}");
        }
        for (name, _) in COMMANDS.iter().chain(&SWITCHES).chain(&DOCTOR_FLAGS) {
            assert!(has(name), "{name}");
        }
        for driver in DRIVERS {
            assert!(has(driver.schemes[0]), "{driver:?}");
            for option in crate::route::known(driver).into_iter().flatten() {
                assert!(has(&format!("{}=", option.name)), "{option:?}");
            }
        }
        assert!(page.is_ascii(), "some terminals show no more");
    }

    #[test]
    fn no_text_is_taken_for_a_request() {
        let mut page = Page(String::new());
        page.text(".so /etc/passwd\n.so it goes \\fB");
        assert_eq!(page.0, "\\&.so /etc/passwd .so it goes \\efB\n");
    }
}
