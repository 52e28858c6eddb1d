//! What all spans have in common: the service that they are of, what the user says of it, and what speaks.

use crate::sidecar::otlp::list::entries;

/// The attributes by name, each once: of those that come twice the last one counts, and nobody but us says what speaks. The service's name counts by its
/// own variable first. With them the first entry of `attributes` that is none, counted from one: of a list with a fault nothing counts (specification,
/// "Resource SDK").
pub(super) fn resource(service: Option<String>, attributes: &str) -> (Vec<(String, String)>, Option<usize>) {
    let mut resource = Vec::new();
    let mut wrong = None;
    for (at, (key, value)) in entries(attributes).enumerate() {
        match value {
            Some(value) if !key.is_empty() => set(&mut resource, &key, value),
            _ => wrong = wrong.or(Some(at + 1)),
        }
    }
    if wrong.is_some() {
        resource.clear();
    }
    let named = resource.iter().any(|(key, _)| key == "service.name");
    if let Some(name) = service.or_else(|| (!named).then(|| "warmfront".to_owned())) {
        set(&mut resource, "service.name", name);
    }
    for (key, value) in [("name", "warmfront"), ("language", "rust"), ("version", env!("CARGO_PKG_VERSION"))] {
        set(&mut resource, &format!("telemetry.sdk.{key}"), value.to_owned());
    }
    (resource, wrong)
}

fn set(resource: &mut Vec<(String, String)>, key: &str, value: String) {
    resource.retain(|(known, _)| known != key);
    resource.push((key.to_owned(), value));
}

#[cfg(test)]
mod tests {
    use super::resource;

    fn said(service: Option<&str>, attributes: &str) -> Vec<(String, String)> {
        let (resource, wrong) = resource(service.map(str::to_owned), attributes);
        assert_eq!(wrong, None);
        resource
    }

    fn of<'a>(resource: &'a [(String, String)], key: &str) -> Vec<&'a str> {
        resource.iter().filter(|(known, _)| known == key).map(|(_, value)| &**value).collect()
    }

    #[test]
    fn what_is_said_last_counts_and_only_we_say_what_speaks() {
        let all = said(None, "a=1, b = %C3%A4 ,a=2,telemetry.sdk.name=other,service.name=x,service.name=y");
        assert_eq!(["a", "b", "telemetry.sdk.name", "service.name"].map(|key| of(&all, key)), [["2"], ["ä"], ["warmfront"], ["y"]]);
        assert_eq!(of(&said(Some("front"), "service.name=not"), "service.name"), ["front"]);
        assert_eq!(of(&said(None, ""), "service.name"), ["warmfront"]);
    }

    #[test]
    fn of_a_list_with_a_fault_nothing_counts() {
        for (list, wrong) in [("a=1,b", 2), ("=1", 1), ("a=1,,b=2,c=%ff,d", 3)] {
            let (rest, at) = resource(None, list);
            let left = ["a", "service.name", "telemetry.sdk.name"].map(|key| of(&rest, key).len());
            assert_eq!((at, left), (Some(wrong), [0, 1, 1]), "{list}");
        }
    }
}
