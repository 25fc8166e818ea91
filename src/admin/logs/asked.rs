//! What a request below `/logs` asks for: path, query and headers to a choice. Never opens anything.

use hyper::Uri;
use hyper::header::{ACCEPT, HeaderMap};

use crate::options::Options;
use crate::percent;
use crate::record::Container;
use crate::select::{Rules, Selection, Verdict};

/// Longest name, glob or id, in bytes.
const MOST_VALUE_BYTES: usize = 1024;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) which: Which,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) form: Form,
}

/// Which containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// A glob over the name.
    Name(String),
    /// The beginning of the id, or all of it.
    Id(String),
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text { colours: bool },
    Json,
}

impl Which {
    /// Whether lines are told apart by name: in logspout for all, and for a name with a star.
    pub(super) fn is_multi(&self) -> bool {
        match self {
            Self::All => true,
            Self::Name(glob) => glob.contains('*'),
            Self::Id(_) => false,
        }
    }

    /// Tells whether a container is one of them. Refused if the glob is none.
    pub(super) fn into_filter(self) -> Result<IsWanted, String> {
        Ok(match self {
            Self::All => Box::new(|_| true),
            Self::Name(glob) => {
                let selection = by_name(glob)?;
                let rules = Rules::default();
                Box::new(move |container| {
                    !matches!(selection.verdict("", container, &rules), Verdict::Skip(_))
                })
            }
            Self::Id(id) => Box::new(move |container| container.id.starts_with(&id)),
        })
    }
}

/// Tells whether a container is wanted.
type IsWanted = Box<dyn Fn(&Container) -> bool + Send + Sync>;

/// What a route with this filter ships.
fn by_name(glob: String) -> Result<Selection, String> {
    let mut options = Options::new([("filter.name".to_owned(), glob)]);
    let selection = Selection::take(&mut options);
    let problems: Vec<String> = options.finish(&[]).iter().map(ToString::to_string).collect();
    selection.ok_or_else(|| problems.join("; "))
}

impl Asked {
    /// What a request asks for; `None` if there is no such page, and an error says what to write.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Result<Option<Self>, String> {
        let Some(which) = which(uri.path())? else { return Ok(None) };
        let (mut stdout, mut stderr, mut colours) = (true, true, true);
        for item in uri.query().unwrap_or_default().split('&') {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            match decoded(key).as_deref() {
                Some("sources" | "source") if !value.is_empty() => {
                    (stdout, stderr) = sources(value)?;
                }
                Some("colors") => colours = value != "off",
                _ => {}
            }
        }
        let accepted = headers.get(ACCEPT).map(|value| value.as_bytes().trim_ascii());
        let is_json = accepted == Some(b"application/json");
        let form = if is_json { Form::Json } else { Form::Text { colours } };
        Ok(Some(Self { which, stdout, stderr, form }))
    }
}

fn which(path: &str) -> Result<Option<Which>, String> {
    let Some(rest) = path.strip_prefix("/logs") else { return Ok(None) };
    if rest.is_empty() {
        return Ok(Some(Which::All));
    }
    let Some((word, value)) = rest.strip_prefix('/').and_then(|rest| rest.split_once(':')) else {
        return Ok(None);
    };
    let value = decoded(value).ok_or("the path is not UTF-8 once its %XX are decoded")?;
    if value.len() > MOST_VALUE_BYTES {
        return Err(format!(
            "{word}: is longer than {MOST_VALUE_BYTES} bytes; write a shorter one"
        ));
    }
    Ok(match word {
        _ if value.is_empty() => None,
        "name" => Some(Which::Name(value)),
        "id" => Some(Which::Id(value)),
        _ => None,
    })
}

fn sources(list: &str) -> Result<(bool, bool), String> {
    let list = decoded(list).unwrap_or_default();
    let (mut stdout, mut stderr) = (false, false);
    for word in list.split(',').map(str::trim) {
        match word {
            "stdout" => stdout = true,
            "stderr" => stderr = true,
            _ => {
                return Err(format!(
                    "sources={}: expected stdout, stderr or stdout,stderr",
                    list.escape_debug()
                ));
            }
        }
    }
    Ok((stdout, stderr))
}

// `None` if it is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    String::from_utf8(percent::decoded(text)).ok()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn asked(uri: &str) -> Result<Option<Asked>, String> {
        Asked::of(&uri.parse().unwrap(), &HeaderMap::new())
    }

    fn which(uri: &str) -> Option<Which> {
        asked(uri).unwrap().map(|asked| asked.which)
    }

    #[test]
    fn paths_choose_containers_and_unknown_words_choose_none() {
        assert_eq!(which("/logs"), Some(Which::All));
        assert_eq!(which("/logs/name:web"), Some(Which::Name("web".into())));
        assert_eq!(which("/logs/name:a%2A%5C%3F"), Some(Which::Name("a*\\?".into())));
        assert_eq!(which("/logs/id:0a1"), Some(Which::Id("0a1".into())));
        for other in ["/logs/", "/logs/name:", "/logs/image:x", "/logs/web", "/logsx", "/logs/:x"] {
            assert_eq!(which(other), None, "{other}");
        }
        assert!(asked(&format!("/logs/name:{}", "x".repeat(2000))).is_err());
        assert!(asked("/logs/name:%ff").is_err());
    }

    #[test]
    fn only_all_and_names_with_a_star_are_told_apart() {
        let multi = |uri| which(uri).unwrap().is_multi();
        assert!(multi("/logs") && multi("/logs/name:w*"));
        assert!(!multi("/logs/name:web") && !multi("/logs/id:1"));
    }

    #[test]
    fn a_name_is_a_glob_and_one_that_is_none_is_refused_with_the_place() {
        let wanted = |glob: &str, name: &str| {
            let filter = Which::Name(glob.to_owned()).into_filter().unwrap();
            filter(&Container { name: name.to_owned(), ..Container::default() })
        };
        for (glob, name, expected) in [
            ("web", "web", true),
            ("web", "web-1", false),
            ("web*", "web-1", true),
            ("w?b", "web", true),
            ("[v-w]eb", "web", true),
            ("db*", "web", false),
        ] {
            assert_eq!(wanted(glob, name), expected, "{glob} {name}");
        }
        let refused = Which::Name("web[".to_owned()).into_filter().err().unwrap();
        assert!(refused.contains("filter.name") && refused.contains('4'), "{refused}");
    }

    #[test]
    fn sources_are_chosen_under_both_names_with_lists() {
        let streams = |uri: &str| asked(uri).map(|asked| asked.map(|a| (a.stdout, a.stderr)));
        assert_eq!(streams("/logs"), Ok(Some((true, true))));
        assert_eq!(streams("/logs?sources=stderr"), Ok(Some((false, true))));
        assert_eq!(streams("/logs?source=stdout%2Cstderr"), Ok(Some((true, true))));
        assert_eq!(streams("/logs?sources="), Ok(Some((true, true))));
        let refused = streams("/logs?sources=stdin").unwrap_err();
        assert_eq!(refused, "sources=stdin: expected stdout, stderr or stdout,stderr");
    }

    #[test]
    fn colours_and_json_are_chosen_as_in_logspout() {
        let form = |uri: &str, accept: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            Asked::of(&uri.parse().unwrap(), &headers).unwrap().unwrap().form
        };
        assert_eq!(form("/logs", "*/*"), Form::Text { colours: true });
        assert_eq!(form("/logs?colors=off", "*/*"), Form::Text { colours: false });
        assert_eq!(form("/logs?colors=on", "text/html"), Form::Text { colours: true });
        assert_eq!(form("/logs", "application/json"), Form::Json);
    }
}
