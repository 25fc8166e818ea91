//! The manual page through the programs that read it, and the completions in a shell.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::agent::Launch;

#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let finished = arguments.iter().fold(Launch::new(), Launch::arg).finish();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    finished.stdout
}

/// What a program makes of a text.
#[track_caller]
fn piped(program: &str, arguments: &[&str], text: &str) -> (String, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; deploy/test.sh installs it"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let both = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into());
    let [stdout, stderr] = both;
    assert!(output.status.success(), "{program}: {stderr}");
    (stdout, stderr)
}

#[test]
fn the_manual_page_is_read_without_a_complaint_and_shows_every_variable() {
    let page = printed(&["man"]);
    // Warnings of all kinds, and no line longer than it may be.
    let (shown, complaints) =
        piped("groff", &["-man", "-Tascii", "-ww", "-rLL=100n", "-P-cbou"], &page);
    assert_eq!(complaints, "");
    for line in printed(&["reference"]).lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = line.split('`').next().unwrap();
        assert!(shown.contains(name), "{name} is not shown");
    }
    assert!(shown.contains("EXIT STATUS") && shown.contains("syslog+tls"), "{shown}");
}

#[test]
fn the_completions_of_bash_complete() {
    let script = printed(&["completions", "bash"]);
    let completed = |words: &str, at: usize| {
        let ask = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={at}; _downspout; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        );
        piped("bash", &["-u", "-s"], &ask).0.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(completed("downspout checkpoint ''", 2), ["show", "reset"]);
    assert_eq!(completed("downspout completions f", 2), ["fish"]);
    assert_eq!(completed("downspout --memory", 1), ["--memory-limit"]);
    assert_eq!(completed("downspout syslog+tl", 1), ["syslog+tls://"]);
    assert!(completed("downspout ''", 1).contains(&"healthcheck".to_owned()));
}

#[test]
fn other_shells_take_their_completions_and_an_unknown_one_is_named() {
    for shell in ["zsh", "fish"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("memory-limit") && script.contains("checkpoint"), "{script}");
    }
    piped("zsh", &["-n", "/dev/stdin"], &printed(&["completions", "zsh"]));
    let refused = Launch::new().arg("completions").arg("csh").finish();
    assert_eq!(refused.code, Some(2));
    let words = "completions csh: write one of bash, zsh, fish";
    assert!(refused.stderr.contains(words), "{}", refused.stderr);
}
