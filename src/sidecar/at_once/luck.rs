//! Whether it pays to look for a hit before there is a request: who asks for what is not stored has it looked up twice.

use std::cell::Cell;

/// Where looking pays.
const ENOUGH: u8 = 2;
/// A hit less, or more, than this is forgotten.
const MOST: u8 = 3;

thread_local! {
    /// How the first requests of connections have fared that were looked for, or were hits.
    static FIRSTS: Cell<u8> = const { Cell::new(ENOUGH) };
}

/// How many of the last requests of a connection were hits, more or less. Before its first, how many first requests were.
#[derive(Debug)]
pub(super) struct Luck {
    level: u8,
    is_new: bool,
}

impl Luck {
    /// As first requests have had it.
    pub(super) fn of_this_thread() -> Self {
        Self { level: FIRSTS.get(), is_new: true }
    }

    /// Whether the next will be a hit.
    pub(super) const fn is_good(&self) -> bool {
        self.level >= ENOUGH
    }

    /// One that was not looked for was a hit.
    pub(super) fn rise(&mut self) {
        self.turn(true);
        self.level = MOST.min(self.level + 1);
    }

    /// One that was looked for was a hit.
    pub(super) fn be_best(&mut self) {
        self.turn(true);
        self.level = MOST;
    }

    /// One that was looked for was none.
    pub(super) fn fall(&mut self) {
        self.turn(false);
        self.level = self.level.saturating_sub(1);
    }

    fn turn(&mut self, hit: bool) {
        if std::mem::take(&mut self.is_new) {
            let level = FIRSTS.get();
            FIRSTS.set(if hit { MOST.min(level + 1) } else { level.saturating_sub(1) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRSTS, Luck};

    #[test]
    fn a_miss_is_forgiven_and_two_in_a_row_are_not() {
        let mut luck = Luck { level: 3, is_new: false };
        luck.fall();
        assert!(luck.is_good());
        luck.fall();
        assert!(!luck.is_good());
        luck.fall();
        luck.rise();
        luck.rise();
        assert!(luck.is_good(), "two hits that nobody looked for");
        luck.be_best();
        luck.fall();
        assert!(luck.is_good());
    }

    #[test]
    fn a_new_connection_expects_what_the_first_requests_of_others_came_to() {
        let first = |hit: bool| {
            let mut luck = Luck::of_this_thread();
            if hit {
                luck.rise()
            } else {
                luck.fall()
            }
            luck.fall(); // what comes then says nothing of first requests
        };
        FIRSTS.set(2);
        assert!(Luck::of_this_thread().is_good());
        first(false);
        assert!(!Luck::of_this_thread().is_good());
        first(true);
        assert!(Luck::of_this_thread().is_good());
        (0..9).for_each(|_| first(false));
        (0..2).for_each(|_| first(true));
        assert!(Luck::of_this_thread().is_good());
    }
}
