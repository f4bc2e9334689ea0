//! A flow log object in S3: its name, what its key tells, and the seam through which its bytes are read.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::outcome::{Failure, Reason};

#[cfg(test)]
pub(crate) mod memory;

/// The decoded name of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// Bucket name.
    pub bucket: String,
    /// Decoded key.
    pub key: String,
    /// Version to read, when the notification named one.
    pub version_id: Option<String>,
}

/// Where the records of a file are from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyOrigin {
    /// The account that owns the flow log.
    pub account: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// `fl-…`.
    pub flow_log_id: Option<String>,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)?;
        match &self.version_id {
            Some(version) => write!(f, " (version {version})"),
            None => Ok(()),
        }
    }
}

impl ObjectRef {
    /// Parses `s3://bucket/key`. `None` where it is not that.
    pub fn parse_uri(uri: &str) -> Option<Self> {
        let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
        if bucket.is_empty() || key.is_empty() {
            return None;
        }
        Some(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: None,
        })
    }

    /// What the key says of where its records are from: the file name,
    /// `{account}_vpcflowlogs_{region}_{flow log id}_{stamp}_{hash}.log.gz`, or else the folders, in AWS's own and in
    /// Hive's spelling; nothing where AWS has named neither.
    pub fn key_origin(&self) -> KeyOrigin {
        let name = self.key.rsplit('/').next().unwrap_or_default();
        match name.split('_').collect::<Vec<_>>().as_slice() {
            [account, "vpcflowlogs", region, flow_log_id, _stamp, _hash] => KeyOrigin {
                account: Some((*account).to_owned()),
                region: Some((*region).to_owned()),
                flow_log_id: Some((*flow_log_id).to_owned()),
            },
            _ => self.folder_origin(),
        }
    }

    fn folder_origin(&self) -> KeyOrigin {
        let folders: Vec<&str> = self.key.split('/').collect();
        let hive = |name: &str| folders.iter().find_map(|folder| folder.strip_prefix(name));
        let plain = folders.windows(4).find_map(|four| match four {
            ["AWSLogs", account, "vpcflowlogs", region] => Some((*account, *region)),
            _ => None,
        });
        let account = hive("aws-account-id=").or(plain.map(|(account, _)| account));
        let region = hive("aws-region=").or(plain.map(|(_, region)| region));
        KeyOrigin {
            account: account.map(str::to_owned),
            region: region.map(str::to_owned),
            flow_log_id: None,
        }
    }

    /// The time stamp in the file name, as Unix seconds: `…_20261120T1620Z_<hash>.log.gz`.
    /// Source: "Flow log files" in the Amazon VPC user guide.
    pub fn key_stamp(&self) -> Option<u32> {
        let name = self.key.rsplit('/').next()?;
        name.split(['_', '.']).find_map(parse_stamp)
    }
}

/// Parses `yyyyMMddTHHmmZ`.
fn parse_stamp(text: &str) -> Option<u32> {
    let bytes = text.as_bytes();
    if bytes.len() != 14 || bytes[8] != b'T' || bytes[13] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<i16> { text.get(from..to)?.parse().ok() };
    let small = |from: usize, to: usize| -> Option<i8> { text.get(from..to)?.parse().ok() };
    let date = Date::new(number(0, 4)?, small(4, 6)?, small(6, 8)?).ok()?;
    let time = Time::new(small(9, 11)?, small(11, 13)?, 0, 0).ok()?;
    let seconds = date
        .to_datetime(time)
        .to_zoned(TimeZone::UTC)
        .ok()?
        .timestamp()
        .as_second();
    u32::try_from(seconds).ok()
}

/// Why an object could not be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// No such bucket, key or version.
    #[error("{object}: {detail}")]
    NotFound {
        /// The object asked for.
        object: ObjectRef,
        /// The store's error code and message.
        detail: String,
    },
    /// The store refuses to hand the object out.
    #[error("{object}: {detail}")]
    AccessDenied {
        /// The object asked for.
        object: ObjectRef,
        /// The store's error code and message.
        detail: String,
    },
    /// The object must be restored from an archive first.
    #[error("{object}: {detail}")]
    Archived {
        /// The object asked for.
        object: ObjectRef,
        /// The store's error code and message.
        detail: String,
    },
    /// The store failed, throttled, or the stream broke off.
    #[error("{object}: {detail}")]
    Unavailable {
        /// The object asked for.
        object: ObjectRef,
        /// What went wrong, in one line.
        detail: String,
    },
}

impl StoreError {
    /// The failure to report for the object.
    pub fn failure(&self) -> Failure {
        let reason = match self {
            Self::NotFound { .. } => Reason::ObjectNotFound,
            Self::AccessDenied { .. } => Reason::ObjectAccessDenied,
            Self::Archived { .. } => Reason::ObjectArchived,
            Self::Unavailable { .. } => Reason::ObjectUnavailable,
        };
        Failure::new(reason, self.to_string())
    }
}

