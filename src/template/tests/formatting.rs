//! `printf`.

use super::check;

#[test]
fn integers_have_gos_verbs_and_flags() {
    check(&[
        ("{{printf \"%d %v %5d|%-5d|%05d %+d % d\" 1 2 3 4 5 6 7}}", "1 2     3|4    |00005 +6  7"),
        (
            "{{printf \"%x %X %#x %#X %o %#o %O %b %#b\" 255 255 255 255 8 8 8 5 5}}",
            "ff FF 0xff 0XFF 10 010 0o10 101 0b101",
        ),
        (
            "{{printf \"%d %05d %.3d %8.3d|%-8.3d|%+.2d\" -1 -1 7 7 7 7}}",
            "-1 -0001 007      007|007     |+07",
        ),
        ("{{printf \"%x\" -255}}", "-ff"),
        ("{{printf \"%c%c %q %U %#U\" 97 252 97 252 252}}", "aü 'a' U+00FC U+00FC 'ü'"),
        ("{{printf \"%*d|%-*d|%*d\" 4 1 4 2 -4 3}}", "   1|2   |3   "),
        ("{{printf \"%[2]d %[1]d\" 1 2}}", "2 1"),
        ("{{printf \"%[3]d\" 1 2}}", "%!d(BADINDEX)"),
        ("{{printf \"%.0d|\" 0}}", "|"),
        ("{{printf \"%s %t\" 1 1}}", "%!s(int=1) %!t(int=1)"),
        (
            "{{printf \"%+s|%5t|%5d|%#d\" 1 1 \"a\" \"a\"}}",
            "%!s(int=+1)|%!t(int=    1)|%!d(string=    a)|%!d(string=a)",
        ),
        ("{{printf \"%+v|%+5v|%+v|% v\" 1 2 2.5 3}}", "1|    2|2.5| 3"),
        ("{{printf \"%d\" -9223372036854775808}}", "-9223372036854775808"),
    ]);
}

#[test]
fn texts_have_gos_verbs_and_flags() {
    check(&[
        (
            "{{printf \"%s %v %q %x %X\" \"a\" \"b\" \"c\\n\" \"hi\" \"hi\"}}",
            "a b \"c\\n\" 6869 6869",
        ),
        (
            "{{printf \"[%5s] [%-5s] [%.2s] [%5.1s] [%.0s]\" \"ab\" \"ab\" \"abc\" \"xyz\" \"x\"}}",
            "[   ab] [ab   ] [ab] [    x] []",
        ),
        ("{{printf \"[%3s] [%.1s]\" \"ü\" \"üa\"}}", "[  ü] [ü]"),
        ("{{printf \"% x %#x %# x\" \"abc\" \"abc\" \"abc\"}}", "61 62 63 0x616263 0x61 0x62 0x63"),
        (
            "{{printf \"%#q %#q %+q %#v\" \"a\" \"a`b\" \"ü\" \"x\"}}",
            "`a` \"a`b\" \"\\u00fc\" \"x\"",
        ),
        ("{{printf \"%q\" \"\\xff\\x00\\x7f\\u200b\\a\"}}", "\"\\xff\\x00\\x7f\\u200b\\a\""),
        ("{{printf \"%d\" \"a\"}}", "%!d(string=a)"),
        (
            "{{printf \"%s %s\" .Container.Config.Env .Labels}}",
            "[A=1 B=2] map[empty: io.kubernetes.pod.name:pod-1 source:shop]",
        ),
        ("{{printf \"%q\" .Container.Config.Env}}", "[\"A=1\" \"B=2\"]"),
        ("{{printf \"%d\" .Container.Config.Env}}", "[%!d(string=A=1) %!d(string=B=2)]"),
        (
            "{{printf \"%v %+v\" .Container.NetworkSettings.Networks .Container.NetworkSettings.Networks}}",
            "map[bridge:{172.17.0.2}] map[bridge:{IPAddress:172.17.0.2}]",
        ),
    ]);
}

#[test]
fn floats_have_gos_verbs_and_flags() {
    check(&[
        (
            "{{printf \"%f %.2f %e %.1e %g %G %v\" 1.5 1.005 1500.0 1.5 1e21 1e-7 0.1}}",
            "1.500000 1.00 1.500000e+03 1.5e+00 1e+21 1E-07 0.1",
        ),
        (
            "{{printf \"%8.2f|%-8.2f|%08.2f|%+.1f|% .1f\" 1.5 1.5 -1.5 1.5 1.5}}",
            "    1.50|1.50    |-0001.50|+1.5| 1.5",
        ),
        (
            "{{printf \"%.3g %.3g %.3g %.10g %.1g\" 1234.5 100.0 0.00001234 123456789.0 0.5}}",
            "1.23e+03 100 1.23e-05 123456789 0.5",
        ),
        (
            "{{printf \"%v %v %v %v\" 123456.0 1234567.0 0.0001 0.00001}}",
            "123456 1.234567e+06 0.0001 1e-05",
        ),
        ("{{printf \"%d %s\" 1.5 1.5}}", "%!d(float64=1.5) %!s(float64=1.5)"),
        ("{{printf \"%.0f %.0f %.0e\" 0.5 1.5 15.0}}", "0 2 2e+01"),
    ]);
}

#[test]
fn everything_else_about_formats_is_as_in_go() {
    check(&[
        ("{{printf \"%t %v %5t|\" true false true}}", "true false  true|"),
        (
            "{{printf \"%T %T %T %T %T %T %T\" 1 \"a\" 1.5 true .Labels .Time .Time.Month}}",
            "int string float64 bool map[string]string time.Time time.Month",
        ),
        ("{{printf \"100%%\"}}", "100%"),
        ("{{printf \"%d\"}}", "%!d(MISSING)"),
        ("{{printf \"%d %d\" 1}}", "1 %!d(MISSING)"),
        ("{{printf \"%d\" 1 2 \"x\"}}", "1%!(EXTRA int=2, string=x)"),
        ("{{printf \"x%\"}}", "x%!(NOVERB)"),
        ("{{printf \"%z\" 1}}", "%!z(int=1)"),
        ("{{printf \"%!\" 1}}", "%!!(int=1)"),
        ("{{printf \"%v %s %d\" nil nil nil}}", "<nil> %!s(<nil>) %!d(<nil>)"),
        ("{{printf \"%s\" .Labels.nope}}", "%!s(<nil>)"),
        ("{{printf \"%9999999d\" 1}}", "%!(BADWIDTH)1"),
        ("{{printf \"%.9999999d\" 1}}", "%!(BADPREC)1"),
        ("{{printf \"%*d\" \"a\" 1}}", "%!(BADWIDTH)1"),
        ("{{printf \"%d %s\" .Time.Month .Time.Month}}", "1 January"),
        ("{{printf 1}}", "!error calling printf: wrong type for value; expected string; got int"),
        ("{{printf \"\\xff%s\\xfe\" \"a\" | json}}", "\"\\ufffda\\ufffd\""),
    ]);
}
