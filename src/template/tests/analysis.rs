//! What is known of a template before it is rendered.

use super::super::*;

fn fields(template: &str) -> Vec<String> {
    let template = Template::parse(template, None).unwrap();
    template.fields().iter().map(|chain| chain.join(".")).collect()
}

#[test]
fn fields_are_the_chains_that_start_at_the_message() {
    for (template, wanted) in [
        ("text", &[][..]),
        ("{{.Data}}{{.Data}}", &["Data"]),
        ("{{.Container.Config.Hostname}}", &["Container.Config.Hostname"]),
        ("{{index .Container.Config.Labels \"x\"}}", &["Container.Config.Labels"]),
        ("{{with .Container.Config}}{{.Image}}{{.Env}}{{end}}", &["Container.Config"]),
        (
            "{{range .Container.Config.Env}}{{.}}{{$.Source}}{{end}}",
            &["Container.Config.Env", "Source"],
        ),
        ("{{with .A}}{{.B}}{{else}}{{.C}}{{end}}", &["A", "C"]),
        ("{{if .A}}{{.B}}{{else if .C}}{{.D}}{{else}}{{.E}}{{end}}", &["A", "B", "C", "D", "E"]),
        ("{{$x := .Container}}{{$x.Name}}", &["Container"]),
        ("{{.}}", &[""]),
        ("{{$}}", &[""]),
        ("{{with $}}{{.Secret}}{{end}}", &[""]),
        ("{{(.).Secret}}", &[""]),
        ("{{$x := $}}{{$x.Secret}}", &[""]),
        ("{{json .}}", &[""]),
        ("{{printf \"%s\" (printf \"%s\" .A.B)}}", &["A.B"]),
        ("{{.ContainerNameSplitN \".\" 2}}", &["ContainerNameSplitN"]),
        ("{{.Time.Format \"2006\"}}", &["Time.Format"]),
        ("{{.A | printf \"%s%s\" .B}}", &["A", "B"]),
    ] {
        assert_eq!(fields(template), wanted, "{template}");
    }
}

#[test]
fn calls_are_named_with_the_literal_that_they_are_given() {
    let call = |name: &str, literal: Option<&str>| Invocation {
        name: name.into(),
        literal: literal.map(Into::into),
    };
    for (template, wanted) in [
        ("{{.Data}}", vec![]),
        ("{{env \"APP\"}}", vec![call("env", Some("APP"))]),
        ("{{\"APP\" | env}}", vec![call("env", Some("APP"))]),
        ("{{env .Data}}", vec![call("env", None)]),
        ("{{.Data | env}}", vec![call("env", None)]),
        ("{{$x := \"APP\"}}{{env $x}}", vec![call("env", None)]),
        ("{{print (env \"A\")}}", vec![call("env", Some("A")), call("print", None)]),
        ("{{.env \"A\"}}", vec![call("env", Some("A"))]),
        ("{{with $}}{{\"A\" | .env}}{{end}}", vec![call("env", Some("A"))]),
        ("{{.Lbl \"a\"}}", vec![call("Lbl", Some("a"))]),
        ("{{with $}}{{.Lbl \"a\"}}{{end}}", vec![call("Lbl", Some("a"))]),
        (
            "{{range 1}}{{$.Lbl \"a\"}}{{else}}{{env \"b\"}}{{end}}",
            vec![call("Lbl", Some("a")), call("env", Some("b"))],
        ),
        ("{{if env \"a\"}}{{end}}{{env \"a\"}}", vec![call("env", Some("a"))]),
    ] {
        assert_eq!(Template::parse(template, None).unwrap().calls(), wanted, "{template}");
    }
}

#[test]
fn a_template_of_nothing_but_text_is_constant() {
    for (template, wanted) in [
        ("", Some("")),
        ("a b", Some("a b")),
        ("a{{/* x */}}b", Some("ab")),
        ("{{- /* x */ -}}", Some("")),
        ("{{`a`}}", None),
        ("{{.Data}}", None),
    ] {
        let parsed = Template::parse(template, None).unwrap();
        assert_eq!(parsed.constant(), wanted, "{template}");
        assert_eq!(parsed.text(), template);
    }
}

#[test]
fn every_function_has_a_help_that_begins_with_its_name() {
    for function in FUNCTIONS {
        let Function { name, help, .. } = function;
        assert!(help.ends_with('.') && help.starts_with(name), "{name}: {help}");
        let same = FUNCTIONS.iter().filter(|other| other.name == *name).count();
        assert_eq!(same, 1, "{name}");
    }
}
