//! The lines of one object and what becomes of them: an account that is settled from its front, so that a pass that ends
//! anywhere has accounted for all lines before one line, and another pass begins with that.
//!
//! Bad lines wait here until all lines before them are accounted for. That they do not become too many is up to who
//! reads on ([`Account::is_clogged`]).

use std::collections::VecDeque;

use super::convert::{LineCounts, Stretch};
use crate::bulk::{Refusal, RefusedItem, Verdicts};
use crate::outcome::{Counts, Failure};
use crate::quarantine::QuarantinedLine;

/// Bad lines of one object, in bytes, that may wait for what is before them: some ten thousand, as much as a body is.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// What a line or a document takes beside its texts, bytes.
const ITEM_BYTES: usize = 256;

/// The lines of one pass over an object.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Whether bad lines are kept aside once they are settled.
    keeps_lines: bool,
    settled: Sum,
    /// The line after those that are settled; 0 if none are.
    next_line: u64,
    num_read: u64,
    /// The stretches after them, in order. The first has no answer yet, or one that failed.
    open: VecDeque<Open>,
    num_unanswered: usize,
    /// The first segment of which documents failed. What comes from there on is not settled in this pass.
    failed_at: Option<u64>,
    /// Of the bad lines in `open`.
    waiting_bytes: usize,
    failure: Option<Failure>,
    late: Option<Failure>,
}

/// A stretch, until all of its lines and all before it are accounted for.
#[derive(Debug)]
struct Open {
    /// Of its segment; they ascend.
    number: u64,
    counts: LineCounts,
    next_line: u64,
    bad: BadLines,
    /// What became of its documents, all of which are in one body.
    answer: Option<Answer>,
}

/// Verdicts, in numbers.
#[derive(Debug, Default)]
struct Answer {
    delivered: u64,
    duplicate: u64,
    refused: u64,
    first_refused: Option<(u64, Refusal)>,
    failed: u64,
}

/// The lines of a stretch that are to be kept aside.
#[derive(Debug, Default)]
pub(super) struct BadLines {
    pub(super) malformed: Vec<QuarantinedLine>,
    pub(super) refused: Vec<RefusedItem>,
}

impl BadLines {
    fn num_bytes(&self) -> usize {
        let malformed = self.malformed.iter().map(QuarantinedLine::num_bytes_held);
        let refused = self.refused.iter().map(|item| {
            let Refusal { kind, reason, .. } = &item.refusal;
            item.attached.len() + kind.len() + reason.len()
        });
        malformed.chain(refused).map(|texts| ITEM_BYTES + texts).sum()
    }
}

/// Sums over some lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) read: LineCounts,
    pub(super) delivered: u64,
    pub(super) duplicate: u64,
    pub(super) refused: u64,
    /// The first refused document by line.
    pub(super) first_refused: Option<(u64, Refusal)>,
}

impl Sum {
    fn add(&mut self, open: &Open) {
        self.read.add(&open.counts);
        let Some(answer) = &open.answer else { return };
        self.delivered += answer.delivered;
        self.duplicate += answer.duplicate;
        self.refused += answer.refused;
        if self.first_refused.is_none() {
            self.first_refused.clone_from(&answer.first_refused);
        }
    }

    /// With bad lines that are kept aside, or that are not.
    pub(super) fn counts(&self, is_kept: bool) -> Counts {
        let bad = self.read.malformed + self.refused;
        Counts {
            lines: self.read.lines,
            indexed: self.delivered,
            duplicate: self.duplicate,
            no_data: self.read.no_data,
            quarantined: if is_kept { bad } else { 0 },
            refused: if is_kept { 0 } else { bad },
        }
    }
}

impl Account {
    pub(super) fn new(keeps_lines: bool) -> Self {
        Self {
            keeps_lines,
            ..Self::default()
        }
    }

    /// The next stretch was read; `malformed` are its lines that cannot be, where lines are kept aside.
    pub(super) fn note_read(&mut self, stretch: &Stretch, malformed: Vec<QuarantinedLine>) {
        let is_answered = stretch.segment.is_empty();
        let bad = BadLines {
            malformed,
            ..BadLines::default()
        };
        self.num_unanswered += usize::from(!is_answered);
        self.num_read += 1;
        self.open.push_back(Open {
            number: stretch.segment.id().number,
            counts: stretch.counts.clone(),
            next_line: stretch.next_line,
            bad: BadLines::default(),
            answer: is_answered.then(Answer::default),
        });
        self.hold(self.open.len() - 1, bad);
    }

    /// Keeps bad lines with their stretch, where that may be settled.
    fn hold(&mut self, position: usize, bad: BadLines) {
        let open = &mut self.open[position];
        if self.keeps_lines && self.failed_at.is_none_or(|failed_at| open.number < failed_at) {
            self.waiting_bytes += bad.num_bytes();
            open.bad.malformed.extend(bad.malformed);
            open.bad.refused.extend(bad.refused);
        }
    }

