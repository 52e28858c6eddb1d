//! Combos: every combination of some values, without those that are excluded. Nothing is multiplied before it is asked for.

use crate::warm::fault::PlanFault;
use crate::warm::headers;
use crate::warm::target::LONGEST_TARGET;
use crate::warm::template::{Template, encode};
use http::{HeaderName, HeaderValue};
use std::collections::HashMap;

/// A path with dimensions. Each combination of one value per dimension is a request; the dimension said last changes fastest.
///
/// Dimensions are said before the exclusions that name them. A name is that of one dimension, whatever its kind.
///
/// ```
/// use warmfront::warm::Combo;
/// let combo = Combo::path("/api/{kind}").unwrap()
///     .param("kind", ["schools", "brands"]).unwrap()
///     .query("page", 1..=3).unwrap()
///     .header("accept-language", ["en", "zh-HK"]).unwrap()
///     .exclude([("kind", ["brands"]), ("accept-language", ["zh-HK"])]).unwrap();
/// assert_eq!(combo.product(), 12);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combo {
    pub(crate) path: Template,
    pub(crate) dimensions: Vec<Dimension>,
    /// In the order of their deepest dimensions.
    pub(crate) exclusions: Vec<Exclusion>,
}

/// One dimension: a name, and its values as they were said and as they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dimension {
    name: Box<str>,
    said: Box<[Box<str>]>,
    pub(crate) sent: Sent,
}

/// What the values of a dimension become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Encoded parts of the path.
    Param(Box<[Box<str>]>),
    /// Encoded `name=value`.
    Query(Box<[Box<str>]>),
    /// Values of this header; `None`: it is absent.
    Header(HeaderName, Box<[Option<HeaderValue>]>),
}

/// A part of the product that is left out: dimensions in their order, each with a mark per value. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exclusion(Vec<(usize, Box<[bool]>)>);

impl Combo {
    /// A combo of the one request for `path`, which may have placeholders: `/api/{kind}/list`. Each of them needs [`param`](Self::param).
    ///
    /// # Errors
    /// [`PlanFault::Template`]
    pub fn path(path: &str) -> Result<Self, PlanFault> {
        Ok(Self { path: Template::parse(path)?, dimensions: Vec::new(), exclusions: Vec::new() })
    }

    /// Adds the values of the placeholder `{name}`. They are percent-encoded, a slash too.
    ///
    /// # Errors
    /// The path has no such placeholder, the name is taken, there are no values, or one in the path is empty, `.` or `..`.
    pub fn param<V: ToString>(mut self, name: &str, values: impl IntoIterator<Item = V>) -> Result<Self, PlanFault> {
        if !self.path.names().any(|known| known == name) {
            return Err(PlanFault::NoPlaceholder(name.into(), self.path.names().map(String::from).collect()));
        }
        let said = said(values);
        if let Some(value) = said.iter().find(|value| !self.path.accepts(name, value)) {
            return Err(PlanFault::Segment(name.into(), String::from(&**value)));
        }
        let sent = said.iter().map(|value| encode(value).into()).collect();
        self.add(name, said, Sent::Param(sent))?;
        Ok(self)
    }

    /// Adds the query parameter `name`: it is appended to the target, after those said before. Name and values are percent-encoded.
    ///
    /// # Errors
    /// The name is empty or taken, or there are no values.
    pub fn query<V: ToString>(mut self, name: &str, values: impl IntoIterator<Item = V>) -> Result<Self, PlanFault> {
        if name.is_empty() {
            return Err(PlanFault::NoName);
        }
        let said = said(values);
        let sent = said.iter().map(|value| format!("{}={}", encode(name), encode(value)).into()).collect();
        self.add(name, said, Sent::Query(sent))?;
        Ok(self)
    }

    /// Adds the header `name`. The value `""` means that the header is absent.
    ///
    /// # Errors
    /// The header is not a plan's to set, its name is taken, a value is none of a header, or there are no values.
    pub fn header<V: ToString>(mut self, name: &str, values: impl IntoIterator<Item = V>) -> Result<Self, PlanFault> {
        let header = headers::name(name)?;
        let said = said(values);
        let sent = said.iter().map(|value| headers::value(name, value)).collect::<Result<_, _>>()?;
        self.add(header.clone().as_str(), said, Sent::Header(header, sent))?;
        Ok(self)
    }

    /// Leaves out the combinations for which every one of `conditions` holds: the dimension of that name has one of those values.
    ///
    /// # Errors
    /// There are no conditions, or one names a dimension or a value that is not there (yet).
    pub fn exclude<K: AsRef<str>, V: ToString, W: IntoIterator<Item = V>>(
        mut self,
        conditions: impl IntoIterator<Item = (K, W)>,
    ) -> Result<Self, PlanFault> {
        let mut parts: Vec<(usize, Box<[bool]>)> = Vec::new();
        for (key, values) in conditions {
            let (at, marks) = self.marks(key.as_ref(), values)?;
            match parts.iter_mut().find(|(known, _)| *known == at) {
                Some(_) => return Err(PlanFault::Twice(key.as_ref().into())),
                None => parts.push((at, marks)),
            }
        }
        if parts.is_empty() {
            return Err(PlanFault::ExcludesAll);
        }
        parts.sort_by_key(|(at, _)| *at);
        let exclusion = Exclusion(parts);
        let place = self.exclusions.partition_point(|known| known.deepest() <= exclusion.deepest());
        self.exclusions.insert(place, exclusion);
        Ok(self)
    }

