//! The files and places that settings name: the quarantine, geo databases, the network map.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;

use super::LIMIT;
use super::check::{Check, counted};
use crate::aws::AwsContext;
use crate::aws::s3::S3Store;
use crate::config::{Location, ShipSettings};
use crate::enrich::{DatabaseError, Geo, NetworkMap};
use crate::fetch::{Fetched, LocalFile, fetch};
use crate::object::{ObjectRef, ObjectStore, StoreError};
use crate::outcome::error_chain;
use crate::quarantine::{Place, Quarantine};

/// Older, an update was missed more than once: publishers renew their databases at least once a month, and a quarter is
/// long enough for networks to move.
const MAX_AGE_DAYS: i64 = 90;

/// Longest time for the files of one setting: a database of 100 MB comes from S3 in seconds.
const FILE_LIMIT: Duration = Duration::from_secs(60);

/// Beside the quarantine files, where nobody takes it for one.
const PROBE_NAME: &str = "flowctl-doctor-probe";

/// Looks at the quarantine; writes to it only if told to.
pub(super) async fn look_at_quarantine(
    place: Option<&Place>,
    aws: Option<&AwsContext>,
    write_probes: bool,
) -> Vec<Check> {
    const NAME: &str = "quarantine.place";
    let (Some(place), Some(aws)) = (place, aws) else {
        return vec![Check::warn(
            NAME,
            "FLOWSHIP_QUARANTINE_URI is not set: an object with one bad line is dead-lettered as a whole",
            "set it to s3://bucket/prefix, with a prefix that no flow log is under",
        )];
    };
    let store = S3Store::new(aws);
    let list = store.list(place.bucket(), place.prefix(), "");
    let listed = tokio::time::timeout(LIMIT, list).await;
    let listed = match listed {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(_elapsed) => Err(StoreError::Unavailable {
            object: probe_of(place),
            detail: format!("no answer within {} s", LIMIT.as_secs()),
        }),
    };
    let mut checks = vec![judge_place(&listed, place)];
    if write_probes {
        checks.push(write_probe(&store, place).await);
    }
    checks
}

/// The function may write there and nothing else: that the list is refused to its credentials is as it should be.
fn judge_place(listed: &Result<(), StoreError>, place: &Place) -> Check {
    const NAME: &str = "quarantine.place";
    match listed {
        Ok(()) => Check::ok(NAME, place.to_string()),
        Err(StoreError::AccessDenied { .. }) => Check::denied(
            NAME,
            format!("{place} may not be listed, which the function need not do"),
            "s3:ListBucket to look, or --write-probes to try a write",
        ),
        Err(StoreError::NotFound { detail, .. }) => Check::fail(
            NAME,
            format!("{place}: {detail}: objects with a bad line come back, and are dead-lettered as a whole"),
            "make the bucket, or correct FLOWSHIP_QUARANTINE_URI",
        ),
        Err(error) => Check::fail(
            NAME,
            error.to_string(),
            "see to the network, AWS_REGION and the credentials of who runs this",
        ),
    }
}

fn probe_of(place: &Place) -> ObjectRef {
    ObjectRef {
        bucket: place.bucket().to_owned(),
        key: format!("{}{PROBE_NAME}", place.prefix()),
        version_id: None,
    }
}

async fn write_probe(store: &S3Store, place: &Place) -> Check {
    const NAME: &str = "quarantine.write";
    let probe = probe_of(place);
    let text = "written by flowctl doctor --write-probes; may be deleted\n";
    let written = match tokio::time::timeout(LIMIT, store.put(&probe, text.into())).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error_chain(&error)),
        Err(_elapsed) => Err(format!("no answer within {} s", LIMIT.as_secs())),
    };
    match written {
        Ok(()) => Check::ok(NAME, format!("{probe} was written, and stays")),
        Err(detail) => Check::fail(NAME, detail, "allow s3:PutObject under the prefix"),
    }
}