    /// What became of the documents of the segment with this number.
    pub(super) fn note_verdicts(&mut self, number: u64, verdicts: Verdicts) {
        let position = self.open.binary_search_by_key(&number, |open| open.number);
        let position = position.expect("verdicts come for what was read");
        let first_refused = verdicts.refused.iter().min_by_key(|item| item.token);
        self.open[position].answer = Some(Answer {
            delivered: verdicts.delivered,
            duplicate: verdicts.duplicate,
            refused: verdicts.refused.len() as u64,
            first_refused: first_refused.map(|item| (item.token, item.refusal.clone())),
            failed: verdicts.failed,
        });
        self.num_unanswered -= 1;
        let bad = BadLines {
            refused: verdicts.refused,
            ..BadLines::default()
        };
        self.hold(position, bad);
        if let Some(failure) = verdicts.failure {
            let place = if verdicts.is_late {
                &mut self.late
            } else {
                &mut self.failure
            };
            place.get_or_insert(failure);
            self.failed_at = Some(self.failed_at.map_or(number, |failed_at| failed_at.min(number)));
            for open in self.open.range_mut(position..) {
                self.waiting_bytes -= std::mem::take(&mut open.bad).num_bytes();
            }
        }
    }

    /// Settles the next stretch if all of its lines are accounted for; call it until there is none.
    pub(super) fn settle(&mut self) -> Option<BadLines> {
        let is_accounted = |open: &mut Open| open.answer.as_ref().is_some_and(|answer| answer.failed == 0);
        let open = self.open.pop_front_if(is_accounted)?;
        self.settled.add(&open);
        self.next_line = open.next_line;
        self.waiting_bytes -= open.bad.num_bytes();
        Some(open.bad)
    }

    /// Whether so many bad lines wait for lines before them that no more should be read until those are answered for.
    /// They will be: each is under way, or is sent when it has waited for company.
    pub(super) fn is_clogged(&self) -> bool {
        self.waiting_bytes > MAX_WAITING_BYTES
    }

    /// Of the lines that are settled.
    pub(super) fn settled(&self) -> &Sum {
        &self.settled
    }

    /// Of all lines, also those behind the first that is not accounted for.
    pub(super) fn total(&self) -> Sum {
        let mut total = self.settled.clone();
        for open in &self.open {
            total.add(open);
        }
        total
    }

    /// The line after those that are settled; 0 if none are.
    pub(super) fn next_line(&self) -> u64 {
        self.next_line
    }

    /// Stretches that were read.
    pub(super) fn num_read(&self) -> u64 {
        self.num_read
    }

    /// Whether all documents until now have a verdict, be it that they failed.
    pub(super) fn is_answered(&self) -> bool {
        self.num_unanswered == 0
    }

