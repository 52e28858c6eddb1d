//! `[admin]`

use super::server::socket_advice;
use super::set;
use crate::admin::{AdminSettings, Secret};
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};

const LISTEN: &str = "admin.listen";
const TOKEN: &str = "admin.token";
const HOSTS: &str = "admin.hosts";

pub(super) fn check(root: &Table, findings: &mut Findings) -> AdminSettings {
    let mut admin = AdminSettings::default();
    if let Some(text) = root.text(LISTEN) {
        admin.chosen = true;
        match text.parse() {
            Ok(address) => admin.listen = address,
            Err(_) => {
                let fix = socket_advice(text, 9180).replace(", or \"unix:/path\"", "");
                findings.fault(&root.place(LISTEN), LISTEN, format!("{} is no address to listen on", quote(text)), fix);
            }
        }
    }
    let token = root.text(TOKEN).filter(|token| !token.is_empty());
    // RFC 6750 section 2.1: what a bearer token is made of.
    let is_token = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+/=".contains(c));
    if token.is_some_and(|token| !is_token(token)) {
        let fix = "use letters, digits and - . _ ~ + / =, as `openssl rand -base64 32` makes them";
        findings.fault(&root.place(TOKEN), TOKEN, "has characters that a bearer token cannot have", fix);
    }
    let listen = admin.listen;
    if !listen.ip().is_loopback() && root.is_silent(TOKEN) | root.text(TOKEN).is_some_and(str::is_empty) {
        let fix = format!("set admin.token (or WARMFRONT_ADMIN__TOKEN), or listen on \"127.0.0.1:{}\"", listen.port());
        findings.fault(&root.place(LISTEN), LISTEN, format!("{listen} is open to others, and there is no token"), fix);
    }
    admin.token = token.map(Secret::new);
    set(&mut admin.hosts, hosts(root, findings));
    set(&mut admin.ready_when_warm, root.fraction("admin.ready_when_warm"));
    set(&mut admin.ready_deadline, root.duration("admin.ready_deadline"));
    admin
}

/// Names alone, in lower case: the port is that of the request.
fn hosts(root: &Table, findings: &mut Findings) -> Option<Vec<String>> {
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let mut names = Vec::new();
    for (text, place) in root.list(HOSTS)? {
        if is_name(text) {
            names.push(text.to_ascii_lowercase());
        } else {
            findings.fault(place, HOSTS, format!("{} is no host name", quote(text)), "write the name alone, as \"warmfront.internal\"");
        }
    }
    Some(names)
}
