//! Whether Elasticsearch is reached, and what the credentials are allowed to.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::check::Check;
use super::reply::Reply;
use crate::config::Installation;
use crate::elasticsearch::client::ClientError;
use crate::flow::Dataset;

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

/// Which rights are asked for: the function's or the installer's, and what it takes to look.
pub(super) fn rights_question(installation: &Installation, installer: bool) -> Value {
    let of = |pattern: String, rights: &[&[&str]]| json!({"names": [pattern], "privileges": rights.concat()});
    let (cluster, on_flow_logs): (&[&str], &[&str]) = match installer {
        true => (&INSTALLER_RIGHTS, &[TO_CARRY_OUT]),
        false => (&[TO_SEE_CLUSTER], &FLOW_LOG_RIGHTS),
    };
    let on_ledger: &[&str] = if installer { &[] } else { &LEDGER_RIGHTS };
    let flow_logs = flow_logs(installation)
        .into_iter()
        .map(|pattern| of(pattern, &[on_flow_logs, &[TO_SEE_INDICES]]));
    let ledger = ledger(installation).map(|pattern| of(pattern, &[on_ledger, &[TO_SEE_ENTRIES]]));
    let index: Vec<Value> = flow_logs.chain(ledger).collect();
    json!({"index": index, "cluster": cluster})
}

/// What a question about indices came to. To who may not see them it is answered as if there were none.
pub(super) fn seen<'a>(rights: &Reply, patterns: &[String], to_look: &str, reply: &'a Reply) -> &'a Reply {
    let is_hidden = |rights: &Value| {
        patterns
            .iter()
            .any(|pattern| rights["index"][pattern][to_look] == false)
    };
    match rights {
        Reply::Found(rights) if is_hidden(rights) => &Reply::Denied,
        _ => reply,
    }
}

const TO_SEE_CLUSTER: &str = "monitor";
pub(super) const TO_SEE_INDICES: &str = "view_index_metadata";
pub(super) const TO_SEE_ENTRIES: &str = "read";

const FLOW_LOG_RIGHTS: [&str; 2] = ["create_doc", "auto_configure"];
const LEDGER_RIGHTS: [&str; 2] = ["index", "auto_configure"];
const INSTALLER_RIGHTS: [&str; 2] = ["manage_index_templates", "manage_ilm"];
/// On the indices: Elasticsearch carries a lifecycle policy out with the rights of who installed it.
const TO_CARRY_OUT: &str = "manage";

/// One pattern for each dataset: a role need not be allowed more.
pub(super) fn flow_logs(installation: &Installation) -> Vec<String> {
    let prefix = &installation.index_prefix;
    let patterns = Dataset::ALL.iter();
    patterns
        .map(|dataset| format!("{prefix}-{}-*", dataset.name()))
        .collect()
}

pub(super) fn ledger(installation: &Installation) -> Option<String> {
    installation
        .ledger_index
        .as_ref()
        .map(|index| format!("{index}-*"))
}

/// Every right by itself, as the server answers for the user or key that asks. The function's rights and the
/// installer's are never those of the same credentials, so that only the ones are judged or the others.
pub(super) fn judge_rights(reply: &Reply, installation: &Installation, installer: bool) -> Vec<Check> {
    if *reply == Reply::Absent {
        return vec![Check::warn(
            "es.security",
            "off: whoever reaches the server may read and delete everything",
            "switch xpack.security.enabled on, or let nobody but the function reach it",
        )];
    }
    let name = if installer { INSTALLER } else { FLOW_LOGS };
    let rights = match reply.for_check(name, "to be a user or an API key") {
        Ok(rights) => rights,
        Err(check) => return vec![check],
    };
    let flow_logs = Granted::of_patterns(rights, &flow_logs(installation));
    if installer {
        let on_cluster = Granted {
            on: "the cluster".to_owned(),
            rights: &rights["cluster"],
        };
        return vec![
            judge_each(INSTALLER, rights, &[on_cluster], &INSTALLER_RIGHTS),
            judge_each(INSTALLER, rights, &flow_logs, &[TO_CARRY_OUT]),
        ];
    }
    let mut wanted = vec![(FLOW_LOGS, flow_logs, FLOW_LOG_RIGHTS)];
    if let Some(pattern) = ledger(installation) {
        let granted = Granted::of_patterns(rights, &[pattern]);
        wanted.push(("es.rights.ledger", granted, LEDGER_RIGHTS));
    }
    let judge = |(name, granted, wanted): (_, Vec<Granted<'_>>, [&str; 2])| match are_of_another(rights) {
        true => Check::denied(
            name,
            format!("these ({}) are not the function's credentials", user(rights)),
            "run it with those to check them",
        ),
        false => judge_each(name, rights, &granted, &wanted),
    };
    wanted.into_iter().map(judge).collect()
}

const FLOW_LOGS: &str = "es.rights.flow-logs";
const INSTALLER: &str = "es.rights.installer";

fn user(rights: &Value) -> &str {
    rights["username"].as_str().unwrap_or("these")
}

/// Whether somebody asks who looks after the cluster: who may see it and may write nothing is not the function, which
/// need not see anything.
fn are_of_another(rights: &Value) -> bool {
    let on_indices = || rights["index"].as_object().into_iter().flatten();
    let has = |right: &str| on_indices().any(|(_, granted)| granted[right] == true);
    let may_look = rights["cluster"][TO_SEE_CLUSTER] == true || has(TO_SEE_INDICES);
    may_look && !has(FLOW_LOG_RIGHTS[0])
}

/// What is allowed on something.
struct Granted<'a> {
    on: String,
    rights: &'a Value,
}

impl<'a> Granted<'a> {
    fn of_patterns(rights: &'a Value, patterns: &[String]) -> Vec<Self> {
        let each = patterns.iter().map(|pattern| Self {
            on: pattern.clone(),
            rights: &rights["index"][pattern],
        });
        each.collect()
    }

    fn missing<'b>(&self, wanted: &[&'b str]) -> Vec<&'b str> {
        let missing = wanted.iter().filter(|right| self.rights[**right] != true);
        missing.copied().collect()
    }
}

fn judge_each(name: &'static str, rights: &Value, granted: &[Granted<'_>], wanted: &[&str]) -> Check {
    let told = granted.iter().map(|granted| {
        let has = |right: &str| match granted.rights[right] == true {
            true => format!("{right} yes"),
            false => format!("{right} NO"),
        };
        let each: Vec<String> = wanted.iter().map(|right| has(right)).collect();
        format!("on {}: {}", granted.on, each.join(", "))
    });
    let found = format!("{}, {}", user(rights), told.collect::<Vec<_>>().join("; "));
    let lacking: Vec<(&str, Vec<&str>)> = granted
        .iter()
        .map(|granted| (granted.on.as_str(), granted.missing(wanted)))
        .filter(|(_, missing)| !missing.is_empty())
        .collect();
    let to_grant: Vec<String> = lacking
        .iter()
        .map(|(on, missing)| format!("{} on {on}", missing.join(" and ")))
        .collect();
    let remedy = format!("grant {} to its role or key", to_grant.join(", "));
    match lacking.len() {
        0 => Check::ok(name, found),
        // A role for one dataset is enough for who has no other.
        number if number < granted.len() => {
            Check::warn(name, found, format!("{remedy}, if there are such flow logs"))
        }
        _ => Check::fail(name, found, remedy),
    }
}
