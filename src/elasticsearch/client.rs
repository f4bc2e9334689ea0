//! The official client's [`Transport`], used for what it is good at: connections, TLS, authentication. Bodies are
//! ours, and so are retries (in [`crate::bulk`]), because only we know which documents of a body are still due.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use elasticsearch::auth::Credentials as ClientCredentials;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::headers::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use elasticsearch::http::transport::{
    MultiNodeConnectionPool, SingleNodeConnectionPool, Transport, TransportBuilder,
};
use elasticsearch::http::{Method, StatusCode, Url};
use serde::Deserialize;

use crate::bulk::{BulkAnswer, BulkSink, SendError};
use crate::config::{self, Credentials, ElasticsearchSettings};
use crate::outcome::error_chain;

const BULK: &str = "_bulk";

/// What of a `_bulk` answer is needed. `items.*.status` must stay: an item without any of the named fields vanishes
/// from the array, and positions shift.
const BULK_FILTER_PATH: &str = "errors,items.*.status,items.*.error.type,items.*.error.reason";

/// Limit of one call that is not `_bulk`.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Limit of the first call: a Lambda function has 10 s to start.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why Elasticsearch cannot be used with these settings. Every text names the setting to look at.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The CA file cannot be read or holds no certificate.
    #[error("FLOWSHIP_ELASTICSEARCH_CA_FILE: {}: {detail}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The secret cannot be read or understood.
    #[error("{setting}: {detail}")]
    Secret {
        /// The setting that names it.
        setting: &'static str,
        /// What is wrong with it; never its value.
        detail: String,
    },
    /// The client refuses the settings.
    #[error("FLOWSHIP_ELASTICSEARCH_URLS: {0}")]
    Build(String),
    /// Nobody answers.
    #[error("FLOWSHIP_ELASTICSEARCH_URLS: Elasticsearch cannot be reached at {url}: {detail}")]
    Unreachable {
        /// The URL that was tried first.
        url: String,
        /// The chain of causes.
        detail: String,
    },
    /// The server's certificate is not signed by a known CA.
    #[error(
        "FLOWSHIP_ELASTICSEARCH_CA_FILE: the certificate of {url} is not trusted: {detail}; \
         give the PEM file of the CA that signed it"
    )]
    UntrustedCertificate {
        /// The URL that was tried first.
        url: String,
        /// What the TLS library says.
        detail: String,
    },
    /// The credentials are refused.
    #[error("{setting}: Elasticsearch at {url} refuses the credentials (401)")]
    Unauthorized {
        /// The setting that holds them, or would.
        setting: &'static str,
        /// The URL that was tried first.
        url: String,
    },
}

/// An answer to a call that is not `_bulk`.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// A connection to one cluster.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
    urls: Vec<Url>,
    first_url: String,
    credentials_setting: &'static str,
    /// Sent with every call that is not `_bulk`.
    headers: HeaderMap,
}

