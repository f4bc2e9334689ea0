//! Objects of all kinds in a seeded order, for the long runs; and what must become of each.

use super::audit::{Account, Object, audit};
use crate::support::{FlowLog, World};

/// Part of the interface's name in the records of slow objects, and of no others.
pub(crate) const SLOW: &str = "eni-0001";

/// The flow log number of the first slow object.
const FIRST_SLOW: u32 = 0x1_0000;

/// Records that fill several of the smallest bodies.
const SEVERAL_BODIES: u32 = 3_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Small,
    WithBadLines,
    Truncated,
    Large,
    Slow,
}

/// Of thirty objects.
const SHARES: [(Kind, usize); 5] = [
    (Kind::Small, 17),
    (Kind::WithBadLines, 6),
    (Kind::Truncated, 4),
    (Kind::Large, 1),
    (Kind::Slow, 2),
];

/// The objects of a long run.
pub(crate) struct Crowd {
    random: fastrand::Rng,
    /// Kinds that are next, shuffled.
    next: Vec<Kind>,
    objects: Vec<Object>,
    truncated: Vec<String>,
}

impl Crowd {
    pub(crate) fn new(random: fastrand::Rng) -> Self {
        Self {
            random,
            next: Vec::new(),
            objects: Vec::new(),
            truncated: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Puts so many more.
    pub(crate) async fn put(&mut self, world: &World, num_objects: usize) {
        for _object in 0..num_objects {
            let (object, bytes) = self.make();
            world.put(&object.key, bytes).await;
            self.objects.push(object);
        }
    }

    fn make(&mut self) -> (Object, Vec<u8>) {
        if self.next.is_empty() {
            self.next = SHARES
                .iter()
                .flat_map(|(kind, share)| vec![*kind; *share])
                .collect();
            self.random.shuffle(&mut self.next);
        }
        let kind = self.next.pop().expect("it was filled");
        let number = u32::try_from(self.objects.len()).unwrap();
        let num_records = self.random.u32(10..200);
        let log = match kind {
            Kind::Small | Kind::Truncated => FlowLog::new().records(number, 0, num_records),
            Kind::WithBadLines => FlowLog::new()
                .line("2 123 eni-1 not-an-address", 0)
                .records(number, 0, num_records)
                .line("2 123 eni-2 nor-this", 0),
            Kind::Large => FlowLog::new().records(number, 0, SEVERAL_BODIES),
            Kind::Slow => FlowLog::new().records(FIRST_SLOW + number, 0, SEVERAL_BODIES),
        };
        let key = format!("{number}-{kind:?}.gz");
        let mut bytes = log.gzip();
        if kind == Kind::Truncated {
            bytes.truncate(bytes.len() / 2);
            self.truncated.push(key.clone());
        }
        (Object::new(&key, log), bytes)
    }

    /// Where each line is.
    pub(crate) async fn audit(&self, world: &World) -> Account {
        audit(world, &self.objects).await
    }

    /// Every line is indexed or aside; what is broken has its dead letters, with the reason, and nothing else has any.
    pub(crate) fn assert_complete(&self, account: &Account) {
        assert!(account.messages.is_empty(), "{:?}", account.messages);
        // After a dead letter its message may come back: it is then written again, which is visible and harmless.
        let mut named: Vec<&str> = account.letters.iter().map(|letter| &*letter.key).collect();
        named.dedup();
        let mut truncated: Vec<&str> = self.truncated.iter().map(String::as_str).collect();
        truncated.sort_unstable();
        assert_eq!(named, truncated, "{:#?}", account.letters);
        for letter in &account.letters {
            assert_eq!(letter.reason, "decode.truncated_gzip", "{letter:?}");
        }
        let whole = self
            .objects
            .iter()
            .filter(|object| !self.truncated.contains(&object.key));
        let (lines, documents) = whole.fold((0, 0), |(lines, documents), object| {
            (lines + object.log.lines, documents + object.log.documents)
        });
        assert_eq!(account.quarantined as u64, lines - documents);
        assert!(
            account.indexed as u64 >= documents,
            "{} of {documents}",
            account.indexed
        );
    }
}
