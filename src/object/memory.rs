//! A store in memory, which fails on what it was not given.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::{
    ListedObject, ObjectBody, ObjectInfo, ObjectPage, ObjectRef, ObjectStore, OpenObject, StoreError,
};

/// What a stored object does when it is read.
#[derive(Clone, Debug)]
enum Content {
    Whole(Bytes),
    /// The stream breaks after so many bytes.
    Cut(Bytes, usize),
    /// The stream never goes on after so many bytes.
    Stalled(Bytes, usize),
    Panic,
}

impl Content {
    fn size(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) | Self::Cut(bytes, _) | Self::Stalled(bytes, _) => Some(bytes.len() as u64),
            Self::Panic => None,
        }
    }
}

/// Objects by bucket and key, shared by clones.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryStore {
    objects: Arc<Mutex<HashMap<(String, String), Content>>>,
}

impl MemoryStore {
    /// Of every object.
    pub(crate) const ETAG: &str = "\"0\"";

    pub(crate) fn put(&self, key: &str, bytes: impl Into<Bytes>) -> ObjectRef {
        self.insert(key, Content::Whole(bytes.into()))
    }

    pub(crate) fn put_cut(&self, key: &str, bytes: impl Into<Bytes>, after: usize) -> ObjectRef {
        self.insert(key, Content::Cut(bytes.into(), after))
    }

    pub(crate) fn put_stalled(&self, key: &str, bytes: impl Into<Bytes>, after: usize) -> ObjectRef {
        self.insert(key, Content::Stalled(bytes.into(), after))
    }

    pub(crate) fn put_panicking(&self, key: &str) -> ObjectRef {
        self.insert(key, Content::Panic)
    }

    fn insert(&self, key: &str, content: Content) -> ObjectRef {
        let object = ObjectRef {
            bucket: "logs".into(),
            key: key.into(),
            version_id: None,
        };
        self.objects
            .lock()
            .unwrap()
            .insert((object.bucket.clone(), object.key.clone()), content);
        object
    }
}

impl ObjectStore for MemoryStore {
    type Body = MemoryBody;

    async fn open(&self, object: &ObjectRef) -> Result<OpenObject<MemoryBody>, StoreError> {
        let name = (object.bucket.clone(), object.key.clone());
        let Some(content) = self.objects.lock().unwrap().get(&name).cloned() else {
            return Err(StoreError::NotFound {
                object: object.clone(),
                detail: "NoSuchKey".into(),
            });
        };
        Ok(OpenObject {
            info: ObjectInfo {
                last_modified: Some(1_418_530_000),
                etag: Some(Self::ETAG.to_owned()),
                size: content.size(),
                ..ObjectInfo::default()
            },
            body: MemoryBody {
                object: object.clone(),
                content,
                position: 0,
            },
        })
    }

    async fn list(&self, bucket: &str, prefix: &str, after: &str) -> Result<ObjectPage, StoreError> {
        let objects = self.objects.lock().unwrap();
        let in_bucket = objects.iter().filter(|((of, _), _)| of == bucket);
        let listed = in_bucket.filter_map(|((_, key), content)| {
            let size = usize::try_from(content.size()?).ok()?;
            Some((key.clone(), size))
        });
        Ok(page(bucket, prefix, after, listed))
    }

    async fn head(&self, object: &ObjectRef) -> Result<ObjectInfo, StoreError> {
        let open = self.open(object).await?;
        let size = match open.body.content {
            Content::Whole(bytes) | Content::Cut(bytes, _) | Content::Stalled(bytes, _) => bytes.len(),
            Content::Panic => panic!("scripted panic"),
        };
        Ok(ObjectInfo {
            size: Some(size as u64),
            ..open.info
        })
    }

    async fn presigned_url(&self, object: &ObjectRef, expires_in: Duration) -> Result<String, StoreError> {
        let ObjectRef { bucket, key, .. } = object;
        Ok(format!(
            "memory://{bucket}/{key}?expires={}",
            expires_in.as_secs()
        ))
    }
}

/// A page as S3 would make it, but of two objects: most tests have few.
pub(crate) fn page(
    bucket: &str,
    prefix: &str,
    after: &str,
    all: impl Iterator<Item = (String, usize)>,
) -> ObjectPage {
    let mut found: Vec<(String, usize)> = all
        .filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after)
        .collect();
    found.sort();
    let has_more = found.len() > 2;
    found.truncate(2);
    let listed = found.into_iter().map(|(key, size)| ListedObject {
        object: ObjectRef {
            bucket: bucket.to_owned(),
            key,
            version_id: None,
        },
        size: size as u64,
    });
    ObjectPage {
        objects: listed.collect(),
        has_more,
    }
}

/// The bytes of one object, in chunks of an odd size.
#[derive(Debug)]
pub(crate) struct MemoryBody {
    object: ObjectRef,
    content: Content,
    position: usize,
}

impl MemoryBody {
    /// All of these bytes.
    pub(crate) fn of(object: &ObjectRef, bytes: Bytes) -> Self {
        Self {
            object: object.clone(),
            content: Content::Whole(bytes),
            position: 0,
        }
    }
}

impl ObjectBody for MemoryBody {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        const CHUNK_BYTES: usize = 7919;
        let (bytes, end) = match &self.content {
            Content::Whole(bytes) => (bytes, bytes.len()),
            Content::Cut(bytes, after) | Content::Stalled(bytes, after) => (bytes, *after),
            Content::Panic => panic!("scripted panic"),
        };
        let chunk = bytes.slice(self.position..end.min(self.position + CHUNK_BYTES));
        self.position += chunk.len();
        match &self.content {
            _ if !chunk.is_empty() => Ok(Some(chunk)),
            Content::Whole(_) => Ok(None),
            Content::Stalled(..) => std::future::pending().await,
            _ => Err(StoreError::Unavailable {
                object: self.object.clone(),
                detail: "connection reset".into(),
            }),
        }
    }
}
