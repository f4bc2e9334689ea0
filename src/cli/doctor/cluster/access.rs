//! Whether Elasticsearch is reached, and what the credentials are allowed to.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::check::Check;
use super::reply::Reply;
use crate::config::Installation;
use crate::elasticsearch::client::ClientError;

/// Days before its end at which a certificate should be renewed.
const CERTIFICATE_DAYS: i64 = 30;

/// Elasticsearch's versions that are supported: those of the tests, and what lies between.
const VERSIONS: [u64; 2] = [8, 9];

const UNREACHED: &str = "see to the network between here and there, and to the server";

/// What became of a node's address: reached, or why not.
pub(super) type Probe<'a> = (&'a str, Result<(), ClientError>);

/// One node is enough to go on.
pub(super) fn judge_probes(probes: &[Probe<'_>]) -> Vec<Check> {
    let reached = probes.iter().filter(|(_, probe)| probe.is_ok()).count();
    let failed = probes.iter().filter_map(|(_, probe)| probe.as_ref().err());
    let mut checks: Vec<Check> = failed.map(|error| judge_error(error, reached > 0)).collect();
    if reached > 0 {
        let urls = probes
            .iter()
            .filter(|(_, probe)| probe.is_ok())
            .map(|(url, _)| *url);
        let urls: Vec<&str> = urls.collect();
        checks.insert(0, Check::ok("es.reachable", urls.join(", ")));
    }
    checks
}

/// Why a client cannot be made, or a node not be used. Some texts name settings, which is what is to be changed.
pub(super) fn judge_error(error: &ClientError, others_work: bool) -> Check {
    let found = error.to_string();
    let (name, remedy) = match error {
        ClientError::Unreachable { .. } => ("es.reachable", UNREACHED),
        ClientError::Build(_) => ("es.reachable", "correct the setting"),
        ClientError::UntrustedCertificate { .. } => (
            "es.certificate",
            "unknown issuer: FLOWSHIP_ELASTICSEARCH_CA_FILE; not valid for the name: use a name of the certificate in the \
             URL; expired: renew it on the server",
        ),
        ClientError::CaFile { .. } => (
            "es.certificate",
            "give the PEM file of the CA that signed the server's",
        ),
        ClientError::Secret { .. } => (
            "es.credentials",
            "correct the secret, or the setting that names it",
        ),
        ClientError::Unauthorized { .. } => (
            "es.credentials",
            "give the API key, or user and password, that the server knows: it may have expired or been revoked",
        ),
    };
    if others_work {
        return Check::warn(name, format!("one of several: {found}"), remedy);
    }
    Check::fail(name, found, remedy)
}

/// `GET /`; where that is not served, as on the servers of the tests, `nodes` tells.
pub(super) fn judge_version(root: &Reply, nodes: &Reply) -> Check {
    const NAME: &str = "es.version";
    const REMEDY: &str = "flowship is made for Elasticsearch 8 and 9";
    let (version, distribution) = match root {
        Reply::Found(root) => (
            root["version"]["number"].as_str(),
            root["version"]["distribution"].as_str(),
        ),
        _ => match nodes.for_check(NAME, "the cluster privilege monitor") {
            Ok(nodes) => (first_node(nodes)["version"].as_str(), None),
            Err(check) => return check,
        },
    };
    let Some(version) = version else {
        return Check::warn(NAME, "the server does not say its version", REMEDY);
    };
    if let Some(distribution) = distribution {
        return Check::warn(
            NAME,
            format!("{distribution} {version}, which nobody has tried"),
            REMEDY,
        );
    }
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    match major {
        Some(major) if VERSIONS.contains(&major) => Check::ok(NAME, version),
        _ => Check::fail(NAME, version, REMEDY),
    }
}

pub(super) fn first_node(nodes: &Value) -> &Value {
    let first = nodes["nodes"].as_object().and_then(|nodes| nodes.values().next());
    first.unwrap_or(&Value::Null)
}

#[derive(Deserialize)]
struct Certificate {
    subject_dn: Option<String>,
    has_private_key: Option<bool>,
    expiry: Timestamp,
}

/// The nodes' own certificates, as they know them; of a load balancer's nothing is known here.
pub(super) fn judge_certificates(reply: &Reply, is_https: bool, now: Timestamp) -> Check {
    const NAME: &str = "es.certificate";
    if !is_https {
        let found = "none: what is sent, credentials with it, can be read on the way";
        return Check::warn(NAME, found, "use https");
    }
    let found = match reply.for_check(
        NAME,
        "the cluster privilege monitor, to see when certificates end",
    ) {
        Ok(found) => found,
        Err(mut check) => {
            check.found = format!("trusted; {}", check.found);
            return check;
        }
    };
    let certificates = Vec::<Certificate>::deserialize(found).unwrap_or_default();
    let own = certificates
        .iter()
        .filter(|certificate| certificate.has_private_key == Some(true));
    let Some(first) = own.min_by_key(|certificate| certificate.expiry) else {
        return Check::ok(NAME, "trusted; the server does not say when it ends");
    };
    let days = first.expiry.duration_since(now).as_hours() / 24;
    let subject = first.subject_dn.as_deref().unwrap_or("the first");
    let found = format!("trusted; {subject} ends {:.0}, in {days} days", first.expiry);
    if first.expiry <= now {
        Check::fail(NAME, found, "renew it")
    } else if days < CERTIFICATE_DAYS {
        Check::warn(NAME, found, "renew it")
    } else {
        Check::ok(NAME, found)
    }
}

/// Which rights are asked for: what the function needs, what it takes to look, and the installer's.
pub(super) fn rights_question(installation: &Installation, installer: bool) -> Value {
    let of = |pattern: String, rights: &[&[&str]]| json!({"names": [pattern], "privileges": rights.concat()});
    let (cluster, to_install): (&[&str], &[&str]) = match installer {
        true => (&INSTALLER_RIGHTS, &[TO_CARRY_OUT]),
        false => (&[], &[]),
    };
    let flow_logs = of(
        flow_logs(installation),
        &[&FLOW_LOG_RIGHTS, &[TO_SEE_INDICES], to_install],
    );
    let ledger = ledger(installation).map(|pattern| of(pattern, &[&LEDGER_RIGHTS, &[TO_SEE_ENTRIES]]));
    let index: Vec<Value> = [flow_logs].into_iter().chain(ledger).collect();
    json!({"index": index, "cluster": cluster})
}

/// What a question about indices came to. To who may not see them it is answered as if there were none.
pub(super) fn seen<'a>(rights: &Reply, pattern: &str, to_look: &str, reply: &'a Reply) -> &'a Reply {
    match rights {
        Reply::Found(rights) if rights["index"][pattern][to_look] == false => &Reply::Denied,
        _ => reply,
    }
}

