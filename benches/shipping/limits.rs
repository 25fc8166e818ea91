//! What a figure may be at most, and whether it was. Never stops a bench.

use std::fmt;

use serde_json::{Value, json};

use super::table::shown;

/// A limit that downspout has.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    /// Of which row, and of which figure.
    pub(crate) what: String,
    /// What was measured.
    pub(crate) value: Option<f64>,
    /// What it may be at most; `None` if it depends on a row that was not measured.
    pub(crate) most: Option<f64>,
    /// Digits behind the point.
    pub(crate) digits: usize,
}

impl Limit {
    pub(crate) fn verdict(&self) -> &'static str {
        match self.value.zip(self.most) {
            Some((value, most)) if value <= most => "met",
            Some(_) => "MISSED",
            None => "unknown",
        }
    }

    /// What it may be at most, and what it was.
    pub(crate) fn figures(&self) -> [String; 2] {
        [self.most, self.value].map(|figure| shown(figure, self.digits))
    }

    pub(crate) fn json(&self) -> Value {
        let Self { what, value, most, .. } = self;
        json!({ "what": what, "at_most": most, "measured": value, "verdict": self.verdict() })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [most, value] = self.figures();
        write!(f, "{} at most {most}: {value}, {}", self.what, self.verdict())
    }
}
