//! [`ObjectStore`] on S3: streaming GetObject, with the version the notification named, and ListObjectsV2;
//! [`Quarantine`]: PutObject, also on condition.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::{AwsContext, describe};
use crate::object::{
    ListedObject, ObjectBody, ObjectInfo, ObjectPage, ObjectRef, ObjectStore, OpenObject, StoreError,
};
use crate::outcome::error_chain;
use crate::quarantine::{Quarantine, QuarantineError, Replacement};

/// The SDK warns of every object that was uploaded in parts: their checksums are of parts, which it cannot check. Our
/// own check is the gzip trailer.
pub const LOG_DIRECTIVE: &str = "aws_sdk_s3::http_response_checksum=error";

/// S3 as an object store.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
}

impl S3Store {
    /// S3 in the context's region and with its credentials.
    pub fn new(context: &AwsContext) -> Self {
        let config = aws_sdk_s3::config::Builder::from(&context.config)
            .force_path_style(context.has_custom_s3_endpoint())
            .build();
        Self {
            client: Client::from_conf(config),
        }
    }
}

impl ObjectStore for S3Store {
    type Body = S3Body;

    async fn open(&self, object: &ObjectRef) -> Result<OpenObject<S3Body>, StoreError> {
        let answer = self
            .client
            .get_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .set_version_id(object.version_id.clone())
            .send()
            .await
            .map_err(|error| store_error(object, &error))?;
        Ok(OpenObject {
            info: ObjectInfo {
                last_modified: answer
                    .last_modified()
                    .and_then(|time| u32::try_from(time.secs()).ok()),
                size: answer
                    .content_length()
                    .and_then(|bytes| u64::try_from(bytes).ok()),
                etag: answer.e_tag.clone(),
                // What a bucket without versions says.
                version_id: answer.version_id.clone().filter(|version| version != "null"),
                storage_class: answer.storage_class().map(|class| class.as_str().to_owned()),
            },
            body: S3Body {
                object: object.clone(),
                stream: answer.body,
            },
        })
    }

    /// General purpose buckets list in the order of the keys' bytes; directory buckets do not.
    async fn list(&self, bucket: &str, prefix: &str, after: &str) -> Result<ObjectPage, StoreError> {
        let name = |key: &str| ObjectRef {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version_id: None,
        };
        let list = self.client.list_objects_v2().bucket(bucket).prefix(prefix);
        let answer = list.start_after(after).send().await;
        let answer = answer.map_err(|error| store_error(&name(prefix), &error))?;
        let listed = answer.contents().iter().filter_map(|object| {
            Some(ListedObject {
                object: name(object.key()?),
                size: u64::try_from(object.size()?).ok()?,
            })
        });
        Ok(ObjectPage {
            objects: listed.collect(),
            has_more: answer.is_truncated() == Some(true),
        })
    }

    async fn head(&self, object: &ObjectRef) -> Result<ObjectInfo, StoreError> {
        let head = self.client.head_object().bucket(&object.bucket).key(&object.key);
        let answer = head.set_version_id(object.version_id.clone()).send().await;
        let answer = answer.map_err(|error| {
            // The answer to a HEAD has no body, and so no code.
            let status = error.raw_response().map(|response| response.status().as_u16());
            let detail = match (error.code(), status) {
                (None, Some(status)) => format!("HTTP status {status}"),
                _ => describe(&error),
            };
            classify(object, error.code(), status, detail)
        })?;
        Ok(ObjectInfo {
            last_modified: answer
                .last_modified()
                .and_then(|time| u32::try_from(time.secs()).ok()),
            size: answer
                .content_length()
                .and_then(|bytes| u64::try_from(bytes).ok()),
            etag: answer.e_tag.clone(),
            version_id: answer.version_id.clone().filter(|version| version != "null"),
            storage_class: answer.storage_class().map(|class| class.as_str().to_owned()),
        })
    }

    async fn presigned_url(&self, object: &ObjectRef, expires_in: Duration) -> Result<String, StoreError> {
        let unavailable = |detail| StoreError::Unavailable {
            object: object.clone(),
            detail,
        };
        let config =
            PresigningConfig::expires_in(expires_in).map_err(|error| unavailable(error_chain(&error)))?;
        let get = self.client.get_object().bucket(&object.bucket).key(&object.key);
        let request = get
            .set_version_id(object.version_id.clone())
            .presigned(config)
            .await;
        let request = request.map_err(|error| unavailable(describe(&error)))?;
        Ok(request.uri().to_owned())
    }
}