    /// The number of combinations before exclusion; `u64::MAX` stands for that and more.
    #[must_use]
    pub fn product(&self) -> u64 {
        self.block(0)
    }

    /// Whether it can be asked for: every placeholder has its values, and no combination is too long.
    ///
    /// # Errors
    /// [`PlanFault::Unfilled`], [`PlanFault::TooLong`]
    pub fn check(&self) -> Result<(), PlanFault> {
        if let Some(name) = self.path.names().find(|name| self.param_of(name).is_none()) {
            return Err(PlanFault::Unfilled(name.into()));
        }
        let longest = |values: &[Box<str>]| values.iter().map(|value| value.len()).max().unwrap_or(0);
        let holes: usize = self.path.names().filter_map(|name| self.param_of(name)).map(longest).sum();
        let query: usize =
            self.dimensions.iter().map(|dimension| if let Sent::Query(values) = &dimension.sent { longest(values) + 1 } else { 0 }).sum();
        let all = self.path.as_str().len() + holes + query;
        if all > LONGEST_TARGET { Err(PlanFault::TooLong(self.path.as_str().into())) } else { Ok(()) }
    }

    /// How many combinations share their first `depth` values.
    pub(crate) fn block(&self, depth: usize) -> u64 {
        self.dimensions[depth..].iter().map(|dimension| dimension.len() as u64).fold(1, u64::saturating_mul)
    }

    /// The number of the dimension that fills the placeholder `name`.
    pub(crate) fn filler(&self, name: &str) -> Option<usize> {
        self.dimensions.iter().position(|dimension| matches!(dimension.sent, Sent::Param(_)) && *dimension.name == *name)
    }

    fn param_of(&self, name: &str) -> Option<&[Box<str>]> {
        if let Sent::Param(values) = &self.dimensions[self.filler(name)?].sent { Some(values) } else { None }
    }

    fn add(&mut self, name: &str, said: Box<[Box<str>]>, sent: Sent) -> Result<(), PlanFault> {
        if said.is_empty() {
            return Err(PlanFault::NoValues(name.into()));
        }
        if self.dimension(name).is_some() {
            return Err(PlanFault::Twice(name.into()));
        }
        self.dimensions.push(Dimension { name: name.into(), said, sent });
        Ok(())
    }

    /// The dimension called `name`; those of headers in any case of letters.
    fn dimension(&self, name: &str) -> Option<usize> {
        self.dimensions.iter().position(|dimension| match &dimension.sent {
            Sent::Header(header, _) => header.as_str().eq_ignore_ascii_case(name),
            _ => *dimension.name == *name,
        })
    }

    fn marks<V: ToString>(&self, key: &str, values: impl IntoIterator<Item = V>) -> Result<(usize, Box<[bool]>), PlanFault> {
        let names = || self.dimensions.iter().map(|dimension| String::from(&*dimension.name)).collect();
        let at = self.dimension(key).ok_or_else(|| PlanFault::ExcludeKey(key.into(), names()))?;
        let dimension = &self.dimensions[at];
        let mut marks = vec![false; dimension.len()];
        let mut wanted = values.into_iter().map(|value| value.to_string()).peekable();
        if wanted.peek().is_none() {
            return Err(PlanFault::NoValues(key.into()));
        }
        // Values may be many, and one may be there twice.
        let mut wanted: HashMap<String, bool> = wanted.map(|value| (value, false)).collect();
        for (mark, said) in marks.iter_mut().zip(&dimension.said) {
            if let Some(met) = wanted.get_mut(&**said) {
                (*mark, *met) = (true, true);
            }
        }
        match wanted.into_iter().filter(|(_, met)| !met).map(|(value, _)| value).min() {
            Some(value) => Err(PlanFault::ExcludeValue(key.into(), value, dimension.told())),
            None => Ok((at, marks.into())),
        }
    }
}

impl Dimension {
    pub(crate) fn len(&self) -> usize {
        self.said.len()
    }

    /// The values, for a fault; none of a header, where they may be secrets.
    fn told(&self) -> Vec<String> {
        if matches!(self.sent, Sent::Header(..)) { Vec::new() } else { self.said.iter().map(|value| String::from(&**value)).collect() }
    }
}

impl Exclusion {
    /// Whether the combination with these values is left out.
    pub(crate) fn covers(&self, at: &[usize]) -> bool {
        self.0.iter().all(|(dimension, marks)| marks[at[*dimension]])
    }

    /// The last dimension that it looks at: whatever those behind it are, the answer is the same.
    pub(crate) fn deepest(&self) -> usize {
        self.0.last().map_or(0, |(dimension, _)| *dimension)
    }
}

fn said<V: ToString>(values: impl IntoIterator<Item = V>) -> Box<[Box<str>]> {
    values.into_iter().map(|value| value.to_string().into()).collect()
}
