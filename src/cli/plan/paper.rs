//! What a plan is written on, piece by piece: nothing of it is held.

use serde_json::{Map, Value};
use std::io::{self, Write};

/// Takes a plan as [`Survey::to_json`](crate::warm::Survey::to_json) spells it, in the order in which it comes.
pub(super) trait Paper {
    /// What stands before the groups. `source` is the file that the plan is from.
    fn begin(&mut self, head: &Map<String, Value>, source: Option<&str>) -> io::Result<()>;
    /// A group. Its items follow one by one, whatever stands in its `items`.
    fn group(&mut self, group: &Map<String, Value>) -> io::Result<()>;
    /// An item of that group.
    fn item(&mut self, item: &Value) -> io::Result<()>;
    /// The end.
    fn end(&mut self, totals: &Value) -> io::Result<()>;
}

/// One object, with a line per group and per item.
pub(super) struct Json<W> {
    out: W,
    groups: usize,
    items: usize,
}

impl<W: Write> Json<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, groups: 0, items: 0 }
    }

    /// Ends the group at hand.
    fn close(&mut self) -> io::Result<()> {
        match (self.groups, self.items) {
            (0, _) => Ok(()),
            (_, 0) => self.out.write_all(b"]}"),
            _ => self.out.write_all(b"\n]}"),
        }
    }
}

/// The members of an object up to where another one may follow: `{"a":1,`, or `{`.
fn opened<'a>(members: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    members.fold("{".into(), |text, (name, value)| text + &format!("{}:{value},", Value::from(name.as_str())))
}

impl<W: Write> Paper for Json<W> {
    fn begin(&mut self, head: &Map<String, Value>, source: Option<&str>) -> io::Result<()> {
        let source = source.map_or_else(String::new, |source| format!("\"source\":{},", Value::from(source)));
        write!(self.out, "{}{source}\"groups\":[", opened(head.iter()))
    }

    fn group(&mut self, group: &Map<String, Value>) -> io::Result<()> {
        self.close()?;
        let comma = if self.groups == 0 { "" } else { "," };
        (self.groups, self.items) = (self.groups + 1, 0);
        write!(self.out, "{comma}\n{}\"items\":[", opened(group.iter().filter(|(name, _)| *name != "items")))
    }

    fn item(&mut self, item: &Value) -> io::Result<()> {
        let comma = if self.items == 0 { "" } else { "," };
        self.items += 1;
        write!(self.out, "{comma}\n{item}")
    }

    fn end(&mut self, totals: &Value) -> io::Result<()> {
        self.close()?;
        writeln!(self.out, "],\n\"totals\":{totals}}}")?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::{Json, Paper as _};
    use crate::Cache;
    use crate::warm::survey::{Known, Outlook};
    use crate::warm::{Combo, Group, WarmSettings};
    use serde_json::Value;

    #[test]
    fn what_is_written_piece_by_piece_is_what_a_survey_is() {
        let combo = || Combo::path("/a").unwrap().query("q", ["\"", "é"]).unwrap().header("authorization", ["x", ""]).unwrap();
        let none = Group::new("task").request("/x").unwrap().max_items(1);
        let groups = vec![Group::new("one").combo(combo()).unwrap(), none, Group::new("two").priority(2).request("/b").unwrap()];
        let settings = WarmSettings { groups, ..WarmSettings::default() };
        let (cache, known) = (Cache::new(), Known::default());
        let outlook = Outlook::offline(&cache, &settings, None);
        for most in [0, 1, usize::MAX] {
            let survey = outlook.survey(outlook.groups().iter().map(|group| outlook.group_with_items(group, &known, most)).collect());
            let mut text = Vec::new();
            let mut json = Json::new(&mut text);
            json.begin(&survey.head_json(), None).unwrap();
            for group in &survey.groups {
                json.group(&survey.group_json(group)).unwrap();
                group.items.iter().for_each(|item| json.item(&item.to_json()).unwrap());
            }
            json.end(&survey.totals_json()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), survey.to_json(), "{most}");
        }
    }
}
