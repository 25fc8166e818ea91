//! The reference of all variables and route options in Markdown, made from the tables.

use super::help::groups;
use super::table::{SETTINGS, Setting};
use crate::options::OptionSpec;
use crate::output::{DRIVERS, Driver};
use crate::template::FUNCTIONS;

const HEAD: &str = "\
# Reference

Made by `downspout reference`; do not edit.

## Variables

Every variable can also be given as the flag named beside it, which wins, or as the content of a
file whose path is in `NAME_FILE`. An empty value counts as unset. An unknown variable that begins
with `DOWNSPOUT_` is an error.

";

const ROUTES: &str = "
## Routes

`SCHEME://HOST:PORT?OPTION=VALUE&OPTION=VALUE`; several routes with commas or line ends between.
IPv6 addresses stand in brackets. Over TCP and TLS the host may be a list, `HOST:PORT|HOST:PORT`, in
order of preference: lines go to the first that answers. In values and paths `%XX` stands for a
byte; `&`, `#`, `%` and `,` have to be written like that (`%26`, `%23`, `%25`, `%2C`); `+` stands for
itself.

| Scheme | Example | Meaning |
|---|---|---|
";

/// The whole text.
pub(super) fn text() -> String {
    let mut text = HEAD.to_owned();
    let columns = ["Variable", "Flag", "Value", "Default", "Meaning"];
    row(&mut text, &columns);
    row(&mut text, &columns.map(|_| "---"));
    for setting in SETTINGS {
        row(&mut text, &variable(setting));
    }
    text.push_str(ROUTES);
    for driver in DRIVERS {
        row(&mut text, &[schemes(driver), code(driver.example), escaped(driver.help)]);
    }
    for (heading, rows) in groups() {
        options(&mut text, &heading, rows);
    }
    text.push_str("\n## Functions of templates\n\n");
    let columns = ["Function", "Meaning"];
    row(&mut text, &columns);
    row(&mut text, &columns.map(|_| "---"));
    for function in FUNCTIONS {
        row(&mut text, &[code(function.name), escaped(function.help)]);
    }
    text
}

fn variable(setting: &Setting) -> [String; 5] {
    let flag = setting.flag().map(|flag| code(&format!("--{flag}"))).unwrap_or_default();
    let Setting { name, unit, default, help, .. } = setting;
    [code(name), flag, code(unit), code(default), escaped(help)]
}

fn options(text: &mut String, heading: &str, rows: &[OptionSpec]) {
    if rows.is_empty() {
        return;
    }
    text.extend(["\n### ", heading, "\n\n"]);
    let columns = ["Option", "Value", "Default", "Meaning"];
    row(text, &columns);
    row(text, &columns.map(|_| "---"));
    for OptionSpec { name, default, unit, help } in rows {
        row(text, &[code(name), code(unit), code(default), escaped(help)]);
    }
}

fn row<const N: usize>(text: &mut String, cells: &[impl AsRef<str>; N]) {
    for cell in cells {
        text.extend(["| ", cell.as_ref(), " "]);
    }
    text.push_str("|\n");
}

fn schemes(driver: &Driver) -> String {
    driver.schemes.iter().map(|scheme| code(scheme)).collect::<Vec<_>>().join(", ")
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", escaped(text)) }
}

// A bar would end the table's cell, between backticks too.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route;

    #[test]
    fn the_page_in_the_tree_is_what_the_binary_prints() {
        let page = include_str!("../../deploy/variables.md");
        assert!(
            page == text(),
            "deploy/variables.md is stale: downspout reference > deploy/variables.md"
        );
    }

    #[test]
    fn every_setting_scheme_and_option_has_a_row_of_whole_cells() {
        let text = text();
        for setting in SETTINGS {
            assert!(text.contains(&format!("\n| `{}` |", setting.name)), "{setting:?}");
        }
        for driver in DRIVERS {
            assert!(text.contains(driver.example), "{driver:?}");
            for row in route::known(driver).into_iter().flatten() {
                assert!(text.contains(&format!("\n| `{}` |", row.name)), "{row:?}");
            }
        }
        let mut columns = 0;
        for line in text.lines().filter(|line| line.starts_with('|')) {
            let cells = line.replace("\\|", "").matches('|').count();
            columns = if line.contains("Meaning") { cells } else { columns };
            assert_eq!(cells, columns, "{line}");
        }
    }
}
