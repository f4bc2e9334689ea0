//! A body → the same with its own hash in it, so that what somebody changed on the server since is seen: the hash then
//! no longer fits. The hash is of what [`super::compare`] compares, hence the same however the server writes the body.

use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use super::compare::leaves;
use crate::assets::Kind;

const PRODUCT: &str = "flowship";

/// Where a body on the server comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Some flowship installed it just so.
    Installed,
    /// flowship installed it, and somebody changed it since.
    ChangedByHand,
    /// It does not say that it is flowship's.
    Foreign,
}

/// Writes the body's hash beside product and version; a kind without a place for them stays as it is.
pub(super) fn stamp(kind: Kind, body: &mut Value) {
    let hash = hash(kind, body);
    if let Some(Value::Object(about)) = about_pointer(kind).and_then(|pointer| body.pointer_mut(pointer)) {
        about.insert("hash".to_owned(), hash.into());
    }
}

/// `server` is what stands in the answer of a `GET`, `ours` a stamped body.
pub(super) fn origin(kind: Kind, server: &Value, ours: &Value) -> Origin {
    let about = about_pointer(kind).and_then(|pointer| server.pointer(pointer));
    let Some(about) = about.filter(|about| about["product"] == PRODUCT) else {
        return Origin::Foreign;
    };
    let hash_of_server = hash(kind, server);
    let is_intact = match about["hash"].as_str() {
        Some(installed) => installed == hash_of_server,
        // The first versions wrote no hash.
        None => hash_of_server == hash(kind, ours),
    };
    if is_intact {
        Origin::Installed
    } else {
        Origin::ChangedByHand
    }
}

/// The version of the part, which is the same for all parts of one flowship.
pub(super) fn version(kind: Kind, body: &Value) -> Option<u64> {
    let about = about_pointer(kind).and_then(|pointer| body.pointer(pointer))?;
    about["version"].as_u64()
}

/// Where product and version stand in a body.
const fn about_pointer(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::IlmPolicy => Some("/policy/_meta"),
        Kind::ComponentTemplate | Kind::IndexTemplate => Some("/_meta"),
        Kind::Role => Some("/metadata"),
        Kind::ClusterSetting => None,
    }
}

/// It stands on servers: another result for the same body would make every installation look changed by hand.
fn hash(kind: Kind, body: &Value) -> String {
    let mut hash = Xxh3::new();
    for (path, value) in leaves(kind, body) {
        if !["_meta.hash", "metadata.hash"].contains(&path.as_str()) {
            for part in [&path, "\0", &value, "\n"] {
                hash.update(part.as_bytes());
            }
        }
    }
    format!("{:032x}", hash.digest128())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings() -> Value {
        json!({
            "template": {"settings": {"index": {"number_of_shards": 1, "query_string": {"lenient": true}}}},
            "version": 1, "_meta": {"product": "flowship", "version": 1},
        })
    }

    fn stamped() -> Value {
        let mut body = settings();
        stamp(Kind::ComponentTemplate, &mut body);
        body
    }

    fn origin_of(server: &Value) -> Origin {
        origin(Kind::ComponentTemplate, server, &stamped())
    }

    /// The number is that of the version that first wrote one.
    #[test]
    fn the_hash_of_a_body_stays_the_same_for_ever() {
        insta::assert_snapshot!(stamped()["_meta"]["hash"].as_str().unwrap(), @"060d4ef4e7fa80210f34878e6699e1c2");
    }

    #[test]
    fn what_the_server_rewrites_is_still_what_was_installed() {
        let mut server = stamped();
        server["template"] = json!({"settings": {"index": {"number_of_shards": "1", "query_string.lenient": "true"}}, "aliases": {}});
        server["modified_date_millis"] = json!(1);
        assert_eq!(origin_of(&server), Origin::Installed);
    }

    #[test]
    fn another_version_is_not_taken_for_a_change_by_hand() {
        let mut older = settings();
        older["version"] = json!(0);
        older["template"]["settings"]["index"]["codec"] = json!("best_compression");
        stamp(Kind::ComponentTemplate, &mut older);
        assert_eq!(origin_of(&older), Origin::Installed);
    }

    #[test]
    fn a_change_is_seen_and_so_is_what_is_not_ours() {
        let mut changed = stamped();
        changed["template"]["settings"]["index"]["number_of_shards"] = json!("2");
        assert_eq!(origin_of(&changed), Origin::ChangedByHand);
        let mut foreign = stamped();
        foreign["_meta"] = json!({"managed": true});
        assert_eq!(origin_of(&foreign), Origin::Foreign);
        assert_eq!(origin_of(&json!({"template": {}})), Origin::Foreign);
    }

    #[test]
    fn what_was_installed_before_there_was_a_hash_counts_if_it_is_ours_to_the_letter() {
        assert_eq!(origin_of(&settings()), Origin::Installed);
        let mut changed = settings();
        changed["version"] = json!(7);
        assert_eq!(origin_of(&changed), Origin::ChangedByHand);
    }
}
