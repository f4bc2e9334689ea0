//! What a record says between its lines, and what is known beside it: derived values, each infallible (a miss is a
//! miss). Nothing here changes a document's id, its index or any counter.

mod community_id;

use crate::config::EnrichSettings;

pub use community_id::{CommunityId, CommunityIds, community_id};

/// What documents are enriched with. Made once at start, shared by everything that writes documents.
#[derive(Debug)]
pub struct Enrichment {
    /// Whether documents have a `network.community_id`, which takes a fifth of the store.
    pub community_id: bool,
}

impl Enrichment {
    /// Makes ready what these settings name.
    pub fn new(settings: &EnrichSettings) -> Self {
        Self {
            community_id: settings.community_id,
        }
    }
}

impl Default for Enrichment {
    /// What needs nothing from outside.
    fn default() -> Self {
        Self { community_id: true }
    }
}