/// Opens what documents are enriched with, as the function does at its start.
pub(super) async fn look_at_enrichment(
    settings: &ShipSettings,
    aws: Option<&AwsContext>,
    now: Timestamp,
) -> Vec<Check> {
    let enrich = &settings.enrich;
    let mut checks = Vec::new();
    let databases: [(_, _, _, Add); 2] = [
        ("geo.city", "GEO_CITY_DB", &enrich.geo_city_db, Geo::add_places),
        ("geo.asn", "GEO_ASN_DB", &enrich.geo_asn_db, Geo::add_systems),
    ];
    for (name, setting, locations, add) in databases {
        if locations.is_empty() {
            checks.push(Check::skip(
                name,
                "no database: documents tell less of where addresses are",
                format!("FLOWSHIP_{setting}"),
            ));
        }
        for location in locations {
            checks.push(look_at_database(name, setting, location, add, aws, now).await);
        }
    }
    checks.push(look_at_map(settings, aws, now).await);
    checks
}

/// A file of the function's layer, which is unpacked to `/opt` there and nowhere else: that it is not here says nothing.
pub(super) fn judge_layer(name: &'static str, path: &Path) -> Option<Check> {
    let is_elsewhere = path.starts_with("/opt") && !path.exists();
    is_elsewhere.then(|| {
        Check::skip(
            name,
            format!("{} is not here: on Lambda /opt is the layer", path.display()),
            "run with local copies to check them",
        )
    })
}

fn judge_layers(name: &'static str, locations: &[Location]) -> Option<Check> {
    locations.iter().find_map(|location| match location {
        Location::Path(path) => judge_layer(name, path),
        Location::Object(_) => None,
    })
}

type Add = fn(&mut Geo, LocalFile) -> Result<(), DatabaseError>;

async fn look_at_database(
    name: &'static str,
    setting: &'static str,
    location: &Location,
    add: Add,
    aws: Option<&AwsContext>,
    now: Timestamp,
) -> Check {
    if let Some(check) = judge_layers(name, std::slice::from_ref(location)) {
        return check;
    }
    let remedy =
        format!("correct FLOWSHIP_{setting}, or put a whole database there: the function does not start");
    let file = match open(setting, std::slice::from_ref(location), aws).await {
        Ok(mut files) => files.remove(0),
        Err(detail) => return Check::fail(name, detail, remedy),
    };
    let mut geo = Geo::default();
    if let Err(error) = add(&mut geo, file) {
        return Check::fail(name, error_chain(&error), remedy);
    }
    let description = geo.descriptions().next().expect("a database was added");
    let built = i64::try_from(description.built).ok();
    judge_age(
        name,
        &format!("{location}: {}", description.database_type),
        "built",
        built.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        now,
    )
}

async fn look_at_map(settings: &ShipSettings, aws: Option<&AwsContext>, now: Timestamp) -> Check {
    const NAME: &str = "network-map";
    const SETTING: &str = "NETWORK_MAP";
    const REMEDY: &str =
        "correct FLOWSHIP_NETWORK_MAP, or describe subnets and interfaces anew: the function does not start";
    let locations = &settings.enrich.network_map;
    if locations.is_empty() || !settings.enrich.zones {
        let found = "no map: zones are known as far as the records state them";
        return Check::skip(NAME, found, "FLOWSHIP_NETWORK_MAP, and FLOWSHIP_ZONES true");
    }
    if let Some(check) = judge_layers(NAME, locations) {
        return check;
    }
    let files = match open(SETTING, locations, aws).await {
        Ok(files) => files,
        Err(detail) => return Check::fail(NAME, detail, REMEDY),
    };
    let mut oldest: Option<Timestamp> = None;
    for file in &files {
        if let Some(written) = written(file, aws).await {
            oldest = Some(oldest.map_or(written, |oldest| oldest.min(written)));
        }
    }
    let files = files
        .into_iter()
        .map(|file| (file.location.to_string(), file.file));
    match NetworkMap::read(files) {
        Err(errors) => {
            let details = errors.iter().map(|error| error_chain(error)).collect();
            Check::fail(NAME, "the map cannot be read", REMEDY).with_details(details)
        }
        Ok(map) => {
            let counts = map.counts().into_iter().zip(["VPC", "subnet", "interface"]);
            let what: Vec<String> = counts
                .map(|(number, word)| counted(number as u64, word))
                .collect();
            let what = what.join(", ");
            judge_age(NAME, &what, "written", oldest, now)
        }
    }
}

