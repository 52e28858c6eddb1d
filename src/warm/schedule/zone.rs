//! Time zones, from the tables that are compiled in.

use crate::clock::Stamp;
use crate::suggest::nearest;
use crate::warm::fault::PlanFault;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use std::fmt;

/// A time zone of the IANA database. Default UTC.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Reads a name, as `Europe/Berlin`, in any case of letters.
    ///
    /// # Errors
    /// [`PlanFault::Zone`], with the name that was probably meant.
    pub fn parse(name: &str) -> Result<Self, PlanFault> {
        let zones = TimeZoneDatabase::bundled();
        zones.get(name).ok().filter(|zone| !zone.is_unknown()).map(Self).ok_or_else(|| PlanFault::Zone(name.into(), meant(name, &zones)))
    }

    /// Its name, as the database spells it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// `moment` as RFC 3339 writes it, with the offset of this zone: `2026-03-01T03:00:00+01:00`. Empty for a moment beyond the year 9999.
    #[must_use]
    pub fn rfc3339(&self, moment: Stamp) -> String {
        self.at(moment).map_or_else(String::new, |moment| moment.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    }

    /// `moment` as the clocks of this zone show it, in whole seconds.
    pub(super) fn at(&self, moment: Stamp) -> Option<Zoned> {
        let seconds = i64::try_from(moment.seconds()).ok()?;
        Timestamp::from_second(seconds).ok().map(|moment| moment.to_zoned(self.0.clone()))
    }
}

/// The name that is nearest, or that ends in what was written: `berlin`.
fn meant(name: &str, zones: &TimeZoneDatabase) -> Option<String> {
    let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
    let city = name.trim().replace(' ', "_");
    let by_city = names.iter().find(|name| name.rsplit_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(&city)));
    by_city.map(String::as_str).or_else(|| nearest(name, names.iter().map(String::as_str))).map(String::from)
}

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
