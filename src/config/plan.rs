//! The memory plan: one number for the process, split before anything runs. Allocates nothing.

use std::fmt;

use crate::options::Problem;

/// Code (8 MiB of the program are touched sooner or later), runtime, TLS roots, control plane and
/// metrics: an agent that drains one log has 12 MiB resident, lanes included.
const FIXED_BYTES: u64 = 12 << 20;
/// For what a peer's process may not have read: the frames that are kept of it
/// (`deliver::REPLAY_FRAME_BYTES`), and the places in the logs from which more is read again.
const REPLAY_BYTES: u64 = 512 << 10;
/// The batch being encoded.
const BATCH_BYTES: u64 = 128 << 10;
/// Below this much a destination cannot keep its peer busy while it reads.
const LEAST_LANE_BYTES: u64 = 1 << 20;
/// Lanes get this part of what is left at most. The rest is for followers, some 10 KiB each, and
/// for what the allocator adds.
const LANE_PART: u64 = 6;
/// More would only hold in memory what the container's log holds already.
const MOST_LANE_BYTES: u64 = 8 << 20;

/// How `DOWNSPOUT_MEMORY_LIMIT` is spent. A plan that exists fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The whole process, in bytes.
    pub limit: u64,
    /// What it costs with no destination at all, in bytes.
    pub fixed: u64,
    /// What live tails may take, in bytes; 0 where they are off.
    pub tails: u64,
    /// What the lanes of a destination need at least, in bytes.
    pub least_lanes: u64,
    /// One share per destination, in the order of the routes.
    pub destinations: Vec<Share>,
}

/// What one destination may use, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The route's name.
    pub name: String,
    /// Lines read and waiting.
    pub lanes: u64,
    /// Frames sent and not acknowledged.
    pub window: u64,
    /// What is kept for a replay: the last frames, and places in the logs.
    pub replay: u64,
    /// The batch being encoded.
    pub batch: u64,
}

impl Share {
    fn without_lanes(name: String, window: usize) -> Self {
        Self { name, lanes: 0, window: window as u64, replay: REPLAY_BYTES, batch: BATCH_BYTES }
    }

    /// Everything together.
    pub fn total(&self) -> u64 {
        self.lanes + self.overhead()
    }

    fn overhead(&self) -> u64 {
        self.window + self.replay + self.batch
    }
}

impl Plan {
    /// Splits `limit` over destinations given by name and window. Refused if the lanes of one
    /// would get less than 1 MiB or less than the longest line.
    pub fn new(
        limit: u64,
        longest_line: usize,
        destinations: impl IntoIterator<Item = (String, usize)>,
    ) -> Result<Self, Problem> {
        Self::beside(0, limit, longest_line, destinations)
    }

    /// The same where live tails may take `tails` bytes.
    pub fn beside(
        tails: u64,
        limit: u64,
        longest_line: usize,
        destinations: impl IntoIterator<Item = (String, usize)>,
    ) -> Result<Self, Problem> {
        let mut shares: Vec<Share> = destinations
            .into_iter()
            .map(|(name, window)| Share::without_lanes(name, window))
            .collect();
        let count = shares.len() as u64;
        let overhead = tails + shares.iter().map(Share::overhead).sum::<u64>();
        let least = LEAST_LANE_BYTES.max(longest_line as u64);
        let lanes = limit.saturating_sub(FIXED_BYTES + overhead) / count.max(1);
        if lanes < least {
            let needed = (FIXED_BYTES + overhead + count * least).div_ceil(1 << 20);
            return Err(Problem::new(format!(
                "DOWNSPOUT_MEMORY_LIMIT={}: too little for {count} destination(s): {} fixed and {} \
                 for windows, replay and batches leave {} for the waiting lines of each, and {} is \
                 the least (1 MiB, or DOWNSPOUT_MAX_LINE_BYTES); set {needed}MiB or more, or use \
                 fewer routes or a smaller window=",
                Bytes(limit),
                Bytes(FIXED_BYTES),
                Bytes(overhead),
                Bytes(lanes),
                Bytes(least),
            )));
        }
        for share in &mut shares {
            share.lanes = (lanes / LANE_PART).min(MOST_LANE_BYTES).max(least);
        }
        Ok(Self { limit, fixed: FIXED_BYTES, tails, least_lanes: least, destinations: shares })
    }

    /// The share of one more destination, beside those of the plan and `others`. Refused if what is
    /// to spare is too little for it.
    pub fn one_more<'a>(
        &self,
        name: &str,
        window: usize,
        others: impl IntoIterator<Item = &'a Share>,
    ) -> Result<Share, Problem> {
        let mut share = Share::without_lanes(name.to_owned(), window);
        let others = others.into_iter().map(Share::total).sum::<u64>();
        let left = self.spare().saturating_sub(others);
        let lanes = left.saturating_sub(share.overhead());
        if lanes < self.least_lanes {
            return Err(Problem::new(format!(
                "DOWNSPOUT_MEMORY_LIMIT={}: too little for one more destination: it needs {} for its \
                 window, replay and batch and {} for waiting lines, and {} are to spare; raise the \
                 limit, delete a route, or use a smaller window=",
                Bytes(self.limit),
                Bytes(share.overhead()),
                Bytes(self.least_lanes),
                Bytes(left),
            )));
        }
        share.lanes = (lanes / LANE_PART).min(MOST_LANE_BYTES).max(self.least_lanes);
        Ok(share)
    }

    fn spare(&self) -> u64 {
        let shared = self.destinations.iter().map(Share::total).sum::<u64>();
        self.limit.saturating_sub(self.fixed + self.tails + shared)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} fixed", Bytes(self.limit), Bytes(self.fixed))?;
        if self.tails > 0 {
            write!(f, " + live tails {}", Bytes(self.tails))?;
        }
        for share in &self.destinations {
            let Share { name, lanes, window, replay, batch } = share;
            write!(
                f,
                " + {name} {} (lanes {}, window {}, replay {}, batch {})",
                Bytes(share.total()),
                Bytes(*lanes),
                Bytes(*window),
                Bytes(*replay),
                Bytes(*batch),
            )?;
        }
        write!(f, " + {} to spare", Bytes(self.spare()))
    }
}

