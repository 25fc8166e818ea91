//! The line itself, nothing else. Never says which container it came from.
//!
//! With octet counting an empty line becomes the count `0`, which RFC 6587 does not know; line
//! feeds, the default for this format, carry it. A receiver that guesses the framing can take a
//! line that starts with digits for a count: this format is not for syslog receivers.

use super::{Format, Header, Prepared};
use crate::record::Container;

#[derive(Debug)]
pub(super) struct Raw;

impl Format for Raw {
    fn prepare(&self, _: &Container) -> Prepared {
        Prepared::new(|_| Header::default())
    }
}
