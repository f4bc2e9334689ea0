//! Credentials that are rotated while the function runs: a 401 has the secret read again, once, before it counts.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::client::Client;
use crate::bulk::{BulkAnswer, BulkSink, SendError};
use crate::config::Credentials;

/// The secret is read again at most so often: where it is wrong for good, every request is answered 401, and a
/// thousand function instances still stay far below Secrets Manager's 10,000 calls a second.
const MIN_INTERVAL: Duration = Duration::from_secs(30);

const UNAUTHORIZED: u16 = 401;

/// Where secrets are kept that settings name. Implemented for Secrets Manager in [`crate::aws::secrets`].
pub trait SecretStore: Send + Sync + 'static {
    /// The current text of a secret by ARN or name; the error tells a person why not, without the text.
    fn read_secret(&self, secret_id: &str) -> impl Future<Output = Result<String, String>> + Send;
}

/// A client that outlives the rotation of its secret. Credentials that settings hold themselves cannot change.
#[derive(Debug)]
pub struct RenewingClient<S> {
    client: Client,
    credentials: Credentials,
    secrets: S,
    renewals: Renewals,
}

impl<S: SecretStore> RenewingClient<S> {
    /// `credentials`: those that `client` was connected with.
    pub fn new(client: Client, credentials: Credentials, secrets: S) -> Self {
        Self {
            client,
            credentials,
            secrets,
            renewals: Renewals::default(),
        }
    }

    async fn read_again(&self) -> bool {
        let read_secret = async |secret_id: &str| self.secrets.read_secret(secret_id).await;
        match self.client.renew(&self.credentials, read_secret).await {
            Ok(()) => {
                tracing::info!("Elasticsearch refused the credentials (401), the secret was read again");
                true
            }
            Err(error) => {
                tracing::error!(%error, "Elasticsearch refused the credentials (401), the secret cannot be read again");
                false
            }
        }
    }

    fn has_secret(&self) -> bool {
        matches!(
            self.credentials,
            Credentials::SecretArn(_) | Credentials::SecretFile(_)
        )
    }
}

impl<S: SecretStore> BulkSink for RenewingClient<S> {
    async fn send_bulk(&self, gzip: Bytes, timeout: Duration) -> Result<BulkAnswer, SendError> {
        let end = Instant::now() + timeout;
        let used = self.renewals.num();
        let answer = self.client.send_bulk(gzip.clone(), timeout).await?;
        if answer.status != UNAUTHORIZED || !self.has_secret() {
            return Ok(answer);
        }
        match timeout_at(end, self.renewals.after_refusal(used, self.read_again())).await {
            Ok(true) => {
                let time_left = end.saturating_duration_since(Instant::now());
                self.client.send_bulk(gzip, time_left).await
            }
            Ok(false) | Err(_) => Ok(answer),
        }
    }
}

/// Who reads the secret again: of all requests that were refused with the same credentials, one.
#[derive(Debug, Default)]
struct Renewals {
    num: AtomicU64,
    last_tried: Mutex<Option<Instant>>,
}

impl Renewals {
    /// How often the credentials were renewed: which ones a request that begins now is sent with.
    fn num(&self) -> u64 {
        self.num.load(Ordering::Acquire)
    }

    /// Whether a request that was sent after `used` renewals, and refused, has others to be sent with now.
    async fn after_refusal(&self, used: u64, read_again: impl Future<Output = bool>) -> bool {
        let mut last_tried = self.last_tried.lock().await;
        if self.num() != used {
            return true;
        }
        if last_tried.is_some_and(|tried| tried.elapsed() < MIN_INTERVAL) {
            return false;
        }
        // Before it is read: an attempt that is given up half way counts, too.
        *last_tried = Some(Instant::now());
        let renewed = read_again.await;
        if renewed {
            self.num.fetch_add(1, Ordering::Release);
        }
        renewed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the secret in a second; `reads` counts.
    async fn read(reads: &AtomicU64, succeeds: bool) -> bool {
        reads.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        succeeds
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_refused_together_have_the_secret_read_once() {
        let (renewals, reads) = (Renewals::default(), AtomicU64::new(0));
        let refused = || renewals.after_refusal(0, read(&reads, true));
        assert_eq!(
            tokio::join!(refused(), refused(), refused()),
            (true, true, true),
            "all are sent again"
        );
        assert!(refused().await, "one that was sent before and answered late");
        assert_eq!((reads.into_inner(), renewals.num()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_stays_wrong_is_read_once_an_interval() {
        let (renewals, reads) = (Renewals::default(), AtomicU64::new(0));
        assert!(renewals.after_refusal(0, read(&reads, true)).await);
        for _ in 0..5 {
            assert!(!renewals.after_refusal(1, read(&reads, true)).await);
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        tokio::time::advance(MIN_INTERVAL).await;
        assert!(renewals.after_refusal(1, read(&reads, true)).await);
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_fails_or_is_given_up_counts_as_one() {
        let (renewals, reads) = (Renewals::default(), AtomicU64::new(0));
        assert!(!renewals.after_refusal(0, read(&reads, false)).await);
        assert!(!renewals.after_refusal(0, read(&reads, true)).await);
        tokio::time::advance(MIN_INTERVAL).await;
        let given_up = renewals.after_refusal(0, std::future::pending());
        let limit = tokio::time::timeout(Duration::from_secs(5), given_up).await;
        assert!(limit.is_err());
        assert!(!renewals.after_refusal(0, read(&reads, true)).await);
        assert_eq!(reads.into_inner(), 1);
    }
}
