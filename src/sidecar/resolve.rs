//! Names of upstreams, and what they were known to mean.

use hyper_util::client::legacy::connect::dns::Name;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
use tower_service::Service;

/// How long a failure answers for the resolver: a crowd before a dead name server waits for it once.
const FAILURE: Duration = Duration::from_secs(1);

/// The system's resolver, with a memory: when it fails, the addresses of the last time serve. The names are those of the settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolve(Arc<Mutex<HashMap<String, Known>>>);

/// What is known of a name.
#[derive(Debug, Default)]
struct Known {
    addresses: Vec<SocketAddr>,
    failed: Option<(Instant, String)>,
}

impl Service<Name> for Resolve {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let names = self.0.clone();
        Box::pin(async move {
            let before = names.lock().get(name.as_str()).and_then(|known| known.lately(Instant::now()));
            if let Some(answer) = before {
                return answer.map(Vec::into_iter);
            }
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>);
            names.lock().entry(name.as_str().to_owned()).or_default().learn(found, Instant::now()).map(Vec::into_iter)
        })
    }
}

impl Known {
    /// The answer without asking again, if asking has just failed.
    fn lately(&self, now: Instant) -> Option<io::Result<Vec<SocketAddr>>> {
        self.failed.as_ref().filter(|(at, _)| now.saturating_duration_since(*at) < FAILURE).map(|_| self.otherwise())
    }

    /// What the resolver has `found` is the answer, or else what was known before.
    fn learn(&mut self, found: io::Result<Vec<SocketAddr>>, now: Instant) -> io::Result<Vec<SocketAddr>> {
        let why = match found {
            Ok(addresses) if !addresses.is_empty() => {
                *self = Self { addresses, failed: None };
                return Ok(self.addresses.clone());
            }
            Ok(_) => "the name has no address".into(),
            Err(error) => error.to_string(),
        };
        self.failed = Some((now, why));
        self.otherwise()
    }

    fn otherwise(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.failed {
            Some((_, why)) if self.addresses.is_empty() => Err(io::Error::other(why.clone())),
            _ => Ok(self.addresses.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FAILURE, Known};
    use std::io;
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn old_addresses_serve_while_the_resolver_fails() {
        let (mut known, address, now) = (Known::default(), "127.0.0.1:0".parse().unwrap(), Instant::now());
        let down = || Err(io::Error::other("down"));
        assert!(known.learn(down(), now).is_err());
        assert_eq!(known.learn(Ok(vec![address]), now).unwrap(), [address]);
        assert_eq!(known.learn(down(), now).unwrap(), [address]);
        assert_eq!(known.learn(Ok(vec![]), now).unwrap(), [address]);
        assert!(Known::default().learn(Ok(vec![]), now).is_err());
    }

    #[test]
    fn a_failure_answers_for_a_second_and_a_success_never() {
        let (mut known, address, now) = (Known::default(), "127.0.0.1:0".parse().unwrap(), Instant::now());
        assert!(known.lately(now).is_none());
        assert_eq!(known.learn(Err(io::Error::other("down")), now).unwrap_err().to_string(), "down");
        assert_eq!(known.lately(now + FAILURE - Duration::from_millis(1)).unwrap().unwrap_err().to_string(), "down");
        assert!(known.lately(now + FAILURE).is_none(), "it is asked again");
        known.learn(Ok(vec![address]), now).unwrap();
        assert!(known.lately(now).is_none());
    }
}
