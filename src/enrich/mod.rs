//! What a record says between its lines, and what is known beside it: derived values, each infallible (a miss is a
//! miss). Nothing here changes a document's id, its index or any counter.

mod community_id;
mod geo;
mod network_map;
mod tag;
mod zone_id;
mod zones;

use std::sync::Arc;

use crate::config::{ConfigError, EnrichSettings, Problem};
use crate::fetch::{Fetched, LocalFile, fetch};
use crate::object::ObjectStore;
use crate::outcome::error_chain;

pub use community_id::{CommunityId, CommunityIds, community_id};
pub use geo::{Coordinates, DatabaseDescription, DatabaseError, Geo, Place, RegionCode};
pub use network_map::{NetworkMap, NetworkMapError};
pub use zone_id::ZoneId;
pub use zones::{ZoneFinder, ZoneRule, Zones};

/// What documents are enriched with. Made once at start, shared by everything that writes documents.
#[derive(Debug)]
pub struct Enrichment {
    /// Whether documents have a `network.community_id`, which takes a fifth of the store.
    pub community_id: bool,
    /// Where addresses are; `None` without databases.
    pub geo: Option<Geo>,
    /// What is known of the user's networks; `None`: documents do not have the zones of their ends.
    pub zones: Option<Arc<NetworkMap>>,
}

impl Enrichment {
    /// Makes ready what these settings name, or tells everything that cannot be used. `connect` is called if a file
    /// lies in S3.
    pub async fn open<S: ObjectStore>(
        settings: &EnrichSettings,
        connect: impl AsyncFnOnce() -> S,
    ) -> Result<Self, ConfigError> {
        let network_map = match settings.zones {
            true => &settings.network_map[..],
            false => &[],
        };
        let Fetched { files, mut problems } = fetch(
            [
                ("GEO_CITY_DB", &settings.geo_city_db),
                ("GEO_ASN_DB", &settings.geo_asn_db),
                ("NETWORK_MAP", network_map),
            ],
            connect,
        )
        .await;
        let [city_files, asn_files, map_files] = files;
        let mut geo = Geo::default();
        let mut check = |name, opened: Result<(), DatabaseError>| {
            if let Err(error) = opened {
                problems.push(Problem {
                    name,
                    message: error_chain(&error),
                });
            }
        };
        for file in city_files {
            check("GEO_CITY_DB", geo.add_places(file));
        }
        for file in asn_files {
            check("GEO_ASN_DB", geo.add_systems(file));
        }
        let map = read_network_map(map_files);
        let map = map.map_err(|wrong| problems.extend(wrong)).unwrap_or_default();
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        Ok(Self {
            community_id: settings.community_id,
            geo: (!geo.is_empty()).then_some(geo),
            zones: settings.zones.then(|| Arc::new(map)),
        })
    }
}

impl Default for Enrichment {
    /// What needs nothing from outside.
    fn default() -> Self {
        Self {
            community_id: true,
            geo: None,
            zones: Some(Arc::default()),
        }
    }
}

fn read_network_map(files: Vec<LocalFile>) -> Result<NetworkMap, Vec<Problem>> {
    let files = files
        .into_iter()
        .map(|file| (file.location.to_string(), file.file));
    NetworkMap::read(files).map_err(|errors| {
        let problem = |error: &NetworkMapError| Problem {
            name: "NETWORK_MAP",
            message: error_chain(error),
        };
        errors.iter().map(problem).collect()
    })
}

#[cfg(test)]
pub(crate) use geo::tests as geo_tests;
