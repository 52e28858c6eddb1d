//! What the sidecar asks of the service that it serves.

use crate::body::RequestBody;
use crate::error::BoxError;
use crate::flow::forwarding::Sight;
use crate::flow::hit::{Hit, hit};
use crate::flow::shared::Shared;
use crate::flow::thin::MayBeThin;
use crate::layer::CacheService;
use crate::sidecar::forwarded::Peer;
use crate::sidecar::said::Plain;
use crate::sidecar::upstream::Upstream;
use crate::warm::{UserDesk, UserWarmup};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::Body;
use std::convert::Infallible;
use std::fmt::Display;
use std::sync::Arc;
use tower_service::Service;

/// A service of the sidecar. What it cannot do is a response.
pub(crate) trait Serve<B>:
    Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S, B> Serve<B> for S where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// The body of its answers.
pub(crate) trait Answer: Body<Data = Bytes, Error: Into<BoxError>> + MayBeThin + Send + 'static {}

impl<B> Answer for B where B: Body<Data = Bytes, Error: Into<BoxError>> + MayBeThin + Send + 'static {}

/// The body of a request as it comes from the client.
pub(crate) trait Question: Body<Data = Bytes, Error: Into<BoxError> + Display> + Send + Unpin + 'static {}

impl<B> Question for B where B: Body<Data = Bytes, Error: Into<BoxError> + Display> + Send + Unpin + 'static {}

/// A service that knows for whom it works.
///
/// The forwarding fields and `Via` are for the origin, and most requests never get there: they are put on where a request leaves for the origin, if everything on its way
/// there can do without them.
pub(crate) trait Attend {
    /// The requests to come are those of `peer`, without its forwarding fields; without a peer they have them already.
    fn attend(&mut self, peer: Option<&Arc<Peer>>);

    /// Whether something in front of the origin must see these fields.
    fn reads_forwarding(&self) -> bool;

    /// Where hits can be looked for without a request; `None`: the service must see all of them.
    fn hits(&self) -> Option<Arc<dyn Hits>>;
}

/// Where hits are looked for without a request.
pub(crate) trait Hits: Send + Sync {
    /// The [hit](crate::flow::hit::hit) that answers a `plain` GET of `uri`. `may` is asked last.
    fn hit(&self, uri: Uri, plain: &Plain, may: &dyn Fn(&Uri) -> bool) -> Option<Hit>;
}

impl Hits for Shared {
    fn hit(&self, uri: Uri, plain: &Plain, may: &dyn Fn(&Uri) -> bool) -> Option<Hit> {
        hit(self, uri, (plain.version, &plain.headers), plain.glance, may)
    }
}

impl Hits for UserDesk {
    fn hit(&self, uri: Uri, plain: &Plain, may: &dyn Fn(&Uri) -> bool) -> Option<Hit> {
        if self.answers(uri.path()) { None } else { self.shared().hit(uri, plain, may) }
    }
}

impl Attend for Upstream {
    fn attend(&mut self, peer: Option<&Arc<Peer>>) {
        self.work_for(peer.cloned());
    }

    fn reads_forwarding(&self) -> bool {
        false
    }

    fn hits(&self) -> Option<Arc<dyn Hits>> {
        None
    }
}

impl<S: Attend> Attend for CacheService<S> {
    fn attend(&mut self, peer: Option<&Arc<Peer>>) {
        let sight = if peer.is_some() { Sight::BeforeForwarding } else { Sight::Whole };
        self.behind(sight).attend(peer);
    }

    fn reads_forwarding(&self) -> bool {
        self.selects_by_forwarding()
    }

    fn hits(&self) -> Option<Arc<dyn Hits>> {
        Some(Arc::clone(self.shared()) as Arc<dyn Hits>)
    }
}

impl<S: Attend> Attend for UserWarmup<S> {
    fn attend(&mut self, peer: Option<&Arc<Peer>>) {
        self.inner_mut().attend(peer);
    }

    fn reads_forwarding(&self) -> bool {
        self.inner().reads_forwarding()
    }

    fn hits(&self) -> Option<Arc<dyn Hits>> {
        self.inner().hits().map(|_| Arc::clone(self.desk()) as Arc<dyn Hits>) // what it holds is what is warmed
    }
}
