//! The sidecar.
mod chunk;
mod fault;
mod head;
mod scan;
pub mod settings;
