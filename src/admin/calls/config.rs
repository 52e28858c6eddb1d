//! `/api/cache/config`: what can be switched while it runs. A reload of the file puts everything back to what the file says.

use crate::admin::answer::Answer;
use crate::admin::asked::Asked;
use crate::admin::desk::Desk;
use crate::admin::problem::Problem;
use crate::admin::shapes::millis;
use crate::cache::settings::Settings;
use crate::warm::WarmSettings;
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The shortest and the longest interval, in milliseconds.
pub(crate) const INTERVALS: [u64; 2] = [1000, 365 * 86_400_000];
/// What is shown where nobody ever said anything.
const USUAL: Duration = Duration::from_secs(300);

/// What a switch was at before it was put off: settings that are off do not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remembered {
    interval: Option<Duration>,
    smart: Option<Smart>,
}

/// The two switches of the `[[invalidate]]` rules. Both must be on.
#[derive(Clone, Copy, Debug)]
struct Smart {
    enabled: bool,
    on_update: bool,
}

/// What a PUT says.
#[derive(Debug, Default)]
struct Change {
    enabled: Option<bool>,
    warming: Option<bool>,
    on_startup: Option<bool>,
    groups: Vec<(String, bool)>,
    refresh: Option<bool>,
    interval: Option<Duration>,
    smart: Option<bool>,
    on_update: Option<bool>,
}

pub(crate) fn get(desk: &Desk) -> Answer {
    Answer::json(&json!({ "success": true, "data": view(desk) }))
}

pub(crate) async fn put(desk: Arc<Desk>, asked: Asked) -> Result<Answer, Problem> {
    let _alone = desk.changing().await;
    let change = Change::read(&asked, &desk)?;
    let (cache, warm) = (&desk.rooms.cache, &desk.rooms.warm);
    let (mut settings, mut plan, mut remembered) =
        (Settings::clone(&cache.settings()), WarmSettings::clone(&warm.settings()), *desk.remembered.lock());
    change.apply(&mut settings, &mut plan, &mut remembered)?;
    // What may be refused goes first; the rest cannot fail.
    warm.configure(plan).await.map_err(|fault| Problem::at("", &fault.to_string()))?;
    cache.reload(settings);
    *desk.remembered.lock() = remembered;
    Ok(get(&desk))
}

impl Change {
    fn read(asked: &Asked, desk: &Desk) -> Result<Self, Problem> {
        let groups = desk.groups();
        let groups: Vec<&str> = groups.iter().map(|name| &**name).collect();
        let mut fields = asked.fields()?;
        let mut change = Self {
            enabled: fields.bool("enabled")?,
            warming: fields.bool("warming")?,
            on_startup: fields.bool("warmOnStartup")?,
            groups: fields.switches("warmItems", "group", &groups)?,
            ..Self::default()
        };
        if let Some(mut refresh) = fields.object("backgroundRefresh")? {
            change.refresh = refresh.bool("enabled")?;
            change.interval = refresh.number("intervalMs", INTERVALS[0], INTERVALS[1])?.map(Duration::from_millis);
            refresh.finish()?;
        }
        if let Some(mut smart) = fields.object("smartInvalidation")? {
            change.smart = smart.bool("enabled")?;
            change.on_update = smart.bool("autoInvalidateOnUpdate")?;
            smart.finish()?;
        }
        fields.finish()?;
        Ok(change)
    }

    fn apply(self, settings: &mut Settings, plan: &mut WarmSettings, remembered: &mut Remembered) -> Result<(), Problem> {
        if let Some(enabled) = self.enabled {
            (settings.enabled, plan.enabled) = (enabled, enabled);
        }
        if let Some(warming) = self.warming {
            if warming && !settings.enabled {
                return Err(Problem::new(StatusCode::CONFLICT, "/warming: nothing can be warmed while enabled is false"));
            }
            plan.enabled = warming;
        }
        plan.on_startup = self.on_startup.unwrap_or(plan.on_startup);
        for (name, on) in self.groups {
            plan.groups.iter_mut().filter(|group| *group.name == *name).for_each(|group| group.enabled = on);
        }
        let on = self.refresh.unwrap_or(!plan.refresh_interval.is_zero());
        let interval = self.interval.unwrap_or_else(|| interval(plan, remembered));
        plan.refresh_interval = if on { interval } else { Duration::ZERO };
        let smart = smart(settings, remembered);
        let smart = Smart { enabled: self.smart.unwrap_or(smart.enabled), on_update: self.on_update.unwrap_or(smart.on_update) };
        settings.smart_invalidation = smart.enabled && smart.on_update;
        *remembered = Remembered { interval: Some(interval), smart: Some(smart) };
        Ok(())
    }
}

/// The interval in force, or that which will be when refreshing is switched on.
fn interval(plan: &WarmSettings, remembered: &Remembered) -> Duration {
    if plan.refresh_interval.is_zero() { remembered.interval.unwrap_or(USUAL) } else { plan.refresh_interval }
}

fn smart(settings: &Settings, remembered: &Remembered) -> Smart {
    let both = Smart { enabled: settings.smart_invalidation, on_update: settings.smart_invalidation };
    // A reload may have changed what is in force since.
    remembered.smart.filter(|smart| (smart.enabled && smart.on_update) == settings.smart_invalidation).unwrap_or(both)
}

fn view(desk: &Desk) -> Value {
    let (settings, plan, remembered) = (desk.rooms.cache.settings(), desk.rooms.warm.settings(), *desk.remembered.lock());
    let smart = smart(&settings, &remembered);
    let items: Map<String, Value> = plan.groups.iter().map(|group| (String::from(&*group.name), group.enabled.into())).collect();
    json!({
        "enabled": settings.enabled,
        "warming": plan.enabled,
        "warmOnStartup": plan.on_startup,
        "warmItems": items,
        "backgroundRefresh": { "enabled": !plan.refresh_interval.is_zero(), "intervalMs": millis(interval(&plan, &remembered)) },
        "smartInvalidation": { "enabled": smart.enabled, "autoInvalidateOnUpdate": smart.on_update },
    })
}
