//! `redrive stats`: how many dead letters there are, and why.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Session;
use super::scan::{Scan, Stopped};
use super::text;
use crate::dead_letter::{DeadLetter, UNKNOWN_REASON};
use crate::queue::{MessageQueue, QueueError, QueueStatus};

/// What `stats` found.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    queue_url: String,
    /// The queue's own numbers, before the pass; approximate.
    visible: u64,
    in_flight: u64,
    delayed: u64,
    /// Dead letters seen.
    dead_letters: u64,
    /// Whether the pass came to its end.
    complete: bool,
    oldest_failure: Option<String>,
    newest_failure: Option<String>,
    /// Dead letters by how often they were redriven.
    hops: BTreeMap<u64, u64>,
    /// The largest first.
    reasons: Vec<Group>,
    /// The next sensible command.
    next: Option<String>,
}

/// Dead letters of one reason and disposition.
#[derive(Debug, Serialize)]
struct Group {
    reason: String,
    disposition: Option<String>,
    dead_letters: u64,
    oldest_failure: String,
    newest_failure: String,
    #[serde(skip)]
    oldest: Timestamp,
    #[serde(skip)]
    newest: Timestamp,
}

#[derive(Debug, Default)]
struct Tally {
    groups: BTreeMap<(String, Option<String>), Times>,
    hops: BTreeMap<u64, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    number: u64,
    oldest: Timestamp,
    newest: Timestamp,
}

impl Tally {
    fn add(&mut self, letter: &DeadLetter) {
        let time = letter.time();
        let key = (letter.reason().to_owned(), letter.disposition.clone());
        let times = self.groups.entry(key).or_insert(Times {
            number: 0,
            oldest: time,
            newest: time,
        });
        times.number += 1;
        times.oldest = times.oldest.min(time);
        times.newest = times.newest.max(time);
        *self.hops.entry(letter.hops).or_default() += 1;
    }

    fn into_groups(self) -> Vec<Group> {
        let group = |((reason, disposition), times): (_, Times)| Group {
            reason,
            disposition,
            dead_letters: times.number,
            oldest_failure: text::time(times.oldest),
            newest_failure: text::time(times.newest),
            oldest: times.oldest,
            newest: times.newest,
        };
        let mut groups: Vec<Group> = self.groups.into_iter().map(group).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.dead_letters));
        groups
    }
}

/// Looks at the whole queue.
pub(super) async fn look<Q: MessageQueue>(
    queue: &Q,
    queue_url: &str,
    status: &QueueStatus,
    session: &Session,
) -> Result<(Stats, Option<Stopped>), QueueError> {
    let mut scan = Scan::new(queue, status, &session.interrupt, &session.progress);
    let mut tally = Tally::default();
    let result = tally_all(&mut scan, &mut tally).await;
    let stopped = scan.stopped();
    session.tell_if_some(scan.finish().await);
    result?;
    Ok((Stats::new(queue_url, status, tally, stopped.is_none()), stopped))
}

async fn tally_all<Q: MessageQueue>(scan: &mut Scan<'_, Q>, tally: &mut Tally) -> Result<(), QueueError> {
    while let Some(messages) = scan.next().await? {
        for message in &messages {
            tally.add(&DeadLetter::parse(message));
        }
    }
    Ok(())
}

impl Stats {
    fn new(queue_url: &str, status: &QueueStatus, tally: Tally, complete: bool) -> Self {
        let hops = tally.hops.clone();
        let reasons = tally.into_groups();
        Self {
            queue_url: queue_url.to_owned(),
            visible: status.visible,
            in_flight: status.in_flight,
            delayed: status.delayed,
            dead_letters: reasons.iter().map(|group| group.dead_letters).sum(),
            complete,
            oldest_failure: reasons.iter().map(|group| group.oldest).min().map(text::time),
            newest_failure: reasons.iter().map(|group| group.newest).max().map(text::time),
            hops,
            next: next_command(&reasons),
            reasons,
        }
    }

    /// For people: at most 80 columns where the texts allow it.
    pub(super) fn lines(&self, now: Timestamp) -> Vec<String> {
        let Self {
            visible,
            in_flight,
            delayed,
            ..
        } = self;
        let mut lines = vec![
            self.queue_url.clone(),
            format!("the queue says: about {visible} visible, {in_flight} in flight, {delayed} delayed"),
        ];
        let (Some(oldest), Some(newest)) = (&self.oldest_failure, &self.newest_failure) else {
            lines.push("no dead letters".to_owned());
            return lines;
        };
        lines.push(String::new());
        lines.push("COUNT  OLDEST   NEWEST   REASON (DISPOSITION)".to_owned());
        for group in &self.reasons {
            let disposition = group.disposition.as_ref();
            lines.push(format!(
                "{:>5}  {:<7}  {:<7}  {}{}",
                group.dead_letters,
                text::age(now, group.oldest),
                text::age(now, group.newest),
                text::printable(&group.reason),
                disposition.map_or_else(String::new, |word| format!(" ({})", text::printable(word))),
            ));
        }
        lines.push(String::new());
        let total = text::dead_letters(self.dead_letters);
        lines.push(format!("{total}, failed from {oldest} to {newest}"));
        let hops: Vec<String> = self
            .hops
            .iter()
            .map(|(hops, number)| format!("hops {hops}: {number}"))
            .collect();
        lines.push(hops.join(", "));
        if let Some(next) = &self.next {
            lines.push(String::new());
            lines.push(format!("next: {next}"));
        }
        lines
    }
}

