//! The service behind the cache, as questions to it need it.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use std::fmt::Display;
use tower_service::Service;

/// The service behind the cache. Each question is put to a clone of it, and perhaps in a task of its own.
pub(crate) trait Inner<B, RB>:
    Service<Request<B>, Response = Response<RB>, Future: Send, Error: Send + 'static> + Clone + Send + 'static
{
}

impl<S, B, RB> Inner<B, RB> for S where
    S: Service<Request<B>, Response = Response<RB>, Future: Send, Error: Send + 'static> + Clone + Send + 'static
{
}

/// The body of its answers.
pub(crate) trait InnerBody: Body<Data = Bytes, Error: Display> + Send + 'static {}

impl<B> InnerBody for B where B: Body<Data = Bytes, Error: Display> + Send + 'static {}
