//! What becomes of the refused lines of one object: gathered as they are settled, judged when the pass over the object
//! has come to its end, written then, and only then.

use bytes::Bytes;

use crate::config::QuarantineSettings;
use crate::flow::Dataset;
use crate::object::{ObjectInfo, ObjectRef};
use crate::outcome::{Counts, Failure, Reason};
use crate::quarantine::{Gathered, Head, Place, QuarantinedLine, SourceObject};

use super::account::BadLines;
use super::convert::Formats;

/// Where the refused lines of one object are.
#[derive(Debug)]
pub(super) enum Aside {
    /// Nowhere: there is no quarantine, and the object fails with them.
    Nowhere,
    /// In memory.
    Gathering(Box<Gathering>),
    /// On their way into this file.
    Writing(ObjectRef),
    /// In this file.
    Kept(ObjectRef),
    /// Let go, which fails the object.
    Failed(Failure),
}

/// The refused lines of one object until now, and what the head of their file says.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    info: ObjectInfo,
    /// The line that the pass began with.
    first_line: u64,
    malformed: Gathered,
    refused: Gathered,
}

impl Aside {
    pub(super) fn new(settings: &QuarantineSettings) -> Self {
        match settings.place {
            Some(_) => Self::Gathering(Box::default()),
            None => Self::Nowhere,
        }
    }

    /// What was read.
    pub(super) fn note_read(&mut self, info: ObjectInfo, first_line: u64) {
        if let Self::Gathering(gathering) = self {
            gathering.info = info;
            gathering.first_line = first_line;
        }
    }

    pub(super) fn gather(&mut self, lines: &BadLines) {
        if let Self::Gathering(gathering) = self {
            for line in &lines.malformed {
                gathering.malformed.add(line);
            }
            for item in &lines.refused {
                gathering.refused.add(&QuarantinedLine::refused(item));
            }
        }
    }

    /// When no more lines are gathered: the file to be written now, if any.
    pub(super) fn close(
        &mut self,
        object: &ObjectRef,
        counts: &Counts,
        formats: &Formats,
        settings: &QuarantineSettings,
    ) -> Option<(ObjectRef, Bytes)> {
        let (Self::Gathering(gathering), Some(place)) = (&mut *self, &settings.place) else {
            return None;
        };
        if counts.refused == 0 {
            return None;
        }
        let gathering = std::mem::take(&mut **gathering);
        match gathering.file(object, counts, formats, settings, place) {
            Ok((file, bytes)) => {
                *self = Self::Writing(file.clone());
                Some((file, bytes))
            }
            Err(failure) => {
                *self = Self::Failed(failure);
                None
            }
        }
    }

    /// What became of the file.
    pub(super) fn note_written(&mut self, written: Result<(), Failure>) {
        if let Self::Writing(file) = self {
            *self = match written {
                Ok(()) => Self::Kept(file.clone()),
                Err(failure) => Self::Failed(failure),
            };
        }
    }
}

impl Gathering {
    fn file(
        self,
        object: &ObjectRef,
        counts: &Counts,
        formats: &Formats,
        settings: &QuarantineSettings,
        place: &Place,
    ) -> Result<(ObjectRef, Bytes), Failure> {
        let (lines, refused) = (counts.lines, counts.refused);
        let QuarantineSettings {
            max_lines, max_share, ..
        } = settings;
        if refused > *max_lines && refused.saturating_mul(100) > lines.saturating_mul(*max_share) {
            let limit = format!("more than {max_lines} lines and {max_share} % of all are bad");
            return Err(Failure::new(Reason::ObjectMostlyMalformed, limit));
        }
        let source = SourceObject::new(object, &self.info);
        let head = Head::new(source, self.first_line, refused, formats.headers.clone());
        let bytes = head.file([self.malformed, self.refused]).map_err(|too_much| {
            let limit = format!("the bad lines take {too_much}");
            Failure::new(Reason::ObjectMostlyMalformed, limit)
        })?;
        let dataset = formats.dataset.unwrap_or(Dataset::Vpc).name();
        Ok((place.file_of(object, &self.info, dataset, self.first_line), bytes))
    }
}
