//! What is wrong with a parameter of a query.

use std::fmt;

/// A parameter that cannot be followed: which, and what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadParameter {
    /// Its name.
    pub(crate) name: &'static str,
    /// What is wrong with it, and what it should be.
    pub(crate) fault: String,
}

impl BadParameter {
    pub(super) fn new(name: &'static str, fault: impl fmt::Display) -> Self {
        Self { name, fault: fault.to_string() }
    }
}

impl fmt::Display for BadParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "?{}: {}", self.name, self.fault)
    }
}

/// The values of all parameters of this name.
pub(super) fn all<'a>(query: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    query.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The value of a parameter that may be there once.
pub(super) fn only<'a>(query: &'a [(String, String)], name: &'static str) -> Result<Option<&'a str>, BadParameter> {
    let mut values = all(query, name);
    let value = values.next();
    if values.next().is_some() { Err(BadParameter::new(name, "once is enough")) } else { Ok(value) }
}
