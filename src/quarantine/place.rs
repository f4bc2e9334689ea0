//! Where quarantine files lie, and what their keys tell.

use std::fmt;

use jiff::civil::Date;

use super::timestamp;
use crate::document::ObjectHash;
use crate::object::{ObjectInfo, ObjectRef};

/// Ends the name of every file.
const SUFFIX: &str = ".ndjson.gz";

/// The bucket and the prefix under which all quarantine files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    bucket: String,
    /// Ends with `/`.
    prefix: String,
}

impl Place {
    /// Parses `s3://bucket/prefix`. `None` where it is not that: without a prefix, files and logs of one bucket could
    /// not be told apart.
    pub fn parse_uri(uri: &str) -> Option<Self> {
        let ObjectRef { bucket, key, .. } = ObjectRef::parse_uri(uri)?;
        let prefix = key.trim_matches('/');
        (!prefix.is_empty()).then(|| Self {
            bucket,
            prefix: format!("{prefix}/"),
        })
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What all keys begin with, up to and with the last `/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the key of a file tells; `None` for whatever else lies here.
    pub fn address_of<'k>(&self, key: &'k str) -> Option<FileAddress<'k>> {
        let path = key.strip_prefix(&self.prefix)?;
        let (dataset, path) = path.split_once('/')?;
        let (day, name) = path.rsplit_once('/')?;
        Some(FileAddress {
            dataset,
            day: Date::strptime("%Y/%m/%d", day).ok()?,
            name: name.strip_suffix(SUFFIX)?,
        })
    }

    /// Whether an object is one of the files here, which are no flow logs.
    pub fn holds(&self, object: &ObjectRef) -> bool {
        object.bucket == self.bucket && object.key.starts_with(&self.prefix)
    }

    /// The file of the pass over `object` that begins with its line `first_line`:
    /// `{prefix}/{dataset}/{yyyy}/{MM}/{dd}/{hash of bucket and key}-{first line}.ndjson.gz`. The day is that of the stamp
    /// in the key, else that on which the object was written, and never today: a replay must find the same file.
    pub fn file_of(
        &self,
        object: &ObjectRef,
        info: &ObjectInfo,
        dataset: &str,
        first_line: u64,
    ) -> ObjectRef {
        let written = object.key_stamp().or(info.last_modified).unwrap_or_default();
        let day = timestamp(written).strftime("%Y/%m/%d");
        let hash = ObjectHash::new(&object.bucket, &object.key);
        ObjectRef {
            bucket: self.bucket.clone(),
            key: format!("{}{dataset}/{day}/{hash}-{first_line}{SUFFIX}", self.prefix),
            version_id: None,
        }
    }
}

/// What the key of a quarantine file tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileAddress<'k> {
    /// The kind of flow log that its object is of.
    pub dataset: &'k str,
    /// The day of its object.
    pub day: Date,
    /// The hash of bucket and key, `-`, and the line that the pass began with.
    pub name: &'k str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}