impl S3Store {
    fn put_object(&self, object: &ObjectRef, bytes: Bytes) -> PutObjectFluentBuilder {
        let put = self.client.put_object().bucket(&object.bucket).key(&object.key);
        // No content encoding: a client that honours it would inflate what is called `.gz`.
        put.content_type("application/gzip").body(bytes.into())
    }
}

impl Quarantine for S3Store {
    async fn put(&self, object: &ObjectRef, bytes: Bytes) -> Result<(), QuarantineError> {
        let put = self.put_object(object, bytes).send().await;
        put.map(drop).map_err(|error| QuarantineError {
            object: object.clone(),
            detail: describe(&error),
        })
    }

    /// Source: "Conditional writes" in the Amazon S3 user guide.
    async fn replace(
        &self,
        object: &ObjectRef,
        etag: &str,
        bytes: Bytes,
    ) -> Result<Replacement, QuarantineError> {
        let put = self.put_object(object, bytes).if_match(etag).send().await;
        match put {
            Ok(_) => Ok(Replacement::Written),
            Err(error) => match error.code() {
                // Other bytes, a write at the same moment, or none any more.
                Some("PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey") => {
                    Ok(Replacement::Changed)
                }
                _ => Err(QuarantineError {
                    object: object.clone(),
                    detail: describe(&error),
                }),
            },
        }
    }
}

fn store_error<E>(object: &ObjectRef, error: &SdkError<E>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    classify(object, error.code(), status, describe(error))
}

/// By code first, by status where the code says nothing (HEAD-like answers without a body, other stores).
/// Source: "Error responses" in the Amazon S3 API reference.
fn classify(object: &ObjectRef, code: Option<&str>, status: Option<u16>, detail: String) -> StoreError {
    let object = object.clone();
    match (code, status) {
        (Some("NoSuchKey" | "NoSuchBucket" | "NoSuchVersion"), _) => StoreError::NotFound { object, detail },
        (Some("InvalidObjectState"), _) => StoreError::Archived { object, detail },
        (Some("AccessDenied" | "AllAccessDisabled" | "KMS.AccessDeniedException"), _) => {
            StoreError::AccessDenied { object, detail }
        }
        // A delete marker addressed by its version answers 405.
        (Some("MethodNotAllowed"), _) | (_, Some(404 | 405)) => StoreError::NotFound { object, detail },
        // Credentials that expired or are not there yet answer 403 too, and heal by themselves.
        (Some("ExpiredToken" | "RequestTimeTooSkewed" | "InvalidToken"), _) => {
            StoreError::Unavailable { object, detail }
        }
        (_, Some(403)) => StoreError::AccessDenied { object, detail },
        _ => StoreError::Unavailable { object, detail },
    }
}

/// The body of one GetObject answer. The SDK checks the stored checksum and the length at its end.
#[derive(Debug)]
pub struct S3Body {
    object: ObjectRef,
    stream: ByteStream,
}

impl ObjectBody for S3Body {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        match self.stream.next().await {
            None => Ok(None),
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => Err(StoreError::Unavailable {
                object: self.object.clone(),
                detail: error_chain(&error),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Reason;

    #[test]
    fn answers_are_classified_by_code_then_by_status() {
        let object = ObjectRef {
            bucket: "b".into(),
            key: "k".into(),
            version_id: None,
        };
        let cases = [
            (Some("NoSuchKey"), Some(404), Reason::ObjectNotFound),
            (Some("NoSuchBucket"), Some(404), Reason::ObjectNotFound),
            (Some("MethodNotAllowed"), Some(405), Reason::ObjectNotFound),
            (None, Some(404), Reason::ObjectNotFound),
            (Some("AccessDenied"), Some(403), Reason::ObjectAccessDenied),
            (Some("InvalidObjectState"), Some(403), Reason::ObjectArchived),
            (Some("ExpiredToken"), Some(400), Reason::ObjectUnavailable),
            (Some("SlowDown"), Some(503), Reason::ObjectUnavailable),
            (Some("PermanentRedirect"), Some(301), Reason::ObjectUnavailable),
            (None, None, Reason::ObjectUnavailable),
        ];
        for (code, status, reason) in cases {
            let error = classify(&object, code, status, String::new());
            assert_eq!(error.failure().reason, reason, "{code:?} {status:?}");
        }
    }
}
