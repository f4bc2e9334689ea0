//! What a record says between its lines: derived values, each infallible (a miss is a miss).

mod community_id;

pub use community_id::{CommunityId, community_id};