/// What may succeed by itself is tried first (the command is a dry run); anything else is looked at.
fn next_command(groups: &[Group]) -> Option<String> {
    let is_transient = |group: &&Group| group.disposition.as_deref() == Some("transient");
    if let Some(group) = groups.iter().find(is_transient) {
        return Some(format!("redrive send --reason {}", pattern(&group.reason)));
    }
    let largest = groups.first()?;
    Some(format!(
        "redrive list --verbose --reason {}",
        pattern(&largest.reason)
    ))
}

fn pattern(reason: &str) -> String {
    if reason == UNKNOWN_REASON {
        "unknown".to_owned()
    } else {
        text::shell_word(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::redrive::tests::{letter, main_url, now, session};
    use crate::queue::Attributes;
    use crate::queue::memory::{Fault, MemoryQueue};

    async fn look_at(queue: &MemoryQueue) -> Stats {
        let status = queue.status().await.unwrap();
        look(queue, main_url(), &status, &session()).await.unwrap().0
    }

    #[tokio::test(start_paused = true)]
    async fn dead_letters_are_counted_by_reason_and_nothing_is_disturbed() {
        let queue = MemoryQueue::new("dlq");
        for hops in [0, 0, 1, 3] {
            letter("bulk.throttled", "transient").hops(hops).put(&queue);
        }
        letter("object.not_found", "permanent")
            .failed_at("2026-11-18T01:00:00.123Z")
            .put(&queue);
        queue.put("not json", Attributes::new());
        let before = queue.messages();
        let stats = look_at(&queue).await;
        insta::assert_snapshot!(stats.lines(now()).join("\n"), @"
        https://sqs.us-east-1.amazonaws.com/000000000000/main
        the queue says: about 6 visible, 0 in flight, 0 delayed

        COUNT  OLDEST   NEWEST   REASON (DISPOSITION)
            4  50m      50m      bulk.throttled (transient)
            1  2d 2h    2d 2h    object.not_found (permanent)
            1  1h 0m    1h 0m    unknown (moved by the queue's redrive policy)

        6 dead letters, failed from 2026-11-18T01:00:00Z to 2026-11-20T03:10:00Z
        hops 0: 4, hops 1: 1, hops 3: 1

        next: redrive send --reason bulk.throttled
        ");
        insta::assert_snapshot!(serde_json::to_string_pretty(&stats).unwrap(), @r#"
        {
          "queue_url": "https://sqs.us-east-1.amazonaws.com/000000000000/main",
          "visible": 6,
          "in_flight": 0,
          "delayed": 0,
          "dead_letters": 6,
          "complete": true,
          "oldest_failure": "2026-11-18T01:00:00Z",
          "newest_failure": "2026-11-20T03:10:00Z",
          "hops": {
            "0": 4,
            "1": 1,
            "3": 1
          },
          "reasons": [
            {
              "reason": "bulk.throttled",
              "disposition": "transient",
              "dead_letters": 4,
              "oldest_failure": "2026-11-20T03:10:00Z",
              "newest_failure": "2026-11-20T03:10:00Z"
            },
            {
              "reason": "object.not_found",
              "disposition": "permanent",
              "dead_letters": 1,
              "oldest_failure": "2026-11-18T01:00:00Z",
              "newest_failure": "2026-11-18T01:00:00Z"
            },
            {
              "reason": "unknown (moved by the queue's redrive policy)",
              "disposition": null,
              "dead_letters": 1,
              "oldest_failure": "2026-11-20T03:00:00Z",
              "newest_failure": "2026-11-20T03:00:00Z"
            }
          ],
          "next": "redrive send --reason bulk.throttled"
        }
        "#);
        assert_eq!((queue.messages(), queue.num_visible()), (before, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_queue_is_good_news() {
        let queue = MemoryQueue::new("dlq");
        insta::assert_snapshot!(look_at(&queue).await.lines(now()).join("\n"), @"
        https://sqs.us-east-1.amazonaws.com/000000000000/main
        the queue says: about 0 visible, 0 in flight, 0 delayed
        no dead letters
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_flight_elsewhere_is_counted_but_not_seen() {
        let queue = MemoryQueue::new("dlq");
        letter("bulk.throttled", "transient").put(&queue);
        letter("bulk.throttled", "transient").put(&queue);
        queue.receive(1, std::time::Duration::ZERO, None).await.unwrap();
        let stats = look_at(&queue).await;
        assert_eq!((stats.in_flight, stats.dead_letters), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_in_the_middle_leaves_all_visible() {
        let queue = MemoryQueue::new("dlq");
        for _ in 0..15 {
            letter("bulk.throttled", "transient").put(&queue);
        }
        queue.script("ReceiveMessage", Fault::Pass);
        queue.script("ReceiveMessage", Fault::Call);
        let status = queue.status().await.unwrap();
        let error = look(&queue, main_url(), &status, &session()).await.unwrap_err();
        insta::assert_snapshot!(error, @"ReceiveMessage on memory:dlq: InternalError: scripted");
        assert_eq!(queue.num_visible(), 15);
    }

    #[test]
    fn permanent_failures_are_looked_at_before_they_are_sent() {
        let mut tally = Tally::default();
        tally.add(&letter("it's; odd", "permanent").parsed());
        assert_eq!(
            next_command(&tally.into_groups()).unwrap(),
            r"redrive list --verbose --reason 'it'\''s; odd'"
        );
    }
}
