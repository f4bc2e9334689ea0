//! A row of the matrix, and its course: once with trouble that passes, once with trouble that lasts.

use std::pin::Pin;

use flowship::outcome::{Disposition, Reason};

use super::audit::Account;
use super::stage::{HIT, Stage};
use crate::support::World;
use crate::support::proxy::{Fault, Requests, Uses};

/// The AWS SDK asks three times where another attempt may help: a fault that outlasts them is one that we see.
pub(crate) const ATTEMPTS: u64 = 3;

/// One case.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Lower case with hyphens; unique in the run.
    pub(crate) name: &'static str,
    /// Where the proxy stands.
    pub(crate) place: Place,
    pub(crate) trouble: Trouble,
    /// Makes of the bytes that [`HIT`] should have those that it has, until it is repaired.
    pub(crate) broken: Option<fn(Vec<u8>) -> Vec<u8>>,
    /// Keys of the objects that are not indexed as long as the trouble lasts.
    pub(crate) concerns: &'static [&'static str],
    /// What becomes of them.
    pub(crate) becomes: Becomes,
    /// How many of the requests in question may come while the trouble lasts.
    pub(crate) most_requests: u64,
    /// Settings that differ from the usual ones.
    pub(crate) adjust: fn(&mut World),
}

/// In front of what the proxy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    S3,
    Sqs,
    Elasticsearch,
}

/// What goes wrong.
#[derive(Clone, Copy)]
pub(crate) enum Trouble {
    /// Requests fail: "once" is so many of them.
    Requests(Requests, Fault, u64),
    /// Nothing but that [`Case::broken`] is.
    Broken,
    /// Something that the case sets (`true`) and lifts (`false`) by itself: "once" is for one invocation.
    State(for<'a> fn(&'a Stage, bool) -> Pending<'a>),
    /// The case has a course of its own, from the putting of its objects on.
    Own(for<'a> fn(&'a Stage, Lasting) -> Pending<'a>),
}

/// What a case does with its stage.
pub(crate) type Pending<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What becomes of an object in trouble that lasts. Trouble that passes is survived, unless its reason is permanent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Becomes {
    /// A dead letter with this reason.
    Letter(Reason),
    /// Its message stays in the queue; once it can be written, a dead letter with this reason.
    ComesBack(Reason),
    /// It is indexed all the same.
    Indexed,
}

/// How long the trouble lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    Once,
    ForEver,
}

impl Lasting {
    pub(crate) const BOTH: [Self; 2] = [Self::Once, Self::ForEver];

    /// As part of a name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::ForEver => "ever",
        }
    }

    /// Of a rule, where "once" is so many times.
    pub(crate) fn uses(self, times: u64) -> Uses {
        match self {
            Self::Once => Uses::Times(times),
            Self::ForEver => Uses::ForEver,
        }
    }
}

impl Case {
    /// The whole course of the case. Panics where something is not as it should be.
    pub(crate) async fn take_its_course(&self, stage: &Stage, lasting: Lasting) {
        if let Trouble::Own(course) = self.trouble {
            course(stage, lasting).await;
        } else {
            self.begin(stage, lasting).await;
            match lasting {
                Lasting::Once => self.pass(stage).await,
                Lasting::ForEver => self.last(stage).await,
            }
            stage.assert_complete_or(self.stays_broken(lasting)).await;
        }
        for tally in stage.proxy.tallies() {
            assert!(tally.hits > 0, "the fault never happened: {tally:?}");
        }
    }

    async fn begin(&self, stage: &Stage, lasting: Lasting) {
        match self.trouble {
            Trouble::Requests(requests, fault, times) => {
                stage.proxy.add(requests, fault, lasting.uses(times));
            }
            Trouble::State(set) => set(stage, true).await,
            Trouble::Broken | Trouble::Own(_) => {}
        }
        stage.put_all(self.broken).await;
    }

    /// The trouble passes by itself.
    async fn pass(&self, stage: &Stage) {
        if let Trouble::State(set) = self.trouble {
            // All in one batch.
            stage.world.wait_for_announced().await;
            stage.invoke(1).await;
            set(stage, false).await;
        }
        stage.world.drain().await;
        if let Trouble::Requests(_, _, times) = self.trouble {
            let hits = stage.proxy.tallies()[0].hits;
            assert_eq!(hits, times, "as often as it should happen");
        }
        match self.becomes {
            Becomes::Letter(reason) if self.broken.is_none() && !is_permanent(reason) => {
                // Elasticsearch is asked again within the invocation.
                if self.place == Place::S3 {
                    assert!(came_back(stage, reason), "{:?}", stage.world.object_log());
                }
            }
            Becomes::Indexed => {}
            Becomes::Letter(reason) | Becomes::ComesBack(reason) => {
                self.assert_letters(&stage.audit().await, reason, 0);
                self.put_back(stage, true).await;
            }
        }
    }

