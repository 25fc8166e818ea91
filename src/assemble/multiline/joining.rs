//! Whether lines of one container are joined, and how: what the route says, unless the container
//! asks for something else. Never knows where a container's words come from.

use super::{Form, Multiline, Preset};

/// So much of a container's word is repeated when it is refused, in characters.
const SHOWN_CHARACTERS: usize = 40;

/// How a route joins lines: those of containers that say nothing, and those of containers that ask.
#[derive(Debug, Clone)]
pub struct Joining {
    by_default: Option<Multiline>,
    /// `None` if no container may ask for it.
    on_request: Option<Multiline>,
}

impl Joining {
    /// Joins the lines of all containers, unless one asks for something else.
    pub fn always(multiline: Multiline) -> Self {
        Self { by_default: Some(multiline.clone()), on_request: Some(multiline) }
    }

    /// Joins the lines of containers that ask for it, and no others.
    pub fn on_request(multiline: Multiline) -> Self {
        Self { by_default: None, on_request: Some(multiline) }
    }

    /// Joins no lines, whoever asks for it.
    pub fn never() -> Self {
        Self { by_default: None, on_request: None }
    }

    /// What holds for a container that says nothing; `None` if its lines are not joined.
    pub fn by_default(&self) -> Option<&Multiline> {
        self.by_default.as_ref()
    }

    /// What holds for a container with this label and this variable; `None` if its lines are not
    /// joined. The label wins, and is `on`, `off` or a preset's name; any other is an error that
    /// names them. The variable is `true` or `false`; any other says nothing, as in logspout. Case
    /// does not count.
    pub fn for_container(
        &self,
        label: Option<&str>,
        variable: Option<&str>,
    ) -> Result<Option<Multiline>, String> {
        let Some(label) = label else {
            let variable = variable.unwrap_or_default();
            return Ok(match () {
                () if variable.eq_ignore_ascii_case("true") => self.on_request.clone(),
                () if variable.eq_ignore_ascii_case("false") => None,
                () => self.by_default.clone(),
            });
        };
        match label.trim().to_ascii_lowercase().as_str() {
            "on" | "true" => Ok(self.on_request.clone()),
            "off" | "false" => Ok(None),
            name => match Preset::parse(name) {
                Some(preset) => {
                    let multiline = self.on_request.as_ref();
                    Ok(multiline.map(|multiline| multiline.of_form(Form::Preset(preset))))
                }
                None => Err(refusal(label)),
            },
        }
    }
}

fn refusal(label: &str) -> String {
    let shown: String = label.chars().take(SHOWN_CHARACTERS).collect();
    let names: Vec<_> = Preset::NAMES.iter().map(|(name, _)| *name).collect();
    format!("{shown:?} is no way to join lines; write one of on, off, {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::assemble::Pattern;

    fn shown(multiline: Option<&Multiline>) -> String {
        multiline.map_or_else(String::new, |multiline| format!("{:?}", multiline.0))
    }

    #[test]
    fn who_looks_at_lines_gets_them_as_they_were_printed() {
        let never = Joining::never();
        for (label, variable) in [(None, Some("true")), (Some("on"), None), (Some("java"), None)] {
            assert!(never.for_container(label, variable).unwrap().is_none(), "{label:?}");
        }
        assert!(never.for_container(Some("x"), None).is_err());
    }

    #[test]
    fn a_label_wins_over_the_variable_which_wins_over_the_route() {
        let pattern = Pattern::parse("^x").unwrap();
        let route = Multiline::new(pattern, Duration::from_secs(7)).of_lines(9).separated_by(b"|");
        let java = route.of_form(Form::Preset(Preset::Java));
        let (own, none) = (Some(&route), None);
        for (label, variable, always, on_request) in [
            (None, None, own, none),
            (None, Some("true"), own, own),
            (None, Some("TRUE"), own, own),
            (None, Some("False"), none, none),
            (None, Some("yes"), own, none),
            (None, Some(""), own, none),
            (Some("on"), Some("false"), own, own),
            (Some(" Off "), Some("true"), none, none),
            (Some("Java"), Some("false"), Some(&java), Some(&java)),
        ] {
            for (joining, wanted) in [
                (Joining::always(route.clone()), always),
                (Joining::on_request(route.clone()), on_request),
            ] {
                let got = joining.for_container(label, variable).unwrap();
                assert_eq!(shown(got.as_ref()), shown(wanted), "{label:?} {variable:?}");
            }
        }
    }

    #[test]
    fn an_unknown_label_is_refused_with_all_that_are_known() {
        let joining =
            Joining::on_request(Multiline::new(Form::Preset(Preset::Auto), Duration::from_secs(1)));
        let said = joining.for_container(Some("cobol\n"), None).unwrap_err();
        let known = "on, off, java, python, go, node, dotnet, ruby, php, auto";
        assert_eq!(said, format!("\"cobol\\n\" is no way to join lines; write one of {known}"));
        let hostile = "\u{1f600}".repeat(1 << 20);
        assert!(joining.for_container(Some(&hostile), None).unwrap_err().len() < 300);
    }
}
