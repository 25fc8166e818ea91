//! Which container is meant: by its name, its id, or the beginning of its id. Never asks the engine.

use crate::options::closest;
use crate::source::docker::engine::Listed;
use crate::terminal::clean;

/// Containers that an error names at most.
const MOST_NAMED: usize = 5;
/// Characters of what is looked for that an error repeats, and that are compared with names.
const MOST_SHOWN: usize = 80;

/// The container of the list that is meant. A name counts before the beginning of an id.
///
/// The error names those that begin alike, or that are called nearly so.
pub(super) fn find<'a>(listed: &'a [Listed], wanted: &str) -> Result<&'a Listed, String> {
    let name = wanted.strip_prefix('/').unwrap_or(wanted);
    let exact = listed.iter().find(|one| one.name == name || one.id == wanted);
    if let Some(exact) = exact {
        return Ok(exact);
    }
    let id = wanted.to_ascii_lowercase();
    let alike: Vec<&Listed> =
        listed.iter().filter(|one| !id.is_empty() && one.id.starts_with(&id)).collect();
    match alike.as_slice() {
        [] => Err(unknown(listed, name)),
        [one] => Ok(one),
        several => Err(ambiguous(several, wanted)),
    }
}

fn unknown(listed: &[Listed], name: &str) -> String {
    let given: String = name.chars().take(MOST_SHOWN).collect();
    let near = closest(&given, listed.iter().map(|one| one.name.as_str()));
    let holding = listed.iter().map(|one| one.name.as_str());
    let holding = holding.filter(|known| !given.is_empty() && known.contains(&given));
    let mut names: Vec<&str> = near.into_iter().chain(holding).take(MOST_NAMED + 1).collect();
    names.dedup();
    names.truncate(MOST_NAMED);
    let names: Vec<String> = names.into_iter().map(|name| format!("'{}'", clean(name))).collect();
    let hint = if names.is_empty() {
        "docker ps -a lists all".to_owned()
    } else {
        format!("did you mean {}?", names.join(" or "))
    };
    format!("Docker has no container '{}'; {hint}", clean(&given))
}

fn ambiguous(several: &[&Listed], wanted: &str) -> String {
    let shown = several.iter().take(MOST_NAMED);
    let mut names: Vec<String> = shown
        .map(|one| {
            let id: String = one.id.chars().take(wanted.chars().count().max(12)).collect();
            format!("{} ({})", clean(&one.name), clean(&id))
        })
        .collect();
    let more = several.len().saturating_sub(MOST_NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    let count = several.len();
    let (given, names) = (clean(wanted), names.join(", "));
    format!("{count} containers have an id that begins with '{given}': {names}; write more of it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Vec<Listed> {
        [
            ("aa11", "web"),
            ("aa22", "web-worker"),
            ("bb33", "db"),
            ("cc44", "aa"),
            ("dd55", "w\u{1b}"),
        ]
        .map(|(id, name)| Listed { id: id.repeat(16), name: name.into(), ..Listed::default() })
        .to_vec()
    }

    #[test]
    fn a_container_is_known_by_its_name_its_id_and_the_beginning_of_its_id() {
        let listed = listed();
        let whole = "aa22".repeat(16);
        for (wanted, name) in [
            ("web", "web"),
            ("/web", "web"),
            ("bb", "db"),
            ("BB33", "db"),
            (whole.as_str(), "web-worker"),
            ("aa1", "web"),
            // The name of one, the beginning of two ids.
            ("aa", "aa"),
        ] {
            assert_eq!(find(&listed, wanted).unwrap().name, name, "{wanted}");
        }
    }

    #[test]
    fn one_that_is_not_there_is_told_with_names_close_to_it() {
        for (wanted, said) in [
            ("wev", "no container 'wev'; did you mean 'web'?"),
            ("worker", "no container 'worker'; did you mean 'web-worker'?"),
            ("zzzzzz", "no container 'zzzzzz'; docker ps -a lists all"),
            ("", "no container ''; docker ps -a lists all"),
            ("w\u{1b}x", r"no container 'w\u{1b}x'; did you mean "),
        ] {
            let error = find(&listed(), wanted).unwrap_err();
            assert!(error.contains(said), "{wanted}: {error}");
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
        let long = find(&listed(), &"x".repeat(1 << 20)).unwrap_err();
        assert!(long.len() < 300, "{}", long.len());
    }

    #[test]
    fn the_beginning_of_two_ids_is_refused_with_both() {
        let mut listed = listed();
        listed.remove(3);
        let error = find(&listed, "aa").unwrap_err();
        assert_eq!(
            error,
            "2 containers have an id that begins with 'aa': web (aa11aa11aa11), web-worker \
             (aa22aa22aa22); write more of it"
        );
        let many: Vec<_> = (0..9)
            .map(|n| Listed { id: format!("ee{n}"), name: format!("n{n}"), ..Listed::default() })
            .collect();
        let error = find(&many, "ee").unwrap_err();
        assert!(error.contains("n4 (ee4), and 4 more; write"), "{error}");
    }
}