/// What a secret holds.
#[derive(Deserialize)]
struct SecretDocument {
    api_key: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Client {
    /// Builds the client. `read_secret` fetches a secret's text by ARN; it is called only when the settings name one.
    pub async fn connect(
        settings: &ElasticsearchSettings,
        read_secret: impl AsyncFnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, ClientError> {
        let (credentials, credentials_setting) = resolve(&settings.credentials, read_secret).await?;
        let first_url = settings.urls[0].to_string();
        let mut builder = match settings.urls.as_slice() {
            [url] => TransportBuilder::new(SingleNodeConnectionPool::new(url.clone())),
            urls => TransportBuilder::new(MultiNodeConnectionPool::round_robin(urls.to_vec(), None)),
        };
        if let Some(credentials) = credentials {
            builder = builder.auth(credentials);
        }
        if let Some(path) = &settings.ca_file {
            let problem = |detail: String| ClientError::CaFile {
                path: path.clone(),
                detail,
            };
            let pem = tokio::fs::read(path)
                .await
                .map_err(|error| problem(error.to_string()))?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| problem(error.to_string()))?;
            if certificate.is_empty() {
                return Err(problem("holds no PEM certificate".to_owned()));
            }
            builder = builder.cert_validation(CertificateValidation::Full(certificate));
        }
        let transport = builder
            .build()
            .map_err(|error| ClientError::Build(error.to_string()))?;
        Ok(Self {
            transport,
            urls: settings.urls.clone(),
            first_url,
            credentials_setting,
            headers: HeaderMap::new(),
        })
    }

    /// A client of the Kibana at `url`: it takes Elasticsearch's credentials, and refuses calls without its header
    /// against cross-site requests.
    pub async fn connect_to_kibana(
        url: Url,
        elasticsearch: &ElasticsearchSettings,
        read_secret: impl AsyncFnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, ClientError> {
        let settings = ElasticsearchSettings {
            urls: vec![url],
            ..elasticsearch.clone()
        };
        let mut client = Self::connect(&settings, read_secret).await?;
        client
            .headers
            .insert("kbn-xsrf", HeaderValue::from_static("true"));
        Ok(client)
    }

    /// Asks once whether the server answers, its certificate is trusted and the credentials are taken. Needs no
    /// privilege; servers without security answer the call with an error, which is an answer too.
    pub async fn probe(&self) -> Result<(), ClientError> {
        let call = self.send(
            Method::Get,
            "_security/_authenticate",
            HeaderMap::new(),
            None,
            PROBE_TIMEOUT,
        );
        let url = self.first_url.clone();
        match call.await {
            Ok(answer) if answer.status == StatusCode::UNAUTHORIZED.as_u16() => {
                Err(ClientError::Unauthorized {
                    setting: self.credentials_setting,
                    url,
                })
            }
            Ok(_) => Ok(()),
            Err(error) => Err(match untrusted_certificate(&error) {
                Some(detail) => ClientError::UntrustedCertificate { url, detail },
                None => ClientError::Unreachable {
                    url,
                    detail: error_chain(&error),
                },
            }),
        }
    }

    /// Reads the secret that the credentials name again; every later request of this client and its clones has them.
    pub(super) async fn renew(
        &self,
        credentials: &Credentials,
        read_secret: impl AsyncFnOnce(&str) -> Result<String, String>,
    ) -> Result<(), ClientError> {
        if let (Some(credentials), _) = resolve(credentials, read_secret).await? {
            self.transport.set_auth(credentials);
        }
        Ok(())
    }

    /// The URL that an answer to `_bulk` came from, unless it is one of ours. Without its query, which may be secret.
    fn redirected_to(&self, answered_by: &Url) -> Option<String> {
        let mut answered_by = answered_by.clone();
        answered_by.set_query(None);
        answered_by.set_fragment(None);
        let mut asked = self.urls.iter().filter_map(|url| url.join(BULK).ok());
        let is_ours = asked.any(|url| url == answered_by);
        (!is_ours).then(|| answered_by.into())
    }

    /// Where the cluster is.
    pub fn url(&self) -> &str {
        &self.first_url
    }

    /// `GET path`; the path has no leading `/` and may carry a query.
    pub async fn get(&self, path: &str) -> Result<Answer, SendError> {
        self.call(Method::Get, path, None).await
    }

    /// `PUT path` with a JSON body.
    pub async fn put(&self, path: &str, body: impl Into<Bytes>) -> Result<Answer, SendError> {
        self.call(Method::Put, path, Some(body.into())).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Result<Answer, SendError> {
        self.call(Method::Post, path, Some(body.into())).await
    }

    /// `POST path` with a body of `multipart/form-data` whose parts `boundary` parts.
    pub async fn post_form(&self, path: &str, boundary: &str, body: String) -> Result<Answer, SendError> {
        let mut headers = self.headers.clone();
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let content_type = HeaderValue::try_from(content_type).expect("a boundary is ASCII");
        headers.insert(CONTENT_TYPE, content_type);
        self.send(Method::Post, path, headers, Some(body.into()), CALL_TIMEOUT)
            .await
            .map_err(|error| to_send_error(&error))
    }

    async fn call(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Answer, SendError> {
        self.send(method, path, self.headers.clone(), body, CALL_TIMEOUT)
            .await
            .map_err(|error| to_send_error(&error))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<Bytes>,
        timeout: Duration,
    ) -> Result<Answer, elasticsearch::Error> {
        let query = None::<&()>;
        let response = self
            .transport
            .send(method, path, headers, query, body, Some(timeout))
            .await?;
        let status = response.status_code().as_u16();
        Ok(Answer {
            status,
            body: response.bytes().await?,
        })
    }
}

impl BulkSink for Client {
    async fn send_bulk(&self, gzip: Bytes, timeout: Duration) -> Result<BulkAnswer, SendError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let query = [("filter_path", BULK_FILTER_PATH)];
        let sent = self.transport.send(
            Method::Post,
            BULK,
            headers,
            Some(&query),
            Some(gzip),
            Some(timeout),
        );
        let response = sent.await.map_err(|error| to_send_error(&error))?;
        let status = response.status_code().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(parse_retry_after);
        let redirected_to = self.redirected_to(response.url());
        let body = response.bytes().await.map_err(|error| to_send_error(&error))?;
        Ok(BulkAnswer {
            status,
            retry_after,
            redirected_to,
            body,
        })
    }
}

async fn resolve(
    credentials: &Credentials,
    read_secret: impl AsyncFnOnce(&str) -> Result<String, String>,
) -> Result<(Option<ClientCredentials>, &'static str), ClientError> {
    const ARN: &str = "FLOWSHIP_ELASTICSEARCH_SECRET_ARN";
    const FILE: &str = "FLOWSHIP_ELASTICSEARCH_SECRET_FILE";
    Ok(match credentials {
        // With no credentials at all a 401 means that some are needed.
        Credentials::Anonymous => (None, "FLOWSHIP_ELASTICSEARCH_API_KEY"),
        Credentials::ApiKey(key) => (
            Some(ClientCredentials::EncodedApiKey(key.clone())),
            "FLOWSHIP_ELASTICSEARCH_API_KEY",
        ),
        Credentials::Basic { username, password } => (
            Some(ClientCredentials::Basic(username.clone(), password.clone())),
            "FLOWSHIP_ELASTICSEARCH_PASSWORD",
        ),
        Credentials::SecretArn(arn) => {
            let text = read_secret(arn)
                .await
                .map_err(|detail| ClientError::Secret { setting: ARN, detail })?;
            (Some(parse_secret(&text, ARN)?), ARN)
        }
        Credentials::SecretFile(path) => {
            let text = tokio::fs::read_to_string(path)
                .await
                .map_err(|error| ClientError::Secret {
                    setting: FILE,
                    detail: format!("{}: {error}", path.display()),
                })?;
            (Some(parse_secret(&text, FILE)?), FILE)
        }
    })
}

fn parse_secret(text: &str, setting: &'static str) -> Result<ClientCredentials, ClientError> {
    let problem = |detail: &str| ClientError::Secret {
        setting,
        detail: detail.to_owned(),
    };
    let Ok(document) = serde_json::from_str::<SecretDocument>(text) else {
        // The parser's message could quote the secret.
        return Err(problem(
            "is not JSON with `api_key`, or with `username` and `password`",
        ));
    };
    match document {
        SecretDocument {
            api_key: Some(key), ..
        } => {
            let key = key.trim();
            config::check_api_key(key).map_err(|message| problem(&format!("`api_key` {message}")))?;
            Ok(ClientCredentials::EncodedApiKey(key.to_owned()))
        }
        SecretDocument {
            username: Some(username),
            password: Some(password),
            ..
        } => Ok(ClientCredentials::Basic(username, password)),
        _ => Err(problem("holds neither `api_key` nor `username` and `password`")),
    }
}

fn to_send_error(error: &elasticsearch::Error) -> SendError {
    if error.is_timeout() {
        SendError::Timeout
    } else {
        SendError::Connection {
            detail: error_chain(error),
        }
    }
}

/// The TLS library's words, when the connection failed because of the server's certificate.
fn untrusted_certificate(error: &elasticsearch::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(tls @ rustls::Error::InvalidCertificate(_)) = unwrap_io(inner).downcast_ref() {
            return Some(tls.to_string());
        }
        cause = inner.source();
    }
    None
}

/// An I/O error keeps what it wraps to itself: `source()` would skip it. They come nested.
fn unwrap_io<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    match error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        Some(inner) => unwrap_io(inner),
        None => error,
    }
}

