//! The words of HTTP: how a header field is read and how it is written.
//!
//! Everything here is a pure function of its arguments: no clock, no state, no IO. The names are those
//! of the RFCs, and every value is taken for hostile: a malformed field never panics, numbers
//! saturate, and where a text is unclear the reading that caches less is taken.
//!
//! | module | text |
//! |---|---|
//! | [`age`] | RFC 9111 section 5.1 |
//! | [`cache_status`] | RFC 9211 |
//! | [`cache_groups`] | RFC 9875 |
//! | [`conditional`] | RFC 9110 section 13, RFC 9111 section 4.3.2 |
//! | [`date`] | RFC 9110 section 5.6.7 |
//! | [`directives`] | RFC 9111 section 5.2, RFC 5861, RFC 8246 |
//! | [`etag`] | RFC 9110 section 8.8.3 |
//! | [`field_scope`] | RFC 9111 sections 5.2.2.4 and 5.2.2.7 |
//! | [`forwarding`] | RFC 7239, RFC 9110 section 7.6.3 |
//! | [`freshen`] | RFC 9111 sections 3.2, 4.3.4 and 4.3.5 |
//! | [`hop`] | RFC 9110 section 7.6.1, RFC 9111 section 3.1 |
//! | [`list`] | RFC 9110 sections 5.6.1 and 5.6.4 |
//! | [`method`] | RFC 9110 section 9.2.1 |
//! | [`number`] | RFC 9111 section 1.2.2 |
//! | [`range`] | RFC 9110 section 14 |
//! | [`targeted`] | RFC 9213 |
//! | [`vary`] | RFC 9110 sections 12.4.2 and 12.5.5, RFC 9111 section 4.1 |

pub mod age;
pub mod cache_groups;
pub mod cache_status;
pub mod conditional;
pub mod date;
pub mod directives;
pub mod etag;
pub mod field_scope;
pub mod forwarding;
pub mod freshen;
pub mod hop;
pub mod list;
pub mod method;
mod negotiation;
pub mod number;
pub mod range;
pub mod targeted;
pub mod vary;
