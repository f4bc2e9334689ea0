//! One batch: told to the journal, sent, and of what was confirmed, deleted.

use super::journal::{Event, Journal, JournalError};
use super::letter::Letter;
use crate::queue::{MessageQueue, OutgoingMessage, QueueError};

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Posted {
    /// The main queue has them. With those that the dead-letter queue did not confirm to have deleted.
    pub(super) sent: Vec<(Letter, Result<(), QueueError>)>,
    pub(super) failed: Vec<(Letter, QueueError)>,
    /// The journal could not be written before the act.
    pub(super) not_tried: Vec<Letter>,
    pub(super) problem: Option<JournalError>,
}

/// Sends the letters; `handles` are their receipt handles, in their order.
pub(super) async fn post<Q: MessageQueue>(
    main: &Q,
    dlq: &Q,
    journal: &Journal,
    letters: Vec<Letter>,
    handles: Vec<String>,
) -> Posted {
    let ids = letters.iter().map(|letter| letter.id.clone()).collect();
    if let Err(problem) = journal.write(Event::Sending { ids }) {
        return Posted {
            not_tried: letters,
            problem: Some(problem),
            ..Posted::default()
        };
    }
    let messages: Vec<OutgoingMessage> = letters.iter().map(|letter| letter.message.clone()).collect();
    let results = main.send_batch(&messages).await;
    let mut posted = Posted::default();
    let (mut confirmed, mut confirmed_handles) = (Vec::new(), Vec::new());
    for ((letter, handle), result) in letters.into_iter().zip(handles).zip(results) {
        match result {
            Ok(()) => {
                confirmed.push(letter);
                confirmed_handles.push(handle);
            }
            Err(error) => {
                let (id, why) = (letter.id.clone(), error.to_string());
                posted.note(journal.write(Event::Failed { id, why }));
                posted.failed.push((letter, error));
            }
        }
    }
    if confirmed.is_empty() {
        return posted;
    }
    let ids: Vec<String> = confirmed.iter().map(|letter| letter.id.clone()).collect();
    // They are in the main queue whether or not this can be written.
    posted.note(journal.write(Event::Confirmed { ids }));
    let results = dlq.delete_batch(&confirmed_handles).await;
    let mut deleted = Vec::with_capacity(confirmed.len());
    for (letter, result) in confirmed.into_iter().zip(results) {
        match &result {
            Ok(()) => deleted.push(letter.id.clone()),
            Err(error) => {
                let (id, why) = (letter.id.clone(), error.to_string());
                posted.note(journal.write(Event::NotDeleted { id, why }));
            }
        }
        posted.sent.push((letter, result));
    }
    posted.note(journal.write(Event::Deleted { ids: deleted }));
    posted
}

impl Posted {
    fn note(&mut self, written: Result<(), JournalError>) {
        if let Err(problem) = written {
            self.problem.get_or_insert(problem);
        }
    }
}
