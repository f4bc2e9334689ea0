//! What a record says between its lines, and what is known beside it: derived values, each infallible (a miss is a
//! miss). Nothing here changes a document's id, its index or any counter.

mod community_id;

use crate::config::{ConfigError, EnrichSettings};
use crate::fetch::fetch;
use crate::object::ObjectStore;

pub use community_id::{CommunityId, community_id};

/// What documents are enriched with. Made once at start, shared by everything that writes documents.
#[derive(Debug)]
pub struct Enrichment {
    /// Whether documents have a `network.community_id`, which takes a fifth of the store.
    pub community_id: bool,
}

impl Enrichment {
    /// Makes ready what these settings name, or tells everything that cannot be used. `connect` is called if a file
    /// lies in S3.
    pub async fn open<S: ObjectStore>(
        settings: &EnrichSettings,
        connect: impl AsyncFnOnce() -> S,
    ) -> Result<Self, ConfigError> {
        let fetched = fetch(
            [
                ("GEO_CITY_DB", &settings.geo_city_db),
                ("GEO_ASN_DB", &settings.geo_asn_db),
            ],
            connect,
        )
        .await;
        if !fetched.problems.is_empty() {
            return Err(ConfigError {
                problems: fetched.problems,
            });
        }
        Ok(Self {
            community_id: settings.community_id,
        })
    }
}

impl Default for Enrichment {
    /// What needs nothing from outside.
    fn default() -> Self {
        Self { community_id: true }
    }
}
