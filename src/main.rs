//! The warmfront binary.

fn main() {}
