//! Names of upstreams, and what they were known to mean.

use hyper_util::client::legacy::connect::dns::Name;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// The system's resolver, with a memory: when it fails, the addresses of the last time serve.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolve(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Service<Name> for Resolve {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let known = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map(Iterator::collect::<Vec<_>>);
            remember(&mut known.lock(), name.as_str(), found).map(Vec::into_iter)
        })
    }
}

fn remember(known: &mut HashMap<String, Vec<SocketAddr>>, name: &str, found: io::Result<Vec<SocketAddr>>) -> io::Result<Vec<SocketAddr>> {
    match found {
        Ok(addresses) if !addresses.is_empty() => {
            known.insert(name.to_owned(), addresses.clone());
            Ok(addresses)
        }
        Ok(_) => known.get(name).cloned().ok_or_else(|| io::Error::other("the name has no address")),
        Err(error) => known.get(name).cloned().ok_or(error),
    }
}

#[cfg(test)]
mod tests {
    use super::remember;
    use std::collections::HashMap;
    use std::io;

    #[test]
    fn old_addresses_serve_while_the_resolver_fails() {
        let (mut known, address) = (HashMap::new(), "127.0.0.1:0".parse().unwrap());
        assert!(remember(&mut known, "o", Err(io::Error::other("down"))).is_err());
        assert_eq!(remember(&mut known, "o", Ok(vec![address])).unwrap(), [address]);
        assert_eq!(remember(&mut known, "o", Err(io::Error::other("down"))).unwrap(), [address]);
        assert_eq!(remember(&mut known, "o", Ok(vec![])).unwrap(), [address]);
        assert!(remember(&mut known, "other", Ok(vec![])).is_err());
    }
}
