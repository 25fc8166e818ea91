//! The functions, but for `printf`.

use super::check;

#[test]
fn comparisons_are_as_in_go() {
    check(&[
        (
            "{{eq 1 1}} {{eq 1 2}} {{eq 1 2 1}} {{eq \"a\" \"a\"}} {{eq true true}}",
            "true false true true true",
        ),
        ("{{eq .Source \"stdout\"}}", "true"),
        (
            "{{eq 1.5 1.5}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 2 1}}",
            "true true true true false true",
        ),
        ("{{lt \"a\" \"b\"}} {{lt 1.5 2.5}}", "true true"),
        ("{{eq 1 \"a\"}}", "!error calling eq: incompatible types for comparison"),
        ("{{eq 1 1.0}}", "!incompatible types for comparison"),
        ("{{eq 1 1 \"a\"}}", "true"),
        ("{{lt 1 \"a\"}}", "!error calling lt: incompatible types for comparison"),
        ("{{lt true false}}", "!error calling lt: invalid type for comparison"),
        ("{{lt .Labels .Labels}}", "!invalid type for comparison"),
        ("{{eq .Labels .Labels}}", "!non-comparable types"),
        (
            "{{eq .Nothing nil}} {{eq .Labels.nope nil}} {{eq \"a\" nil}} {{ne 1 nil}}",
            "true true false true",
        ),
        ("{{eq .Time .Time.UTC}}", "true"),
        ("{{eq .Time.Month 1}} {{lt .Time.Weekday 6}}", "true true"),
        ("{{ne 1 2 3}}", "?wrong number of args for ne: want 2 got 3"),
        ("{{eq 1}}", "?wrong number of args for eq: want at least 2 got 1"),
        ("{{not true}} {{not 0}} {{not \"\"}} {{not .Data}}", "false true true false"),
        (
            "{{and 1 0}} {{and 0 1}} {{and 1 2 3}} {{or 0 \"x\"}} {{or 0 \"\"}} {{or 1 2}}",
            "0 0 3 x  1",
        ),
        ("{{and false (index .Container.Config.Env 9)}}", "false"),
        ("{{or true (index .Container.Config.Env 9)}}", "true"),
        ("{{and true (index .Container.Config.Env 9)}}", "!index out of range: 9"),
        (
            "{{1 | and 2}} {{0 | or 0}} {{1 | or 2}} {{and}}",
            "?wrong number of args for and: want at least 1 got 0",
        ),
        ("{{1 | and 2}} {{0 | or 0}} {{1 | or 2}}", "1 0 2"),
    ]);
}

#[test]
fn len_index_and_slice_are_as_in_go() {
    check(&[
        ("{{len \"abc\"}} {{len .Container.Config.Env}} {{len .Labels}} {{len \"ü\"}}", "3 2 3 2"),
        ("{{len 3}}", "!error calling len: len of type int"),
        ("{{len nil}}", "!len of nil pointer"),
        ("{{index .Container.Config.Env 1}}", "B=2"),
        ("{{index .Container.Config.Env 2}}", "!error calling index: index out of range: 2"),
        ("{{index .Container.Config.Env -1}}", "!index out of range: -1"),
        ("{{index .Container.Config.Env \"x\"}}", "!cannot index slice/array with type string"),
        ("{{index .Container.Config.Env 1.0}}", "!cannot index slice/array with type float64"),
        ("{{index .Container.Config.Env nil}}", "!cannot index slice/array with nil"),
        ("{{index .Labels 1}}", "!value has type int; should be string"),
        ("{{index .Labels nil}}", "!value is nil; should be of type string"),
        ("{{index \"abc\" 1}}", "98"),
        ("{{index .Container \"Name\"}}", "!can't index item of type struct"),
        ("{{index 1 1}}", "!can't index item of type int"),
        ("{{index .Nothing 1}}", "!index of untyped nil"),
        ("{{index .Data}}", "hello"),
        ("{{index .Free \"a\" \"b\" \"c\"}}", "1"),
        ("{{index .Container.NetworkSettings.Networks \"x\"}}", "<no value>"),
        ("{{index .Container.Config.Volumes \"x\"}}", ""),
        (
            "{{slice \"abcd\" 1 3}} {{slice \"abcd\" 2}} {{slice \"abcd\"}} {{slice \"abcd\" 4}}",
            "bc cd abcd ",
        ),
        ("{{slice \"abc\" 5}}", "!error calling slice: index out of range: 5"),
        ("{{slice \"abc\" 2 1}}", "!invalid slice index: 2 > 1"),
        ("{{slice \"abc\" 0 1 2}}", "!cannot slice string with 3 indexes"),
        ("{{slice .Container.Config.Env 1}}", "[B=2]"),
        ("{{slice .Container.Config.Env 0 1 2}}", "[A=1]"),
        ("{{slice .Labels 1}}", "!can't slice item of type map[string]string"),
        ("{{slice nil}}", "!slice of untyped nil"),
        ("{{slice (print \"ab\" \"cd\") 1 2}}", "b"),
    ]);
}