    /// The trouble lasts until it is ended, and all that can be has been given up by then.
    async fn last(&self, stage: &Stage) {
        if let Becomes::ComesBack(_) = self.becomes {
            stage.run_until_received(4).await;
        } else {
            stage.world.drain().await;
        }
        let account = stage.audit().await;
        for tally in stage.proxy.tallies() {
            let most = self.most_requests;
            assert!(tally.requests <= most, "more than {most} requests: {tally:?}");
        }
        if self.place == Place::Elasticsearch {
            let num_requests = num_bulk_requests(stage);
            assert!(num_requests <= self.most_requests, "{num_requests} requests");
        }
        match self.becomes {
            Becomes::Letter(reason) => self.assert_letters(&account, reason, 0),
            Becomes::ComesBack(_) => self.assert_messages(&account),
            Becomes::Indexed => assert!(account.letters.is_empty(), "{:?}", account.letters),
        }
        stage.proxy.heal();
        if let Trouble::State(set) = self.trouble {
            set(stage, false).await;
        }
        match self.becomes {
            Becomes::Letter(reason) if self.stays_broken(Lasting::ForEver).is_some() => {
                self.put_back(stage, false).await;
                self.assert_letters(&stage.audit().await, reason, 1);
            }
            Becomes::Letter(_) => self.put_back(stage, true).await,
            Becomes::ComesBack(reason) => {
                stage.world.drain().await;
                self.assert_letters(&stage.audit().await, reason, 0);
                self.put_back(stage, true).await;
            }
            Becomes::Indexed => {}
        }
    }

    /// The key of the object that is as broken in the end as it was at first.
    fn stays_broken(&self, lasting: Lasting) -> Option<&'static str> {
        let lasts = matches!(self.trouble, Trouble::Broken) && lasting == Lasting::ForEver;
        lasts.then_some(HIT)
    }

    async fn put_back(&self, stage: &Stage, repaired: bool) {
        if repaired && self.broken.is_some() {
            stage.repair().await;
        }
        let report = stage.put_back().await;
        assert_eq!(report["sent"], self.concerns.len(), "{report}");
        stage.world.announced(self.concerns.len() as u64);
        stage.world.drain().await;
    }

    /// There is one dead letter for each object concerned, with this reason, and nothing else.
    fn assert_letters(&self, account: &Account, reason: Reason, hops: u64) {
        let told: Vec<_> = account
            .letters
            .iter()
            .map(|letter| (&*letter.key, &*letter.reason))
            .collect();
        let mut expected: Vec<_> = self.concerns.iter().map(|key| (*key, reason.as_str())).collect();
        expected.sort_unstable();
        assert_eq!(told, expected, "{:#?}", account.letters);
        for letter in &account.letters {
            assert_eq!(letter.message.attributes["hops"], hops.to_string(), "{letter:?}");
        }
        assert!(account.messages.is_empty(), "{:?}", account.messages);
    }

    /// The objects concerned are in the queue, and nothing else is anywhere.
    fn assert_messages(&self, account: &Account) {
        assert!(account.letters.is_empty(), "{:?}", account.letters);
        let mut named = account.named_by_messages();
        named.sort_unstable();
        let mut expected = self.concerns.to_vec();
        expected.sort_unstable();
        assert_eq!(named, expected, "{:?}", account.messages);
    }
}

/// All these troubles with requests, one after the other; in the end everything is indexed.
pub(crate) async fn pass_in_a_row(cases: &[Case], stage: &Stage) {
    let mut times_in_order = Vec::new();
    for case in cases {
        let Trouble::Requests(requests, fault, times) = case.trouble else {
            panic!("{} is no trouble with requests", case.name);
        };
        stage.proxy.add(requests, fault, Uses::Times(times));
        times_in_order.push((case.name, times));
    }
    stage.put_all(None).await;
    stage.world.drain().await;
    let tallies = stage.proxy.tallies();
    let hits = cases
        .iter()
        .zip(tallies)
        .map(|(case, tally)| (case.name, tally.hits));
    assert_eq!(Vec::from_iter(hits), times_in_order);
    stage.assert_complete_or(None).await;
}

/// Of all invocations so far, as the function logged it.
fn num_bulk_requests(stage: &Stage) -> u64 {
    let log = stage.world.invocation_log();
    let numbers = log.iter().map(|line| line["bulk_requests"].as_u64());
    numbers.map(|number| number.expect("it is logged")).sum()
}

/// Whether an object came back for this reason.
fn came_back(stage: &Stage, reason: Reason) -> bool {
    let log = stage.world.object_log();
    let mut passes = log.iter();
    passes.any(|line| line["reason"] == reason.as_str() && line["becomes"] == "comes back")
}

fn is_permanent(reason: Reason) -> bool {
    reason.disposition() == Disposition::Permanent
}
