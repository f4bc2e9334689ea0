//! A file → a database whose layout is known, or the reason why it cannot be used.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Once;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use memmap2::Mmap;
use serde::de::IgnoredAny;

use super::map::map;
use super::record::Layout;
use super::{DatabaseDescription, Place};
use crate::fetch::LocalFile;

/// How many records are looked at for one that shows the layout. Databases hold a few networks of which not even the
/// country is known, but no thousand of them in a row.
const NUM_PROBED: usize = 1000;

/// What a setting's databases must tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Places,
    Systems,
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Places => "places: `country.iso_code` as in GeoLite2, GeoIP2 and DB-IP, or `country_code` as in ip-location-db",
            Self::Systems => "autonomous systems: `autonomous_system_number` as in GeoLite2, DB-IP and ip-location-db",
        })
    }
}

impl Content {
    fn of(layout: Layout) -> Self {
        match layout {
            Layout::Nested | Layout::Flat => Self::Places,
            Layout::System => Self::Systems,
        }
    }
}

/// Why a file cannot be used as a database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The system does not map it.
    #[error("{location} cannot be mapped into memory")]
    Map {
        /// As given.
        location: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another kind of file, or a damaged one.
    #[error("{location} cannot be read as a MaxMind database (mmdb)")]
    NotADatabase {
        /// As given.
        location: String,
        /// What the library says.
        source: MaxMindDbError,
    },
    /// A database of something else.
    #[error("{location} is a database of type `{database_type}` ({found}); needed are {expected}")]
    Content {
        /// As given.
        location: String,
        /// From the file's metadata.
        database_type: String,
        /// What its records look like.
        found: String,
        /// What was asked for.
        expected: String,
    },
}

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    location: String,
    reader: Reader<Mmap>,
    layout: Layout,
    has_complained: Once,
}

impl Database {
    /// Opens a database that must tell `expected`.
    pub(super) fn open(file: LocalFile, expected: Content) -> Result<Self, DatabaseError> {
        let LocalFile { location, file } = file;
        let location = location.to_string();
        let mapped = match map(&file) {
            Ok(mapped) => mapped,
            Err(source) => return Err(DatabaseError::Map { location, source }),
        };
        match Reader::from_source(mapped).and_then(|reader| Ok((probe(&reader)?, reader))) {
            Ok((Probe::Known(layout), reader)) if Content::of(layout) == expected => Ok(Self {
                location,
                reader,
                layout,
                has_complained: Once::new(),
            }),
            Ok((found, reader)) => Err(DatabaseError::Content {
                location,
                database_type: reader.metadata().database_type.escape_debug().take(100).collect(),
                found: found.to_string(),
                expected: expected.to_string(),
            }),
            Err(source) => Err(DatabaseError::NotADatabase { location, source }),
        }
    }

    pub(super) fn description(&self) -> DatabaseDescription<'_> {
        let metadata = self.reader.metadata();
        DatabaseDescription {
            database_type: &metadata.database_type,
            built: metadata.build_epoch,
        }
    }

    /// Takes into `place` what the database knows of an address. False where it has no record of it.
    pub(super) fn read<'a>(&'a self, address: IpAddr, place: &mut Place<'a>) -> bool {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return false;
        }
        let read = self
            .reader
            .lookup(address)
            .and_then(|record| self.layout.read(&record, place));
        read.unwrap_or_else(|error| {
            self.has_complained.call_once(|| {
                tracing::warn!(
                    %error,
                    "{}: a record cannot be read; told once, addresses with such records stay without a place",
                    self.location
                );
            });
            false
        })
    }
}

/// What the first records show.
enum Probe {
    Known(Layout),
    /// The members of the first record.
    Unknown(Vec<String>),
    Empty,
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(Layout::System) => f.write_str("it tells autonomous systems"),
            Self::Known(_) => f.write_str("it tells places"),
            Self::Unknown(members) => write!(f, "its first record has {}", members.join(", ")),
            Self::Empty => f.write_str("it has no records"),
        }
    }
}

fn probe(reader: &Reader<Mmap>) -> Result<Probe, MaxMindDbError> {
    let records = reader.networks(WithinOptions::default().skip_empty_values())?;
    let mut first = None;
    for record in records.take(NUM_PROBED) {
        let record = record?;
        if let Some(layout) = Layout::of(&record) {
            layout.read(&record, &mut Place::default())?;
            return Ok(Probe::Known(layout));
        }
        first.get_or_insert(record);
    }
    let Some(first) = first else {
        return Ok(Probe::Empty);
    };
    let members: BTreeMap<&str, IgnoredAny> = first.decode()?.unwrap_or_default();
    let members = members.keys().map(|name| format!("`{}`", name.escape_debug()));
    Ok(Probe::Unknown(members.take(20).collect()))
}