/// What a store says of an object beside its bytes, as far as it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectInfo {
    /// When the object was written, Unix seconds.
    pub last_modified: Option<u32>,
    /// Its length as stored, bytes.
    pub size: Option<u64>,
    /// As S3 quotes it.
    pub etag: Option<String>,
    /// The version that is read.
    pub version_id: Option<String>,
    /// Where it is stored if not in the standard class: what is archived cannot be read at once.
    pub storage_class: Option<String>,
}

/// An object that was opened: its bytes are still to come.
#[derive(Debug)]
pub struct OpenObject<B> {
    /// What the store says of it.
    pub info: ObjectInfo,
    /// The stream of its bytes.
    pub body: B,
}

/// An object as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its name.
    pub object: ObjectRef,
    /// Its length as stored, bytes.
    pub size: u64,
}

/// Some objects in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// At most a thousand.
    pub objects: Vec<ListedObject>,
    /// Whether there are more after them.
    pub has_more: bool,
}

/// Where objects are read from. Implemented for S3 in [`crate::aws::s3`].
pub trait ObjectStore: Send + Sync + 'static {
    /// The stream of one object's bytes.
    type Body: ObjectBody;

    /// Opens an object; its bytes follow in [`OpenObject::body`].
    fn open(
        &self,
        object: &ObjectRef,
    ) -> impl Future<Output = Result<OpenObject<Self::Body>, StoreError>> + Send;

    /// The objects whose keys begin with `prefix` and come after the key `after`, the next ones by key.
    fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: &str,
    ) -> impl Future<Output = Result<ObjectPage, StoreError>> + Send;

    /// Asks for what [`Self::open`] would say of an object, and for none of its bytes.
    fn head(&self, object: &ObjectRef) -> impl Future<Output = Result<ObjectInfo, StoreError>> + Send;

    /// A URL that reads the object without further credentials until it expires. Whether there is such an object is
    /// not asked.
    fn presigned_url(
        &self,
        object: &ObjectRef,
        expires_in: Duration,
    ) -> impl Future<Output = Result<String, StoreError>> + Send;
}

/// The bytes of one object, piece by piece.
pub trait ObjectBody: Send + 'static {
    /// The next piece; `None` at the end of a complete object. An object that ends early is an error.
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> ObjectRef {
        ObjectRef {
            bucket: "b".into(),
            key: key.into(),
            version_id: None,
        }
    }

    #[test]
    fn the_stamp_of_a_delivered_file_is_read() {
        // Name from the VPC user guide; 2018-06-20T16:20Z = 1529511600.
        let key = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2018/06/20/\
                   123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20180620T1620Z_fe123456.log.gz";
        assert_eq!(object(key).key_stamp(), Some(1_529_511_600));
        let origin = KeyOrigin {
            account: Some("123456789012".into()),
            region: Some("us-east-1".into()),
            flow_log_id: Some("fl-1234abcd".into()),
        };
        assert_eq!(object(key).key_origin(), origin);
        assert_eq!(
            object("vpcflowlogs/my_own_name.log.gz").key_origin(),
            KeyOrigin::default()
        );
    }

    #[test]
    fn a_name_without_a_stamp_has_none() {
        for key in ["a.log.gz", "x_20189920T1620Z_y.log.gz", "x_20180620T1620_y", ""] {
            assert_eq!(object(key).key_stamp(), None, "{key}");
        }
    }

    #[test]
    fn account_region_and_flow_log_are_read_from_the_name_or_the_folders() {
        let name = "123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20180620T1620Z_fe123456.log.gz";
        let facts = |account: Option<&str>, region: Option<&str>, flow_log: Option<&str>| KeyOrigin {
            account: account.map(str::to_owned),
            region: region.map(str::to_owned),
            flow_log_id: flow_log.map(str::to_owned),
        };
        let (account, region) = (Some("123456789012"), Some("us-east-1"));
        for (key, expected) in [
            (name.to_owned(), facts(account, region, Some("fl-1234abcd"))),
            (
                format!("other/{name}"),
                facts(account, region, Some("fl-1234abcd")),
            ),
            (
                "p/AWSLogs/123456789012/vpcflowlogs/us-east-1/2018/06/20/renamed.gz".to_owned(),
                facts(account, region, None),
            ),
            (
                "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/a.gz"
                    .to_owned(),
                facts(account, region, None),
            ),
            ("logs/a_b.gz".to_owned(), KeyOrigin::default()),
        ] {
            assert_eq!(object(&key).key_origin(), expected, "{key}");
        }
    }

    #[test]
    fn an_object_is_shown_as_a_uri() {
        let mut shown = object("a b/c.gz");
        assert_eq!(shown.to_string(), "s3://b/a b/c.gz");
        shown.version_id = Some("v1".into());
        assert_eq!(shown.to_string(), "s3://b/a b/c.gz (version v1)");
    }

    #[test]
    fn a_uri_names_a_bucket_and_a_key() {
        assert_eq!(ObjectRef::parse_uri("s3://b/a b/c.gz"), Some(object("a b/c.gz")));
        for other in ["b/k", "s3://b", "s3://b/", "s3:///k", "S3://b/k", "https://b/k"] {
            assert_eq!(ObjectRef::parse_uri(other), None, "{other}");
        }
    }
}
