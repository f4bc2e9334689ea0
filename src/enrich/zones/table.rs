//! What the records of an object tell, kept for its later records, in a table of fixed size.

use crate::enrich::tag::Tag;

/// A power of two. With two places for a tag, the facts of some thousand addresses or interfaces are kept.
const NUM_ENTRIES: usize = 4096;

/// Facts by their tags. What finds no place pushes out what came before it: a look-up may miss, it never errs.
#[derive(Debug)]
pub(super) struct Table<V> {
    /// Two after each other share their tags' slot; empty until something is kept.
    entries: Vec<Entry<V>>,
    /// Entries of another generation are vacant.
    generation: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry<V> {
    tag: Tag,
    generation: u64,
    value: V,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            generation: 1,
        }
    }
}

impl<V: Copy + Default> Table<V> {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.generation += 1;
    }

    /// The fact of this tag.
    pub(super) fn get(&self, tag: Tag) -> Option<&V> {
        let first = 2 * tag.slot(NUM_ENTRIES / 2);
        let pair = self.entries.get(first..first + 2)?;
        let entry = pair
            .iter()
            .find(|entry| entry.tag == tag && entry.generation == self.generation);
        entry.map(|entry| &entry.value)
    }

    /// The fact of this tag; the default one if it was not kept yet. `None` if both places are taken by facts that
    /// must stay.
    pub(super) fn entry(&mut self, tag: Tag, may_go: impl Fn(&V) -> bool) -> Option<&mut V> {
        if self.entries.is_empty() {
            self.entries.resize_with(NUM_ENTRIES, Entry::default);
        }
        let generation = self.generation;
        let first = 2 * tag.slot(NUM_ENTRIES / 2);
        let pair = &mut self.entries[first..first + 2];
        let is_vacant = |entry: &Entry<V>| entry.generation != generation;
        let known = pair
            .iter()
            .position(|entry| entry.tag == tag && !is_vacant(entry));
        let place = match known {
            Some(place) => return Some(&mut pair[place].value),
            None if is_vacant(&pair[0]) => 0,
            None if is_vacant(&pair[1]) => 1,
            None if may_go(&pair[1].value) => {
                // The one that came last stays.
                pair.swap(0, 1);
                0
            }
            None if may_go(&pair[0].value) => 0,
            None => return None,
        };
        pair[place] = Entry {
            tag,
            generation,
            value: V::default(),
        };
        Some(&mut pair[place].value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn tag(number: u16) -> Tag {
        Tag::of_id(&number.to_be_bytes())
    }

    #[test]
    fn facts_of_the_last_object_are_gone() {
        let mut table = Table::<u32>::default();
        *table.entry(tag(1), |_| true).unwrap() = 7;
        assert_eq!(table.get(tag(1)), Some(&7));
        table.clear();
        assert_eq!(table.get(tag(1)), None);
        assert_eq!(table.entry(tag(1), |_| true), Some(&mut 0));
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_was_kept_last(all in prop::collection::vec((any::<u16>(), 1..9_u32), 0..9000)) {
            let mut table = Table::<u32>::default();
            let mut expected: HashMap<u16, u32> = HashMap::new();
            for (number, value) in all {
                let stays = |value: &u32| *value != 8;
                // A fact that must stay is never changed, and always found.
                let Some(kept) = table.entry(tag(number), stays) else { continue };
                prop_assert!(*kept == 0 || *kept == expected[&number]);
                if *kept != 8 {
                    *kept = value;
                    expected.insert(number, value);
                }
            }
            for (number, value) in expected {
                let found = table.get(tag(number)).copied();
                prop_assert!(found == Some(value) || (found.is_none() && value != 8), "{:?}", found);
            }
        }
    }
}
