//! The settings in force, and the counters of their rules: what belongs together is exchanged together.

use crate::cache::settings::Settings;
use crate::telemetry::{Requests, RuleCounts};
use std::ops::Deref;
use std::sync::Arc;

/// Settings, with the counters of their rules at hand. Reads as the [`Settings`] that it holds.
#[derive(Debug)]
pub(crate) struct InForce {
    settings: Settings,
    /// The first is for requests without a rule.
    counts: Box<[Arc<RuleCounts>]>,
}

impl InForce {
    pub(crate) fn new(settings: Settings, requests: &Requests) -> Self {
        let counts = requests.of_rules(settings.rules.iter().map(|rule| &*rule.name));
        Self { settings, counts }
    }

    /// The counters of the rule in this place.
    pub(crate) fn counts(&self, rule: Option<usize>) -> &Arc<RuleCounts> {
        let none = &self.counts[0];
        rule.map_or(none, |rule| self.counts.get(rule + 1).unwrap_or(none))
    }
}

impl Deref for InForce {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.settings
    }
}
