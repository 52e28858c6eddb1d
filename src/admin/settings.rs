//! What can be set about the admin API.

use crate::admin::Secret;
use std::net::SocketAddr;
use std::time::Duration;

/// `[admin]`: where the admin API listens, who may ask, and when the house calls itself ready.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminSettings {
    /// Default `127.0.0.1:9180`. Not a loopback address: only with a token. Changes at a restart only.
    pub listen: SocketAddr,
    /// Whether somebody chose `listen`. The default gives way to a free port where it is taken; a chosen address that is taken is an error.
    pub chosen: bool,
    /// What `Authorization: Bearer` must carry; `None`: no token is asked for. `/healthz` and `/readyz` are answered without. Default none.
    pub token: Option<Secret>,
    /// Further names that `Host` may have, beside `localhost` and the address itself. Default none.
    pub hosts: Vec<String>,
    /// The share of the start-up plan that must be warm before `/readyz` says so, from 0 to 1. Default 0: nothing is waited for.
    pub ready_when_warm: f64,
    /// When `/readyz` says so at the latest, counted from the start. Default 60 s.
    pub ready_deadline: Duration,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9180)),
            chosen: false,
            token: None,
            hosts: Vec::new(),
            ready_when_warm: 0.0,
            ready_deadline: Duration::from_secs(60),
        }
    }
}
