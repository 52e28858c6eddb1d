//! The manual: how the house works, clause by clause, and why it is built this way.

#[doc = include_str!("request.md")]
pub mod request {}

#[doc = include_str!("warm.md")]
pub mod warm {}

#[doc = include_str!("rfc9111.md")]
pub mod rfc9111 {}

#[doc = include_str!("logs.md")]
pub mod logs {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("decisions.md")]
pub mod decisions {}
