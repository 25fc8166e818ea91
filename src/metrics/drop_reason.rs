//! The reasons for which a line is given up.

/// Why a line that was read is not delivered. A closed set: every reason has a series from the
/// start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The peer said that it will never take this frame.
    Rejected,
    /// There was no log to return to and no room to keep the line.
    Overflow,
    /// The drain time was over and the source cannot be read again.
    Shutdown,
    /// It was to be read again, and the container's log no longer has it.
    Rotated,
    /// It was printed longer ago than the peer takes.
    TooOld,
    /// It was printed longer ago than the peer is set to keep.
    Expired,
    /// Its stamp lies further in the future than the peer takes.
    TooNew,
    /// It has no text, and the peer takes no event without.
    Empty,
    /// Its container printed more than its label says that it may send.
    Rate,
}

impl DropReason {
    pub(super) const ALL: [Self; 9] = [
        Self::Rejected,
        Self::Overflow,
        Self::Shutdown,
        Self::Rotated,
        Self::TooOld,
        Self::Expired,
        Self::TooNew,
        Self::Empty,
        Self::Rate,
    ];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Overflow => "overflow",
            Self::Shutdown => "shutdown",
            Self::Rotated => "rotated",
            Self::TooOld => "too_old",
            Self::Expired => "expired",
            Self::TooNew => "too_new",
            Self::Empty => "empty",
            Self::Rate => "rate",
        }
    }
}
