//! The place in a URI: a host name, an IPv4 or IPv6 address, a port. Never resolves anything.

use std::net::{Ipv4Addr, Ipv6Addr};

/// RFC 1035 section 2.3.4, with a final dot.
const MAX_HOST_BYTES: usize = 254;

/// Splits `HOST[:PORT]`: a name, an IPv4 address, or an IPv6 address in brackets, which loses them.
pub(crate) fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    if let Some(inside) = authority.strip_prefix('[') {
        let (address, after) =
            inside.split_once(']').ok_or("the IPv6 address has no closing ']'")?;
        let port = match after.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if after.is_empty() => None,
            None => return Err(format!("after ']' comes ':' and the port, not '{after}'")),
        };
        return Ok((ipv6(address)?, port));
    }
    let (host, digits) =
        authority.split_once(':').map_or((authority, None), |(host, digits)| (host, Some(digits)));
    if digits.is_some_and(|digits| digits.contains(':')) {
        return Err(format!("an IPv6 address needs brackets: [{authority}]"));
    }
    let port = digits.map(port).transpose()?;
    Ok((host_name(host)?, port))
}

fn port(digits: &str) -> Result<u16, String> {
    let number =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u16>().ok());
    number
        .flatten()
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("port '{digits}' is not a number from 1 to 65535"))
}

// With the scope of a link-local address behind '%', which RFC 6874 writes as %25.
fn ipv6(text: &str) -> Result<String, String> {
    let (address, scope) =
        text.split_once('%').map_or((text, None), |(address, scope)| (address, Some(scope)));
    let wrong = || format!("'[{text}]' is not an IPv6 address");
    address.parse::<Ipv6Addr>().map_err(|_| wrong())?;
    let Some(scope) = scope else {
        return Ok(address.to_ascii_lowercase());
    };
    let scope = scope.strip_prefix("25").filter(|scope| !scope.is_empty()).unwrap_or(scope);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if scope.is_empty() || !scope.chars().all(plain) {
        return Err(wrong());
    }
    Ok(format!("{}%{scope}", address.to_ascii_lowercase()))
}

fn host_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("the host is missing".into());
    }
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if let Some(odd) = text.chars().find(odd) {
        return Err(format!(
            "the host holds '{}'; a host name has letters, digits, '-' and '.' only",
            odd.escape_debug()
        ));
    }
    let mut labels = text.strip_suffix('.').unwrap_or(text).split('.');
    if text.len() > MAX_HOST_BYTES
        || labels.clone().any(|label| label.is_empty() || label.len() > 63)
    {
        return Err(format!(
            "'{text}' is not a host name; a label between dots has 1 to 63 letters"
        ));
    }
    // A name whose last label is a number can only be meant as an address (RFC 3696 section 2).
    let number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    if labels.next_back().is_some_and(number) && text.parse::<Ipv4Addr>().is_err() {
        return Err(format!("'{text}' is not an IPv4 address"));
    }
    Ok(text.to_ascii_lowercase())
}
