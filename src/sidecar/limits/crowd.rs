//! How many connections each client has open.

use super::client;
use ipnet::IpNet;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The open connections of each client, an IPv6 one by its /64. Has as many entries as there are connections at most; a request never asks it.
#[derive(Debug, Default)]
pub(in crate::sidecar) struct Crowd(Arc<Book>);

/// Connections by client.
type Book = Mutex<HashMap<u128, usize>>;

/// One connection among them; dropping it takes it out.
#[derive(Debug)]
pub(in crate::sidecar) struct Place(Option<(Arc<Book>, u128)>);

impl Crowd {
    /// A place for a connection from `ip`; `None` if it has `most` already. A proxy that is believed speaks for many, a Unix socket has no address:
    /// they are not counted, and with a `most` of zero nobody is.
    pub(in crate::sidecar) fn enter(&self, ip: Option<IpAddr>, most: usize, trusted: &[IpNet]) -> Option<Place> {
        let counted = ip.map(|ip| ip.to_canonical()).filter(|ip| most > 0 && !trusted.iter().any(|network| network.contains(ip)));
        let Some(ip) = counted else { return Some(Place(None)) };
        let key = client::of(ip);
        let mut open = self.0.lock();
        let here = open.entry(key).or_default();
        if *here >= most {
            return None;
        }
        *here += 1;
        drop(open);
        Some(Place(Some((self.0.clone(), key))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((open, key)) = self.0.take() else { return };
        let mut open = open.lock();
        if let Some(here) = open.get_mut(&key) {
            *here -= 1;
            if *here == 0 {
                open.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Crowd;

    #[test]
    fn a_client_has_so_many_places_and_gets_them_back() {
        let (crowd, trusted) = (Crowd::default(), ["10.0.0.0/8".parse().unwrap()]);
        let enter = |ip: &str, most| crowd.enter(Some(ip.parse().unwrap()), most, &trusted);
        let places = [enter("2001:db8::1", 2), enter("2001:db8::2", 2)];
        assert!(places.iter().all(Option::is_some) && enter("2001:db8::3", 2).is_none(), "one network is one client");
        assert!(enter("192.0.2.1", 2).is_some(), "others are not concerned");
        assert!(enter("2001:db8::4", 0).is_some(), "zero is no limit");
        let proxied: Vec<_> = (0..9).map(|_| enter("10.1.1.1", 2)).collect();
        assert!(proxied.iter().all(Option::is_some), "a proxy speaks for many");
        drop(places);
        assert!(enter("2001:db8::3", 2).is_some());
        assert!(crowd.0.lock().is_empty(), "nobody stays in the book");
    }
}