pub(super) const TO_SEE_INDICES: &str = "view_index_metadata";
pub(super) const TO_SEE_ENTRIES: &str = "read";

const FLOW_LOG_RIGHTS: [&str; 2] = ["create_doc", "auto_configure"];
const LEDGER_RIGHTS: [&str; 2] = ["index", "auto_configure"];
const INSTALLER_RIGHTS: [&str; 2] = ["manage_index_templates", "manage_ilm"];
/// On the indices: Elasticsearch carries a lifecycle policy out with the rights of who installed it.
const TO_CARRY_OUT: &str = "manage";

pub(super) fn flow_logs(installation: &Installation) -> String {
    format!("{}-*", installation.index_prefix)
}

pub(super) fn ledger(installation: &Installation) -> Option<String> {
    installation
        .ledger_index
        .as_ref()
        .map(|index| format!("{index}-*"))
}

/// Every right by itself, as the server answers for the user or key that asks.
pub(super) fn judge_rights(reply: &Reply, installation: &Installation, installer: bool) -> Vec<Check> {
    const NAME: &str = "es.rights.flow-logs";
    if *reply == Reply::Absent {
        return vec![Check::warn(
            "es.security",
            "off: whoever reaches the server may read and delete everything",
            "switch xpack.security.enabled on, or let nobody but the function reach it",
        )];
    }
    let rights = match reply.for_check(NAME, "to be a user or an API key") {
        Ok(rights) => rights,
        Err(check) => return vec![check],
    };
    let user = rights["username"].as_str().unwrap_or("the credentials");
    let right = |name, granted: &Value, wanted: &[&str], on: String| {
        let has = |right: &&&str| granted[**right] == true;
        let told: Vec<String> = wanted
            .iter()
            .map(|right| format!("{right} {}", if has(&right) { "yes" } else { "NO" }))
            .collect();
        let found = format!("{user}, {on}: {}", told.join(", "));
        let missing: Vec<&str> = wanted.iter().filter(|right| !has(right)).copied().collect();
        match missing.is_empty() {
            true => Check::ok(name, found),
            false => Check::fail(
                name,
                found,
                format!("grant {} to its role or key", missing.join(" and ")),
            ),
        }
    };
    let pattern = flow_logs(installation);
    let granted = &rights["index"][&pattern];
    let mut checks = vec![right(NAME, granted, &FLOW_LOG_RIGHTS, format!("on {pattern}"))];
    if let Some(pattern) = ledger(installation) {
        let granted = &rights["index"][&pattern];
        checks.push(right(
            "es.rights.ledger",
            granted,
            &LEDGER_RIGHTS,
            format!("on {pattern}"),
        ));
    }
    if installer {
        const NAME: &str = "es.rights.installer";
        let (on_cluster, on_indices) = (&rights["cluster"], &rights["index"][&pattern]);
        checks.extend([
            right(NAME, on_cluster, &INSTALLER_RIGHTS, "on the cluster".to_owned()),
            right(NAME, on_indices, &[TO_CARRY_OUT], format!("on {pattern}")),
        ]);
    }
    checks
}
