//! Floats as Go's `strconv` writes them. Never more digits than the caller allows.

/// From this power of ten on the shortest form has an exponent. Go's strconv, ftoa.go.
const SHORTEST: i64 = 6;

/// `%e` with so many digits behind the point, or the fewest that tell the number.
pub(super) fn exponent(float: f64, precision: Option<usize>, upper: bool) -> String {
    if !float.is_finite() {
        return not_finite(float);
    }
    let text = match precision {
        Some(digits) => format!("{float:.digits$e}"),
        None => format!("{float:e}"),
    };
    let Some((digits, power)) = text.split_once('e') else { return text };
    let (sign, power) = match power.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', power),
    };
    let e = if upper { 'E' } else { 'e' };
    format!("{digits}{e}{sign}{power:0>2}")
}

/// `%f`.
pub(super) fn fixed(float: f64, precision: Option<usize>) -> String {
    if !float.is_finite() {
        return not_finite(float);
    }
    match precision {
        Some(digits) => format!("{float:.digits$}"),
        None => format!("{float}"),
    }
}

/// `%g`: the exponent only where the number is very small or large.
pub(super) fn general(float: f64, precision: Option<usize>, upper: bool) -> String {
    if !float.is_finite() {
        return not_finite(float);
    }
    let digits = precision.map(|digits| digits.max(1) - 1);
    let text = exponent(float, digits, upper);
    let Some((mantissa, power)) = text.split_once(if upper { 'E' } else { 'e' }) else {
        return text;
    };
    let power: i64 = power.parse().unwrap_or_default();
    let Some(precision) = precision.map(|precision| precision.max(1)) else {
        return if (-4..SHORTEST).contains(&power) { fixed(float, None) } else { text };
    };
    let mantissa = trimmed(mantissa);
    let count = mantissa.chars().filter(char::is_ascii_digit).count();
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let precision = i64::try_from(precision).unwrap_or(i64::MAX);
    let most = if precision > count && count > power { count } else { precision };
    if (-4..most).contains(&power) {
        return fixed(float, Some(usize::try_from(count - 1 - power).unwrap_or_default()));
    }
    let e = text.find(['e', 'E']).and_then(|at| text.get(at..)).unwrap_or_default();
    format!("{mantissa}{e}")
}

fn trimmed(mantissa: &str) -> &str {
    if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    }
}

fn not_finite(float: f64) -> String {
    let text = match (float.is_nan(), float < 0.0) {
        (true, _) => "NaN",
        (_, true) => "-Inf",
        _ => "+Inf",
    };
    text.into()
}
