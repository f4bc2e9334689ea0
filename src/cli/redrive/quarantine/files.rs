//! One pass through the quarantine: files by dataset and day, some of them read ahead, none of them all at once.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Context;
use jiff::civil::Date;
use tokio::task::JoinHandle;

use super::select::Selection;
use crate::cli::redrive::Session;
use crate::object::{ObjectRef, ObjectStore, StoreError};
use crate::quarantine::{Head, Place, Tally};
use crate::ship::replay::{FileError, StoredFile};

/// Files that are read ahead: enough that the time of a call does not matter.
const FILES_AHEAD: usize = 8;

/// A file that has selected lines.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: StoredFile,
    pub(super) dataset: String,
    pub(super) day: Date,
    /// The name of the file, without what all names end with.
    pub(super) name: String,
    pub(super) head: Head,
    /// The selected lines.
    pub(super) tally: Tally,
}

/// A file that cannot be read to its end.
#[derive(Debug, serde::Serialize)]
pub(super) struct Unreadable {
    pub(super) file: String,
    pub(super) problem: String,
}

/// A file that was looked into; nothing where no line of it is selected.
type Looked = Option<Result<Found, Unreadable>>;

/// A pass that is under way.
pub(super) struct Files<'a, S> {
    store: S,
    place: &'a Place,
    selection: Arc<Selection>,
    session: &'a Session,
    /// Datasets that are still to be listed; the first one is being listed.
    datasets: VecDeque<&'static str>,
    /// The last key that was listed of it; nothing before its first page.
    after: Option<String>,
    listed: VecDeque<ObjectRef>,
    looking: VecDeque<JoinHandle<Looked>>,
}

impl<'a, S: ObjectStore + Clone> Files<'a, S> {
    pub(super) fn new(store: S, place: &'a Place, selection: &Selection, session: &'a Session) -> Self {
        Self {
            store,
            place,
            datasets: selection.datasets().into(),
            selection: Arc::new(selection.clone()),
            session,
            after: None,
            listed: VecDeque::new(),
            looking: VecDeque::new(),
        }
    }

    /// The next file that has selected lines or cannot be read; `None` at the end, or after Ctrl-C.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Result<Found, Unreadable>>> {
        while !self.is_interrupted() {
            while self.looking.len() < FILES_AHEAD
                && let Some(object) = self.next_listed().await?
            {
                let (store, place) = (self.store.clone(), self.place.clone());
                let selection = Arc::clone(&self.selection);
                self.looking.push_back(tokio::spawn(async move {
                    look(&store, &place, object, selection).await
                }));
            }
            let Some(looking) = self.looking.pop_front() else {
                return Ok(None);
            };
            let looked = looking
                .await
                .context("a quarantine file was not read: a defect of flowship")?;
            self.session.progress.inc(1);
            if looked.is_some() {
                return Ok(looked);
            }
        }
        Ok(None)
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.session.interrupt.is_set()
    }

    async fn next_listed(&mut self) -> anyhow::Result<Option<ObjectRef>> {
        while self.listed.is_empty()
            && let Some(dataset) = self.datasets.front()
        {
            let prefix = format!("{}{dataset}/", self.place.prefix());
            let first = || format!("{prefix}{}", self.selection.first_day(self.session.now));
            let after = self.after.take().unwrap_or_else(first);
            let page = self.store.list(self.place.bucket(), &prefix, &after).await;
            let page = page.map_err(|error| explain_list(self.place, error))?;
            let last = page.objects.last().map(|listed| listed.object.key.clone());
            let mut has_more = page.has_more;
            for listed in page.objects {
                let Some(address) = self.place.address_of(&listed.object.key) else {
                    continue;
                };
                if self.selection.is_after(&address, self.session.now) {
                    has_more = false;
                    break;
                }
                self.listed.push_back(listed.object);
            }
            match last {
                Some(last) if has_more => self.after = Some(last),
                _ => drop(self.datasets.pop_front()),
            }
            self.session.progress.inc_length(self.listed.len() as u64);
        }
        Ok(self.listed.pop_front())
    }
}

fn explain_list(place: &Place, error: StoreError) -> anyhow::Error {
    let told = format!(
        "{place} cannot be listed: check FLOWSHIP_QUARANTINE_URI, the region and the permission s3:ListBucket"
    );
    anyhow::Error::new(error).context(told)
}

async fn look<S: ObjectStore>(
    store: &S,
    place: &Place,
    object: ObjectRef,
    selection: Arc<Selection>,
) -> Looked {
    let name = object.to_string();
    let unreadable = |error: FileError| {
        Some(Err(Unreadable {
            file: name.clone(),
            problem: error.to_string(),
        }))
    };
    let file = match StoredFile::fetch(store, &object).await {
        Ok(file) => file,
        // It was there a moment ago.
        Err(FileError::Store(StoreError::NotFound { .. })) => return None,
        Err(error) => return unreadable(error),
    };
    let address = place.address_of(&object.key)?;
    let (dataset, day, name_of_file) = (address.dataset.to_owned(), address.day, address.name.to_owned());
    let counting = tokio::task::spawn_blocking(move || {
        let counted = count(&file, &selection);
        (file, counted)
    });
    match counting.await {
        Ok((file, Ok((head, tally)))) => (tally.num_lines() > 0).then_some(Ok(Found {
            file,
            dataset,
            day,
            name: name_of_file,
            head,
            tally,
        })),
        Ok((_, Err(error))) => unreadable(error),
        Err(error) => Some(Err(Unreadable {
            file: name,
            problem: error.to_string(),
        })),
    }
}

fn count(file: &StoredFile, selection: &Selection) -> Result<(Head, Tally), FileError> {
    let mut lines = file.open()?;
    let head = lines.head.clone();
    let mut tally = Tally::default();
    if selection.matches_object(&head.object.to_object().0) {
        for line in lines.by_ref() {
            let line = line?;
            if selection.matches_line(&line) {
                tally.add(&line);
            }
        }
    }
    Ok((head, tally))
}