/// When a file was written, as far as that is told.
async fn written(file: &LocalFile, aws: Option<&AwsContext>) -> Option<Timestamp> {
    let seconds = match &file.location {
        Location::Path(_) => {
            let modified = file.file.metadata().ok()?.modified().ok()?;
            i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()?
        }
        Location::Object(object) => {
            let store = S3Store::new(aws?);
            let info = tokio::time::timeout(LIMIT, store.head(object)).await.ok()?.ok()?;
            i64::from(info.last_modified?)
        }
    };
    Timestamp::from_second(seconds).ok()
}

async fn open(
    setting: &'static str,
    locations: &[Location],
    aws: Option<&AwsContext>,
) -> Result<Vec<LocalFile>, String> {
    let connect = async || match aws {
        Some(aws) => S3Store::new(aws),
        None => S3Store::new(&AwsContext::load().await),
    };
    let fetched = tokio::time::timeout(FILE_LIMIT, fetch([(setting, locations)], connect)).await;
    let late = |_elapsed| format!("not read within {} s", FILE_LIMIT.as_secs());
    let Fetched { files, problems } = fetched.map_err(late)?;
    let [files] = files;
    if problems.is_empty() {
        return Ok(files);
    }
    let told: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
    Err(told.join("; "))
}

fn judge_age(name: &'static str, what: &str, verb: &str, time: Option<Timestamp>, now: Timestamp) -> Check {
    let Some(time) = time else {
        return Check::ok(name, what);
    };
    let days = now.duration_since(time).as_hours() / 24;
    let found = format!("{what}, {verb} {}, {days} days ago", time.strftime("%Y-%m-%d"));
    if days > MAX_AGE_DAYS {
        Check::warn(name, found, "renew it, and see why nobody did")
    } else {
        Check::ok(name, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-21T12:00:00Z";

    #[test]
    fn an_old_file_is_a_warning() {
        let judged = |days: i64| {
            let now: Timestamp = NOW.parse().unwrap();
            let then = Timestamp::from_second(now.as_second() - days * 86_400).unwrap();
            let check = judge_age("geo.city", "a.mmdb: City", "built", Some(then), now);
            format!("{:?} {}", check.verdict, check.found)
        };
        insta::assert_snapshot!([judged(0), judged(90), judged(91)].join("\n"), @"
        Ok a.mmdb: City, built 2026-11-21, 0 days ago
        Ok a.mmdb: City, built 2026-08-23, 90 days ago
        Warn a.mmdb: City, built 2026-08-22, 91 days ago
        ");
    }

    #[test]
    fn a_file_of_the_layer_that_is_not_here_is_skipped() {
        let check = judge_layer("geo.city", Path::new("/opt/flowship-tests/none.mmdb")).unwrap();
        insta::assert_snapshot!(format!("{:?} {}", check.verdict, check.found), @"Skip /opt/flowship-tests/none.mmdb is not here: on Lambda /opt is the layer");
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(judge_layer("geo.city", &folder.path().join("none.mmdb")), None);
        assert_eq!(judge_layer("geo.city", Path::new("/opt")), None);
    }

    #[test]
    fn a_quarantine_that_the_function_alone_may_write_to_is_no_failure() {
        let place = Place::parse_uri("s3://kept/bad").unwrap();
        let object = probe_of(&place);
        let detail = "AccessDenied: no".to_owned();
        let told = [
            Ok(()),
            Err(StoreError::AccessDenied {
                object: object.clone(),
                detail,
            }),
            Err(StoreError::NotFound {
                object: object.clone(),
                detail: "NoSuchBucket: none".to_owned(),
            }),
            Err(StoreError::Unavailable {
                object,
                detail: "connection refused".to_owned(),
            }),
        ]
        .map(|listed| {
            let check = judge_place(&listed, &place);
            format!("{:?} {}", check.verdict, check.found)
        });
        insta::assert_snapshot!(told.join("\n"), @"
        Ok s3://kept/bad/
        Skip s3://kept/bad/ may not be listed, which the function need not do
        Fail s3://kept/bad/: NoSuchBucket: none: objects with a bad line come back, and are dead-lettered as a whole
        Fail s3://kept/bad/flowctl-doctor-probe: connection refused
        ");
    }
}
