//! How well a request is framed, in the tiers of AWS's desync mitigation: compliant, acceptable (odd but
//! harmless), ambiguous (two servers may frame it differently), severe.
//!
//! Sources: the classification table of the Application Load Balancer's user guide and the reference
//! implementation's documentation. What cannot be parsed at all is severe in every mode.

use crate::config::DesyncMode;

/// See the module. Later is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Compliant,
    Acceptable,
    Ambiguous,
    Severe,
}

impl Tier {
    /// As the access log has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Tier::Compliant => "Compliant",
            Tier::Acceptable => "Acceptable",
            Tier::Ambiguous => "Ambiguous",
            Tier::Severe => "Severe",
        }
    }

    /// Whether a mode lets requests of this tier through.
    pub(crate) fn passes(self, mode: DesyncMode) -> bool {
        match mode {
            DesyncMode::Monitor => true,
            DesyncMode::Defensive => self < Tier::Severe,
            DesyncMode::Strictest => self == Tier::Compliant,
        }
    }
}

/// A tier and its reason, in the access log's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub tier: Tier,
    pub reason: &'static str,
}

impl Verdict {
    pub(crate) const COMPLIANT: Verdict = Verdict { tier: Tier::Compliant, reason: "" };

    pub(crate) const fn new(tier: Tier, reason: &'static str) -> Verdict {
        Verdict { tier, reason }
    }

    /// The worse of two; of equals the first.
    pub(crate) fn or(self, other: Verdict) -> Verdict {
        if other.tier > self.tier { other } else { self }
    }

    /// Whether the connections the request came and went by must end with it.
    pub(crate) fn ends_connections(self, mode: DesyncMode) -> bool {
        mode != DesyncMode::Monitor && self.tier >= Tier::Ambiguous
    }
}
