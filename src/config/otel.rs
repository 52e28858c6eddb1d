//! What the environment says about spans: the standard variables of OpenTelemetry, which have no keys here.

use super::raw::Findings;

/// Where spans go; `None`: nowhere.
#[cfg(feature = "otel")]
pub(super) fn read(env: &[(String, String)], findings: &mut Findings) -> Option<crate::sidecar::otlp::OtlpSettings> {
    let of = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    match crate::sidecar::otlp::OtlpSettings::from_env(of) {
        Ok((settings, warnings)) => {
            warnings.into_iter().for_each(|fault| findings.warn(&super::Place::Environment(fault.name), "", fault.found, fault.fix));
            settings
        }
        Err(faults) => {
            faults.into_iter().for_each(|fault| findings.fault(&super::Place::Environment(fault.name), "", fault.found, fault.fix));
            None
        }
    }
}

/// Warns of an endpoint that nothing will be sent to.
#[cfg(not(feature = "otel"))]
pub(super) fn warn(env: &[(String, String)], findings: &mut Findings) {
    if let Some((name, _)) =
        env.iter().find(|(name, value)| crate::telemetry::span::ENDPOINTS.contains(&&**name) && !value.trim().is_empty())
    {
        let found = "is set, but this warmfront was built without the feature `otel`: no span is sent";
        findings.warn(&super::Place::Environment(name.clone()), "", found, "build it with --features otel, or take the variable away");
    }
}
