//! Completions for shells, made from the tables: commands, flags, schemes of routes.

use super::arguments::{COMMANDS, DOCTOR_FLAGS, SHELLS, SWITCHES, settings};
use crate::output::DRIVERS;

/// The script for one of `SHELLS`; `None` for another.
pub(super) fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(zsh()),
        "fish" => Some(fish()),
        _ => None,
    }
}

/// Each first word of a command with the words that may follow it.
fn commands() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut commands: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, _) in COMMANDS {
        let (first, second) = name.split_once(' ').unwrap_or((name, ""));
        match commands.iter_mut().find(|(known, _)| *known == first) {
            Some((_, more)) => more.push(second),
            None if second == "SHELL" => commands.push((first, SHELLS.to_vec())),
            // What the engine has cannot be known here.
            None if matches!(second, "" | "CONTAINER") => commands.push((first, vec![])),
            None => commands.push((first, vec![second])),
        }
    }
    commands
}

fn help_of(first: &str) -> &'static str {
    COMMANDS.iter().find(|(name, _)| name.starts_with(first)).map_or("", |(_, help)| help)
}

/// Flags with their help, those without a value first.
fn flags() -> Vec<(String, &'static str, bool)> {
    let long = SWITCHES.iter().chain(&DOCTOR_FLAGS).filter(|(name, _)| name.starts_with("--"));
    let switches = long.map(|(name, help)| ((*name).to_owned(), *help, false));
    switches.chain(settings().map(|(flag, row)| (format!("--{flag}"), row.help, true))).collect()
}

fn schemes() -> Vec<String> {
    let schemes = DRIVERS.iter().flat_map(|driver| driver.schemes);
    schemes.map(|scheme| format!("{scheme}://")).collect()
}

fn bash() -> String {
    let flags: Vec<String> = flags().into_iter().map(|(flag, ..)| flag).collect();
    let firsts: Vec<&str> = commands().into_iter().map(|(first, _)| first).collect();
    let mut cases = Vec::new();
    for (first, more) in commands().into_iter().filter(|(_, more)| !more.is_empty()) {
        cases.push(format!("        {first}) words=\"{}\" ;;\n", more.join(" ")));
    }
    let cases = cases.concat();
    format!(
        "# bash completion of downspout, made by `downspout completions bash`.
_downspout() {{
    local current=\"${{COMP_WORDS[COMP_CWORD]}}\" words
    case \"${{COMP_WORDS[COMP_CWORD - 1]}}\" in
{cases}        *) words=\"{} {} {}\" ;;
    esac
    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))
    if [[ ${{COMPREPLY[0]-}} == *:// ]]; then compopt -o nospace 2>/dev/null; fi
}}
complete -F _downspout downspout
",
        firsts.join(" "),
        flags.join(" "),
        schemes().join(" "),
    )
}

fn zsh() -> String {
    let quoted = |text: &str| text.replace('\'', "'\\''").replace(':', "\\:");
    let entry = |name: &str, help: &str| format!("        '{}:{}'\n", quoted(name), quoted(help));
    let mut cases = Vec::new();
    for (first, more) in commands().into_iter().filter(|(_, more)| !more.is_empty()) {
        cases.push(format!("        {first}) compadd {}; return ;;\n", more.join(" ")));
    }
    let mut choices = String::new();
    for (first, _) in commands() {
        choices.push_str(&entry(first, help_of(first)));
    }
    for scheme in schemes() {
        choices.push_str(&entry(&scheme, "a route"));
    }
    let cases = cases.concat();
    let flags: String = flags().iter().map(|(flag, help, _)| entry(flag, help)).collect();
    format!(
        "#compdef downspout
# zsh completion of downspout, made by `downspout completions zsh`.
_downspout() {{
    local -a choices flags
    case \"$words[CURRENT-1]\" in
{cases}    esac
    choices=(
{choices}    )
    flags=(
{flags}    )
    _describe 'command or route' choices
    _describe -o 'flag' flags
}}
_downspout \"$@\"
"
    )
}

fn fish() -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let mut lines = vec![
        "# fish completion of downspout, made by `downspout completions fish`.".to_owned(),
        "complete -c downspout -f".to_owned(),
    ];
    for (first, more) in commands() {
        let help = quoted(help_of(first));
        lines
            .push(format!("complete -c downspout -n __fish_use_subcommand -a {first} -d '{help}'"));
        if !more.is_empty() {
            let more = more.join(" ");
            lines.push(format!(
                "complete -c downspout -n '__fish_seen_subcommand_from {first}' -a '{more}'"
            ));
        }
    }
    for (flag, help, valued) in flags() {
        let (name, value) = (flag.trim_start_matches('-'), if valued { " -x" } else { "" });
        let help = quoted(help);
        lines.push(format!("complete -c downspout -l {name}{value} -d '{help}'"));
    }
    for scheme in schemes() {
        lines.push(format!("complete -c downspout -a '{scheme}' -d 'a route'"));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_knows_every_command_flag_and_scheme() {
        for shell in SHELLS {
            let script = script(shell).unwrap();
            for (first, more) in commands() {
                let words = std::iter::once(first).chain(more);
                assert!(words.into_iter().all(|word| script.contains(word)), "{shell}: {first}");
            }
            for (flag, ..) in flags() {
                assert!(script.contains(flag.trim_start_matches('-')), "{shell}: {flag}");
            }
            for scheme in schemes() {
                let scheme = if shell == "zsh" { scheme.replace(':', "\\:") } else { scheme };
                assert!(script.contains(&scheme), "{shell}: {scheme}");
            }
        }
        assert_eq!(script("csh"), None);
    }
}
