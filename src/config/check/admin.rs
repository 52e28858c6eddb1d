//! `[admin]`

use super::server::socket_advice;
use crate::config::kind::quote;
use crate::config::raw::{Findings, Table};
use crate::config::secret::Secret;
use std::net::SocketAddr;

const LISTEN: &str = "admin.listen";
const TOKEN: &str = "admin.token";

/// `[admin]`: where the admin API will listen. This version checks it and serves nothing there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Default `127.0.0.1:9180`. Not a loopback address: only with a token.
    pub listen: SocketAddr,
    /// What `Authorization: Bearer` must carry; `None`: no token is asked for.
    pub token: Option<Secret>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9180)), token: None }
    }
}

pub(super) fn check(root: &Table, findings: &mut Findings) -> AdminSettings {
    let mut listen = AdminSettings::default().listen;
    if let Some(text) = root.text(LISTEN) {
        match text.parse() {
            Ok(address) => listen = address,
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
    if !listen.ip().is_loopback() && root.is_silent(TOKEN) | root.text(TOKEN).is_some_and(str::is_empty) {
        let fix = format!("set admin.token (or WARMFRONT_ADMIN__TOKEN), or listen on \"127.0.0.1:{}\"", listen.port());
        findings.fault(&root.place(LISTEN), LISTEN, format!("{listen} is open to others, and there is no token"), fix);
    }
    for key in [LISTEN, TOKEN].into_iter().filter(|key| root.text(key).is_some_and(|text| !text.is_empty())).take(1) {
        findings.warn(&root.place(key), key, "this version serves no admin API", "leave it for a later version, or remove it");
    }
    AdminSettings { listen, token: token.map(Secret::new) }
}
