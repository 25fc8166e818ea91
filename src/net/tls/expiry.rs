//! When a certificate expires. The library that judges certificates keeps that to itself.

use der::asn1::{AnyRef, ContextSpecific, GeneralizedTime, UtcTime};
use der::{Decode, SliceReader, Tag, Tagged};

/// The end of a certificate's validity (RFC 5280, section 4.1.2.5) in seconds since 1970; `None`
/// if it cannot be read.
pub(super) fn of(certificate: &[u8]) -> Option<i64> {
    let mut outer = SliceReader::new(certificate).ok()?;
    let mut whole = SliceReader::new(value(&mut outer, Tag::Sequence)?).ok()?;
    let mut fields = SliceReader::new(value(&mut whole, Tag::Sequence)?).ok()?;
    // Version, if it is not the first; serial number, algorithm, issuer.
    ContextSpecific::<AnyRef<'_>>::decode_explicit(&mut fields, der::TagNumber(0)).ok()?;
    value(&mut fields, Tag::Integer)?;
    value(&mut fields, Tag::Sequence)?;
    value(&mut fields, Tag::Sequence)?;
    let mut validity = SliceReader::new(value(&mut fields, Tag::Sequence)?).ok()?;
    AnyRef::decode(&mut validity).ok()?;
    let end = AnyRef::decode(&mut validity).ok()?;
    let since_1970 = match end.tag() {
        Tag::UtcTime => end.decode_as::<UtcTime>().ok()?.to_unix_duration(),
        Tag::GeneralizedTime => end.decode_as::<GeneralizedTime>().ok()?.to_unix_duration(),
        _ => return None,
    };
    i64::try_from(since_1970.as_secs()).ok()
}

fn value<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> Option<&'a [u8]> {
    let any = AnyRef::decode(reader).ok()?;
    (any.tag() == tag).then(|| any.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiring(year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(["logs.example.com".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 11, 23);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_ways_to_write_a_time_are_read() {
        // 2049 is the last year that is written with two digits.
        assert_eq!(of(&expiring(2049)), Some(2_521_238_400));
        assert_eq!(of(&expiring(2050)), Some(2_552_774_400));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = expiring(2030);
        for length in 0..whole.len() {
            of(&whole[..length]);
        }
        assert_eq!(of(b""), None);
        assert_eq!(of(&whole[..60]), None);
        assert_eq!(of(b"0\x82\xff\xff"), None);
    }
}
