//! What active checks have found out about one origin.

use crate::sidecar::settings::HealthSettings;

/// Healthy until checks say otherwise.
#[derive(Debug, Default)]
pub(super) struct Checkup {
    unhealthy: bool,
    /// Checks in a row that contradict this.
    against: u32,
}

impl Checkup {
    /// Without checks everybody is healthy.
    pub(super) const fn is_healthy(&self, settings: &HealthSettings) -> bool {
        settings.path.is_none() || !self.unhealthy
    }

    /// What one check has found; what it is now, if that has changed.
    pub(super) const fn record(&mut self, good: bool, settings: &HealthSettings) -> Option<bool> {
        if good != self.unhealthy {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.against < if good { settings.healthy_after } else { settings.unhealthy_after } {
            return None;
        }
        (self.unhealthy, self.against) = (!good, 0);
        Some(good)
    }

    /// Checks have been switched off: what they said is forgotten.
    pub(super) const fn forget(&mut self) {
        (self.unhealthy, self.against) = (false, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Checkup;
    use crate::sidecar::settings::HealthSettings;
    use http::uri::PathAndQuery;

    #[test]
    fn so_many_checks_in_a_row_change_it() {
        let path = Some(PathAndQuery::from_static("/healthz"));
        let settings = HealthSettings { path, unhealthy_after: 2, healthy_after: 3, ..HealthSettings::default() };
        let mut checkup = Checkup::default();
        let mut healthy = Vec::new();
        for good in [false, true, false, false, true, true, false, true, true, true] {
            checkup.record(good, &settings);
            healthy.push(checkup.is_healthy(&settings));
        }
        assert_eq!(healthy, [true, true, true, false, false, false, false, false, false, true]);
        checkup.record(false, &settings);
        assert_eq!(checkup.record(false, &settings), Some(false));
        assert!(checkup.is_healthy(&HealthSettings::default()), "nobody checks");
        checkup.forget();
        assert!(checkup.is_healthy(&settings));
    }
}