// A count of bytes for people, with at most one decimal, rounded down.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            0..1_024 => return write!(f, "{} bytes", self.0),
            1_024..1_048_576 => (1 << 10, "KiB"),
            _ => (1 << 20, "MiB"),
        };
        let tenth = self.0 % unit * 10 / unit;
        match tenth {
            0 => write!(f, "{} {name}", self.0 / unit),
            _ => write!(f, "{}.{tenth} {name}", self.0 / unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn plan(limit: u64, line: usize, windows: &[usize]) -> Result<Plan, String> {
        let named = |(at, window): (usize, &usize)| (format!("r{at}"), *window);
        Plan::new(limit, line, windows.iter().enumerate().map(named))
            .map_err(|problem| problem.to_string())
    }

    #[test]
    fn the_parts_leave_room_for_the_rest_and_the_lanes_are_alike() {
        for windows in [&[256 << 10][..], &[16 << 10, 1 << 20, 99_999]] {
            let plan = plan(48 * MIB, 1 << 10, windows).unwrap();
            let shares = &plan.destinations;
            let rest = plan.limit - plan.fixed - shares.iter().map(Share::overhead).sum::<u64>();
            let lanes: u64 = shares.iter().map(|share| share.lanes).sum();
            assert!(rest / 6 - lanes < shares.len() as u64, "{plan}");
            assert!(shares.iter().all(|share| share.lanes == shares[0].lanes), "{plan}");
        }
    }

    #[test]
    fn lanes_take_no_more_than_they_need() {
        let lanes = |limit, line| plan(limit, line, &[256 << 10]).unwrap().destinations[0].lanes;
        assert_eq!(lanes(64 * MIB, 1 << 20), MOST_LANE_BYTES);
        assert_eq!(lanes(64 * MIB, 16 << 20), 16 * MIB, "the longest line must fit");
    }

    #[test]
    fn one_more_destination_gets_what_is_to_spare_until_there_is_too_little() {
        let plan = plan(32 * MIB, 1 << 20, &[256 << 10]).unwrap();
        let mut more = Vec::new();
        let refusal = loop {
            match plan.one_more("more", 256 << 10, &more) {
                Ok(share) => more.push(share),
                Err(problem) => break problem.to_string(),
            }
        };
        let used: u64 = plan.destinations.iter().chain(&more).map(Share::total).sum();
        let spare = plan.limit - plan.fixed - used;
        let needed = plan.destinations[0].overhead() + MIB;
        assert!(more.len() > 2 && spare < needed, "{} more leave {spare}", more.len());
        assert!(refusal.contains("it needs 896 KiB") && refusal.contains("and 1 MiB"), "{refusal}");
        assert!(refusal.ends_with("or use a smaller window="), "{refusal}");
    }

    #[test]
    fn live_tails_are_part_of_the_plan() {
        let with = Plan::beside(4 * MIB, 32 * MIB, 1 << 20, [("r".to_owned(), 256 << 10)]).unwrap();
        let without = plan(28 * MIB, 1 << 20, &[256 << 10]).unwrap();
        assert_eq!(with.destinations[0].lanes, without.destinations[0].lanes);
        assert_eq!(with.spare(), without.spare());
        assert!(with.to_string().starts_with("32 MiB = 12 MiB fixed + live tails 4 MiB + r "));
    }

    #[test]
    fn it_reads_as_a_sum() {
        assert_eq!(
            plan(64 * MIB, 1 << 20, &[256 << 10]).unwrap().to_string(),
            "64 MiB = 12 MiB fixed + r0 8.8 MiB (lanes 8 MiB, window 256 KiB, replay 512 KiB, \
             batch 128 KiB) + 43.1 MiB to spare"
        );
        assert_eq!(Bytes(1023).to_string(), "1023 bytes");
        assert_eq!(Bytes(MIB - 1).to_string(), "1023.9 KiB");
    }

    #[test]
    fn what_cannot_fit_is_refused_with_the_numbers_and_the_cure() {
        let windows = [256 << 10; 4];
        assert_eq!(
            plan(16 * MIB, 4096, &windows).unwrap_err(),
            "DOWNSPOUT_MEMORY_LIMIT=16 MiB: too little for 4 destination(s): 12 MiB fixed and 3.5 \
             MiB for windows, replay and batches leave 128 KiB for the waiting lines of each, and 1 \
             MiB is the least (1 MiB, or DOWNSPOUT_MAX_LINE_BYTES); set 20MiB or more, or use fewer \
             routes or a smaller window="
        );
        assert!(plan(20 * MIB, 4096, &windows).is_ok());
        // A lane that cannot hold the longest line would wait for ever.
        assert!(plan(20 * MIB, 2 << 20, &windows).is_err());
        assert!(plan(16 * MIB, 4096, &[64 << 20]).is_err());
    }
}