#[test]
fn print_and_the_escapes_are_as_in_go() {
    check(&[
        ("{{print}}", ""),
        ("{{print 1 2}} {{print \"a\" \"b\"}} {{print 1 \"a\" 2 3}}", "1 2 ab 1a2 3"),
        ("{{print .Labels.nope}}", "<nil>"),
        ("{{println 1 \"a\"}}", "1 a\n"),
        ("{{println}}", "\n"),
        ("{{print 1.0 true}}", "1 true"),
        ("{{html \"<a href='x'>&\\\"\\x00\"}}", "&lt;a href=&#39;x&#39;&gt;&amp;&#34;\u{FFFD}"),
        ("{{html 1 2}}", "1 2"),
        (
            "{{js \"It'd be \\\"nice\\\" <&=>\\n\\\\ü\"}}",
            "It\\'d be \\\"nice\\\" \\u003C\\u0026\\u003D\\u003E\\u000A\\\\ü",
        ),
        ("{{js \"\\u2028\"}}", "\\u2028"),
        ("{{html .Labels.nope}} {{html .Labels.nope 1}}", "&lt;no value&gt; &lt;no value&gt;1"),
        ("{{urlquery .Labels.nope}} {{js .Labels.nope}}", "%3Cno+value%3E \\u003Cno value\\u003E"),
        ("{{urlquery \"http://www.example.org/ ü~\"}}", "http%3A%2F%2Fwww.example.org%2F+%C3%BC~"),
        ("{{call .Data}}", "!error calling call: no field is a function"),
    ]);
}

#[test]
fn json_is_written_as_go_writes_it() {
    check(&[
        (
            "{{json \"<a>&\\\"\\\\\\n\\r\\t\\x01\\b\\f\\u2028\\u2029ü\"}}",
            r#""\u003ca\u003e\u0026\"\\\n\r\t\u0001\b\f\u2028\u2029ü""#,
        ),
        ("{{json \"\\xff\\x41\"}}", r#""\ufffdA""#),
        ("{{json .Labels}}", r#"{"empty":"","io.kubernetes.pod.name":"pod-1","source":"shop"}"#),
        ("{{json .Container.Config.Env}}", r#"["A=1","B=2"]"#),
        ("{{json .Free}}", r#"{"a":{"b":{"c":1}},"list":[1,2.5,"x",null,true],"n":null}"#),
        ("{{json .Time}}", r#""2026-01-02T15:04:05.12Z""#),
        (
            "{{json .Time.Month}} {{json true}} {{json nil}} {{json 1e21}} {{json 1e20}} {{json 1e-7}}",
            "1 true null 1e+21 100000000000000000000 1e-7",
        ),
        (
            "{{toJSON .}}",
            r#"{"Source":"stdout","Data":"hello","Labels":{"empty":"","io.kubernetes.pod.name":"pod-1","source":"shop"}}"#,
        ),
    ]);
}

#[test]
fn texts_are_cut_joined_and_changed() {
    check(&[
        ("{{join .Container.Config.Env \",\"}}", "A=1,B=2"),
        ("{{join (split \"a.b.c\" \".\") \"-\"}}", "a-b-c"),
        (
            "{{split \"a,b,\" \",\"}} {{len (split \"\" \",\")}} {{split \"aü\" \"\"}} {{len (split \"\" \"\")}}",
            "[a b ] 1 [a ü] 0",
        ),
        (
            "{{splitN \"a,b,c\" \",\" 2}} {{len (splitN \"a\" \",\" 0)}} {{splitN \"a,b\" \",\" -1}}",
            "[a b,c] 0 [a b]",
        ),
        (
            "{{join .Data \",\"}}",
            "!error calling join: wrong type for value; expected a list; got string",
        ),
        ("{{join .Container.Config.Cmd \",\"}}", ""),
        ("{{join .Labels \",\"}}", "!expected a list"),
        ("{{join .Empty \",\"}}", "!expected a list"),
        ("{{join 0 \",\"}}", "!expected a list"),
        ("{{join .Container.Config.Env 1}}", "!wrong type for value; expected string; got int"),
        (
            "{{replace \"aXbXc\" \"X\" \"--\"}} {{replace \"aaa\" \"a\" \"b\" 2}} {{replace \"ab\" \"\" \"-\"}}",
            "a--b--c bba -a-b-",
        ),
        ("{{upper \"aü\"}} {{toUpper \"a\"}} {{lower \"AÜ\"}} {{toLower \"A\"}}", "AÜ A aü a"),
        ("{{upper \"ßﬁŉ\"}} {{lower \"İΑΣ\"}}", "ßﬁŉ iασ"),
        (
            "{{title \"shop-web 1st éa_b.c\"}} [{{pad \"a\" 1 2}}{{pad .Empty 1 2}}] {{truncate .Data 2}} {{truncate \"é\" 5}}",
            "Shop-Web 1st Éa_b.C [ a  ] he é",
        ),
        ("{{truncate .Data -1}}", "!error calling truncate: -1 is no length"),
        ("{{pad .Data 1000000 0}}", "!too much text on the way"),
        ("[{{trim \" a \\n\"}}] {{trim \"--a-\" \"-\"}}", "[a] a"),
        (
            "{{trimPrefix .Container.Name \"/\"}} {{trimSuffix \"a.b\" \".b\"}} {{trimPrefix \"a\" \"x\"}}",
            "shop.web.1 a a",
        ),
        (
            "{{hasPrefix \"ab\" \"a\"}} {{hasSuffix \"ab\" \"a\"}} {{contains \"abc\" \"b\"}} {{contains \"abc\" \"x\"}}",
            "true false true false",
        ),
        (
            "{{default \"x\" .Empty}} {{default \"x\" .Data}} {{.Labels.nope | default \"y\"}}",
            "x hello y",
        ),
        ("{{upper .Labels.nope}}|", "|"),
        ("{{upper 1}}", "!error calling upper: wrong type for value; expected string; got int"),
        ("{{env \"APP\"}} {{\"APP\" | env}} {{env \"X\"}}|", "checkout checkout |"),
        ("{{label \"source\"}} {{label \"nope\"}}|", "shop |"),
        ("{{env 1}}", "!error calling env: wrong type"),
    ]);
}