    /// Whether every line until now is accounted for.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Why documents failed, other than for want of time.
    pub(super) fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// What was first in the way of documents for which the time did not suffice.
    pub(super) fn late(&self) -> Option<&Failure> {
        self.late.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bulk::{Segment, SegmentId};
    use crate::decode::Line;
    use crate::flow::LineError;
    use crate::outcome::Reason;
    use crate::quarantine::Origin;

    /// A stretch of so many documents and lines that cannot be read, and a blank line.
    fn stretch(number: u64, first_line: u64, num_documents: u64, num_malformed: u64) -> Stretch {
        let mut segment = Segment::new(SegmentId { producer: 0, number }, 0);
        for line in 0..num_documents {
            segment.push("i", b"id", first_line + line, b"{}");
        }
        let num_lines = num_documents + num_malformed;
        Stretch {
            segment,
            counts: LineCounts {
                lines: num_lines,
                malformed: num_malformed,
                ..LineCounts::default()
            },
            next_line: first_line + num_lines + 1,
        }
    }

    fn delivered(num_documents: u64) -> Verdicts {
        Verdicts {
            delivered: num_documents,
            ..Verdicts::default()
        }
    }

    fn late(num_delivered: u64) -> Verdicts {
        Verdicts {
            failed: 1,
            failure: Some(Failure::new(Reason::BulkThrottled, "429")),
            is_late: true,
            ..delivered(num_delivered)
        }
    }

    fn settle(account: &mut Account) -> usize {
        std::iter::from_fn(|| account.settle()).count()
    }

    #[test]
    fn what_is_answered_out_of_order_is_settled_in_order() {
        let mut account = Account::default();
        for (number, first_line) in [(0, 1), (1, 5), (2, 9)] {
            account.note_read(&stretch(number, first_line, 3, 0), Vec::new());
        }
        account.note_verdicts(1, delivered(3));
        assert_eq!((settle(&mut account), account.next_line()), (0, 0));
        account.note_verdicts(0, delivered(3));
        assert_eq!((settle(&mut account), account.next_line()), (2, 9));
        assert!(!account.is_answered() && !account.is_settled());
        account.note_verdicts(2, delivered(3));
        assert_eq!((settle(&mut account), account.next_line()), (1, 13));
        assert!(account.is_answered() && account.is_settled());
    }

    #[test]
    fn a_stretch_without_documents_waits_for_those_before_it() {
        let mut account = Account::default();
        account.note_read(&stretch(0, 1, 1, 0), Vec::new());
        account.note_read(&stretch(1, 3, 0, 2), Vec::new());
        assert_eq!(settle(&mut account), 0);
        account.note_verdicts(0, delivered(1));
        assert_eq!(settle(&mut account), 2);
        assert_eq!(account.settled().read.malformed, 2);
    }

    #[test]
    fn bad_lines_wait_for_the_lines_before_them_until_they_are_too_many() {
        let large = || {
            let raw = vec![b'x'; MAX_WAITING_BYTES / 2];
            let origin = Origin {
                line_number: 3,
                offset: None,
                ordinal: 2,
                format: None,
                line: Line::Whole(&raw),
            };
            vec![QuarantinedLine::malformed(&origin, &LineError::NoTime)]
        };
        let clogged = || {
            let mut account = Account::new(true);
            account.note_read(&stretch(0, 1, 1, 0), Vec::new());
            account.note_read(&stretch(1, 3, 0, 1), large());
            assert!(!account.is_clogged());
            account.note_read(&stretch(2, 5, 0, 1), large());
            assert!(account.is_clogged());
            account
        };
        let mut account = clogged();
        account.note_verdicts(0, delivered(1));
        let num_lines: usize = std::iter::from_fn(|| account.settle())
            .map(|bad| bad.malformed.len())
            .sum();
        assert_eq!((num_lines, account.is_clogged()), (2, false));

        let mut account = clogged();
        account.note_verdicts(0, late(0));
        assert!(!account.is_clogged(), "they are the next pass's");
        account.note_read(&stretch(3, 7, 0, 1), large());
        assert_eq!(account.waiting_bytes, 0);
    }

    #[test]
    fn refused_documents_before_one_that_failed_are_kept_whichever_is_answered_first() {
        let refused = |token| Verdicts {
            refused: vec![RefusedItem {
                token,
                attached: Vec::new(),
                refusal: Refusal {
                    status: 400,
                    kind: "document_parsing_exception".into(),
                    reason: "r".into(),
                },
            }],
            ..Verdicts::default()
        };
        for keeps_lines in [true, false] {
            let mut account = Account::new(keeps_lines);
            for (number, first_line) in [(0, 1), (1, 3), (2, 5)] {
                account.note_read(&stretch(number, first_line, 1, 0), Vec::new());
            }
            account.note_verdicts(2, refused(5));
            account.note_verdicts(1, late(0));
            account.note_verdicts(0, refused(1));
            let kept: Vec<u64> = std::iter::from_fn(|| account.settle())
                .flat_map(|bad| bad.refused)
                .map(|item| item.token)
                .collect();
            assert_eq!(kept, if keeps_lines { vec![1] } else { vec![] });
            assert_eq!((account.settled().refused, account.total().refused), (1, 2));
            assert_eq!(account.settled().first_refused.as_ref().unwrap().0, 1);
        }
    }

    proptest! {
        /// Whatever is late, and in whatever order the answers come: what is settled is what was delivered before the
        /// first late one, and the total is all that was delivered.
        #[test]
        fn the_settled_lines_are_those_before_the_first_late_one(
            (sizes, order, is_late) in (1_usize..20).prop_flat_map(|num| (
                prop::collection::vec((0_u64..4, 0_u64..3), num),
                Just((0..num).collect::<Vec<_>>()).prop_shuffle(),
                prop::collection::vec(prop::bool::weighted(0.2), num),
            )),
        ) {
            let mut account = Account::default();
            let mut next_lines = vec![1];
            for (number, (documents, malformed)) in sizes.iter().enumerate() {
                let stretch = stretch(number as u64, next_lines[number], *documents, *malformed);
                next_lines.push(stretch.next_line);
                account.note_read(&stretch, Vec::new());
            }
            let fails = |number: usize| is_late[number] && sizes[number].0 > 0;
            for number in order.into_iter().filter(|number| sizes[*number].0 > 0) {
                let documents = sizes[number].0;
                let verdicts = if fails(number) { late(documents - 1) } else { delivered(documents) };
                account.note_verdicts(number as u64, verdicts);
                settle(&mut account);
            }
            settle(&mut account);
            let first_late = (0..sizes.len()).find(|number| fails(*number)).unwrap_or(sizes.len());
            let before: u64 = sizes[..first_late].iter().map(|(documents, _)| documents).sum();
            prop_assert!(account.is_answered());
            prop_assert_eq!(account.is_settled(), first_late == sizes.len());
            prop_assert_eq!(account.next_line(), if first_late == 0 { 0 } else { next_lines[first_late] });
            prop_assert_eq!(account.settled().delivered, before);
            let counts = account.settled().counts(false);
            prop_assert_eq!(counts.accounted(), counts.lines);
            let all: u64 = (0..sizes.len()).map(|number| sizes[number].0 - u64::from(fails(number))).sum();
            prop_assert_eq!(account.total().delivered, all);
            prop_assert_eq!(account.late().is_some(), first_late < sizes.len());
        }
    }
}
