//! How far back in a log's file a reader has to look for what was held when a line was given out.

use crate::record::Span;

/// Where in the log's file that begins which is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// Nothing is held.
    Nowhere,
    /// At this byte.
    To(u64),
    /// In an earlier file.
    Beyond,
}

impl Back {
    /// At the first byte of a record, as far as that is known.
    pub(super) fn to(start: Option<u64>) -> Self {
        start.map_or(Self::Beyond, Self::To)
    }

    /// The earlier one of both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Beyond, _) | (_, Self::Beyond) => Self::Beyond,
            (Self::To(one), Self::To(other)) => Self::To(one.min(other)),
            (Self::Nowhere, one) | (one, Self::Nowhere) => one,
        }
    }

    /// What has to be looked at again behind a line that is given out at `end`.
    pub(super) fn span(self, end: u64) -> Span {
        match self {
            Self::Nowhere => Span::new(end, end),
            Self::To(began) => Span::new(began.min(end), end),
            Self::Beyond => Span { end, back: u32::MAX },
        }
    }

    /// The same behind everything that was read, which may be nothing of this file.
    pub(super) fn span_to(self, read_to: Option<u64>) -> Span {
        read_to.map_or(Span { end: 0, back: u32::MAX }, |end| self.span(end))
    }
}