/// Seconds only: the other form, a date, would need a clock that agrees with the server's.
fn parse_retry_after(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_holds_a_key_or_a_user() {
        let key = parse_secret(r#"{"url":"x","api_key":" aGk6a2V5\n"}"#, "S").unwrap();
        assert!(matches!(key, ClientCredentials::EncodedApiKey(key) if key == "aGk6a2V5"));
        let user = parse_secret(r#"{"username":"u","password":"p"}"#, "S").unwrap();
        assert!(matches!(user, ClientCredentials::Basic(..)));
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_told_without_its_value() {
        let told: Vec<String> = [
            "hunter2",
            r#"{"username":"hunter2"}"#,
            r#"{"api_key":"hunter2 x"}"#,
        ]
        .iter()
        .map(|text| {
            parse_secret(text, "FLOWSHIP_ELASTICSEARCH_SECRET_FILE")
                .unwrap_err()
                .to_string()
        })
        .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        FLOWSHIP_ELASTICSEARCH_SECRET_FILE: is not JSON with `api_key`, or with `username` and `password`
        FLOWSHIP_ELASTICSEARCH_SECRET_FILE: holds neither `api_key` nor `username` and `password`
        FLOWSHIP_ELASTICSEARCH_SECRET_FILE: `api_key` is not an encoded API key: one word of base64, the field `encoded` of the create call
        ");
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        assert_eq!(
            parse_retry_after(&HeaderValue::from_static("7")),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            parse_retry_after(&HeaderValue::from_static("Fri, 20 Nov 2026 03:10:00 GMT")),
            None
        );
    }
}
