//! Whether a line of a log tells of trouble, so that a trace may stand below it. Never reads more
//! than the beginning of it: there the level stands.

/// So much of a line is looked at, in bytes: a stamp, a thread, a level, a logger, a few words.
const LOOK_BYTES: usize = 160;

/// Of these one stands in it. They begin with what `may_hold_one` looks for.
const WORDS: [&[u8]; 9] = [
    b"error",
    b"exception",
    b"warn",
    b"fatal",
    b"fail",
    b"severe",
    b"panic",
    b"critical",
    b"traceback",
];

/// The first four letters of each of them, of which no two begin alike.
const BEGINNINGS: [u32; WORDS.len()] = [
    u32::from_le_bytes(*b"erro"),
    u32::from_le_bytes(*b"exce"),
    u32::from_le_bytes(*b"warn"),
    u32::from_le_bytes(*b"fata"),
    u32::from_le_bytes(*b"fail"),
    u32::from_le_bytes(*b"seve"),
    u32::from_le_bytes(*b"pani"),
    u32::from_le_bytes(*b"crit"),
    u32::from_le_bytes(*b"trac"),
];
/// Makes capitals small.
const SMALL_LETTERS: u32 = u32::from_le_bytes([0x20; 4]);

/// Whether it does. What is written as JSON has its trace with it.
pub(super) fn tell_of_trouble(line: &[u8]) -> bool {
    let look = line.get(..LOOK_BYTES).unwrap_or(line);
    !line.starts_with(b"{") && may_hold_one(look) && holds_one(look)
}

fn holds_one(look: &[u8]) -> bool {
    let holds = |word: &[u8]| look.windows(word.len()).any(|at| at.eq_ignore_ascii_case(word));
    WORDS.iter().any(|word| holds(word))
}

// Without a branch per byte: nearly all lines are done with here.
fn may_hold_one(look: &[u8]) -> bool {
    let from = |at: usize| look.get(at..).unwrap_or_default();
    let mut found = false;
    for (((first, second), third), fourth) in from(0).iter().zip(from(1)).zip(from(2)).zip(from(3))
    {
        let word = u32::from_le_bytes([*first, *second, *third, *fourth]) | SMALL_LETTERS;
        for beginning in BEGINNINGS {
            found |= word == beginning;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_level_or_a_name_tells_of_trouble_and_json_does_not() {
        for line in [
            "2026-11-22 22:40:06 ERROR [main] c.e.Shop - no order 17",
            "WARN  retrying",
            "F, [2026-11-22T22:40:06.1 #7] FATAL -- : ",
            "SEVERE: no order",
            "Unhandled exception in worker",
            "2026/11/22 22:40:06 http: panic serving 127.0.0.1:1: no order",
            "level=critical msg=x",
            "fail: Shop.Worker[0]",
        ] {
            assert!(tell_of_trouble(line.as_bytes()), "{line}");
        }
        for line in ["", "err", "10.0.0.7 - - \"GET / HTTP/1.1\" 200", "{\"level\":\"error\"}"] {
            assert!(!tell_of_trouble(line.as_bytes()), "{line}");
        }
        let mut late = "x".repeat(LOOK_BYTES - 4);
        late.push_str("error");
        assert!(!tell_of_trouble(late.as_bytes()));
    }

    proptest! {
        #[test]
        fn no_word_is_passed_over_at_first_sight(
            before in "[ a-z]{0,40}", word in 0..WORDS.len(), upper: bool, after in "[ a-z]{0,40}",
        ) {
            let word = std::str::from_utf8(WORDS[word]).unwrap();
            let word = if upper { word.to_ascii_uppercase() } else { word.to_owned() };
            let line = format!("{before}{word}{after}");
            prop_assert!(may_hold_one(line.as_bytes()), "{}", line);
        }
    }
}
