//! The heaviest of a stream, in bounded memory: the space-saving sketch (Metwally, Agrawal, El Abbadi 2005) with weights.
//!
//! While everything fits, everything is exact. Once it does not, the lightest leaves, and whoever comes later may have been there before: its
//! weight is known to within what the heaviest of those who left had. So whatever weighs more than [`Sketch::floor`] in truth is held.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of all keys together: a stream of long ones must not take more memory than a stream of many.
const ROOM: usize = 64 << 20;

/// Something that is held.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) key: Arc<str>,
    /// Seen since it is held: at most the truth, and short of it by `missing` at most.
    pub(super) weight: u64,
    pub(super) count: u64,
    /// How many of them had a time.
    pub(super) timed: u64,
    pub(super) missing: u64,
    /// Where it is in the heap.
    place: usize,
}

/// The sketch.
#[derive(Debug)]
pub(super) struct Sketch {
    capacity: usize,
    room: usize,
    bytes: usize,
    floor: u64,
    index: HashMap<Arc<str>, u32, RandomState>,
    items: Vec<Item>,
    /// Places of `items` that somebody has left.
    free: Vec<u32>,
    /// A binary heap, the lightest first: `weight + missing`, and the place in `items`.
    heap: Vec<(u64, u32)>,
}

impl Sketch {
    /// A sketch of at most `capacity` keys, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        Self::with_room(capacity, ROOM)
    }

    fn with_room(capacity: usize, room: usize) -> Self {
        let capacity = capacity.max(1);
        Self { capacity, room, bytes: 0, floor: 0, index: HashMap::default(), items: Vec::new(), free: Vec::new(), heap: Vec::new() }
    }

    /// Adds one occurrence.
    pub(super) fn add(&mut self, key: &str, weight: u64, timed: bool) {
        let at = self.index.get(key).copied().unwrap_or_else(|| self.enter(key));
        let item = &mut self.items[at as usize];
        item.weight = item.weight.saturating_add(weight);
        item.count += 1;
        item.timed += u64::from(timed);
        let place = item.place;
        self.heap[place].0 = item.weight.saturating_add(item.missing);
        self.sink(place);
    }

    /// The most that anything not held may weigh, and that anything held may lack; 0: everything is exact.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// How many keys are held.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Everything that is held, the heaviest first; of the same weight the most frequent, then by name.
    pub(super) fn into_heaviest(self) -> Vec<Item> {
        let mut items: Vec<Item> = self.heap.iter().map(|(_, at)| self.items[*at as usize].clone()).collect();
        items.sort_unstable_by(|a, b| (b.weight, b.count, &a.key).cmp(&(a.weight, a.count, &b.key)));
        items
    }

    /// Takes a key in, for which the lightest leave if there is no room.
    fn enter(&mut self, key: &str) -> u32 {
        while !self.heap.is_empty() && (self.heap.len() >= self.capacity || self.bytes + key.len() > self.room) {
            self.dismiss();
        }
        self.bytes += key.len();
        let key: Arc<str> = key.into();
        let item = Item { key: key.clone(), weight: 0, count: 0, timed: 0, missing: self.floor, place: self.heap.len() };
        let at = match self.free.pop() {
            Some(at) => {
                self.items[at as usize] = item;
                at
            }
            None => {
                self.items.push(item);
                // `capacity` keys have not the room to be more than fit: 64 MiB.
                u32::try_from(self.items.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.index.insert(key, at);
        self.heap.push((self.floor, at));
        self.rise(self.heap.len() - 1);
        at
    }

    /// Lets the lightest go, and remembers what it may have weighed.
    fn dismiss(&mut self) {
        let (weight, at) = self.heap.swap_remove(0);
        if let Some((_, moved)) = self.heap.first() {
            self.items[*moved as usize].place = 0;
            self.sink(0);
        }
        let item = &mut self.items[at as usize];
        self.bytes -= item.key.len();
        self.index.remove(&item.key);
        self.free.push(at);
        self.floor = self.floor.max(weight);
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 && self.heap[place].0 < self.heap[(place - 1) / 2].0 {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let Some(mut least) = self.heap.get(left).map(|_| left) else { return };
            if self.heap.get(right).is_some_and(|right| right.0 < self.heap[left].0) {
                least = right;
            }
            if self.heap[place].0 <= self.heap[least].0 {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        for place in [a, b] {
            self.items[self.heap[place].1 as usize].place = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sketch;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
    use std::collections::HashMap;

    type Truth = HashMap<String, (u64, u64)>;

    fn fill(sketch: &mut Sketch, stream: &[(u8, u16)]) -> Truth {
        let mut truth = Truth::new();
        for (key, weight) in stream {
            let key = format!("/{key}");
            sketch.add(&key, u64::from(*weight), true);
            let seen = truth.entry(key).or_default();
            *seen = (seen.0 + u64::from(*weight), seen.1 + 1);
        }
        truth
    }

    proptest! {
        #[test]
        fn while_everything_fits_everything_is_exact(stream in any::<Vec<(u8, u16)>>()) {
            let mut sketch = Sketch::new(256);
            let truth = fill(&mut sketch, &stream);
            prop_assert_eq!((sketch.floor(), sketch.len()), (0, truth.len()));
            let items = sketch.into_heaviest();
            prop_assert!(items.is_sorted_by(|a, b| a.weight >= b.weight));
            let held: Truth = items.into_iter().map(|item| (item.key.to_string(), (item.weight, item.count))).collect();
            prop_assert_eq!(held, truth);
        }

        #[test]
        fn once_it_does_not_fit_nothing_is_wrong_by_more_than_the_floor(stream in any::<Vec<(u8, u16)>>(), capacity in 1usize..20, room in 4usize..60) {
            let mut sketch = Sketch::with_room(capacity, room);
            let truth = fill(&mut sketch, &stream);
            let floor = sketch.floor();
            prop_assert!(sketch.len() <= capacity && sketch.bytes <= room);
            let total: u64 = truth.values().map(|(weight, _)| weight).sum();
            let by_bytes = room < 4 * capacity;
            prop_assert!(by_bytes || floor <= total / capacity as u64, "the bound of the paper");
            let held: HashMap<_, _> = sketch.into_heaviest().into_iter().map(|item| (item.key.to_string(), item)).collect();
            for (key, (weight, _)) in &truth {
                match held.get(key) {
                    None => prop_assert!(*weight <= floor),
                    Some(item) => prop_assert!(item.weight <= *weight && *weight <= item.weight + item.missing && item.missing <= floor),
                }
            }
        }
    }

    #[test]
    fn a_heavy_key_survives_a_flood_of_light_ones() {
        let mut sketch = Sketch::new(10);
        for n in 0..10_000u32 {
            sketch.add(&format!("/{n}"), 1, false);
            if n % 5 == 0 {
                sketch.add("/hot", 1, false);
            }
        }
        let first = &sketch.into_heaviest()[0];
        assert_eq!((&*first.key, first.count + first.missing >= 2000), ("/hot", true));
    }
}
