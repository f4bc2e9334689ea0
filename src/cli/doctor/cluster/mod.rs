//! Elasticsearch: what it answers → checks. It is asked by whoever runs this, with the credentials of the settings; what
//! they do not allow to see is skipped, not failed.

use jiff::Timestamp;
use url::Url;

use super::LIMIT;
use super::check::Check;
use super::files;
use crate::aws::AwsContext;
use crate::bulk::SendError;
use crate::cli::glob::Glob;
use crate::config::{ElasticsearchSettings, Installation};
use crate::elasticsearch::client::{Client, ClientError};
use crate::elasticsearch::renewal::SecretStore;
use crate::elasticsearch::setup::{self, Plan, SetupError};
use lifecycle::Lifecycle;
use reply::Reply;
use room::Clock;

mod access;
mod content;
mod lifecycle;
pub(in crate::cli) mod reply;
mod room;
#[cfg(test)]
mod tests;

pub(in crate::cli) use room::judge_health;

/// Everything that Elasticsearch was asked for.
#[derive(Debug)]
struct Facts {
    now: Timestamp,
    is_https: bool,
    root: Reply,
    nodes: Reply,
    certificates: Reply,
    rights: Reply,
    health: Reply,
    capacity: Reply,
    settings: Reply,
    clock: Clock,
    plan: Result<Plan, SetupError>,
    indices: Reply,
    mappings: Reply,
    lifecycle: Lifecycle,
    newest: Option<Reply>,
}

/// Asks it. `installer`: the credentials are those of `flowctl setup`, not the function's.
pub(super) async fn look(
    settings: Option<&ElasticsearchSettings>,
    installation: &Installation,
    installer: bool,
) -> Vec<Check> {
    let Some(settings) = settings else {
        return vec![Check::skip(
            "es.reachable",
            "FLOWSHIP_ELASTICSEARCH_URLS is not set, or not usable",
            "set it, or give --elasticsearch-url",
        )];
    };
    let ca_file = settings.ca_file.as_deref();
    if let Some(check) = ca_file.and_then(|path| files::judge_layer("es.certificate", path)) {
        return vec![check];
    }
    let asked: Vec<_> = settings
        .urls
        .iter()
        .map(|url| tokio::spawn(probe(settings.clone(), url.clone())))
        .collect();
    let mut probes = Vec::new();
    for (url, probe) in settings.urls.iter().zip(asked) {
        let probe = probe
            .await
            .unwrap_or_else(|panicked| Err(ClientError::Build(panicked.to_string())));
        probes.push((url.as_str(), probe));
    }
    let mut checks = access::judge_probes(&probes);
    let reached = settings
        .urls
        .iter()
        .zip(&probes)
        .filter(|(_, (_, probe))| probe.is_ok());
    let reached: Vec<Url> = reached.map(|(url, _)| url.clone()).collect();
    if reached.is_empty() {
        return checks;
    }
    // A node that is not reached is told of once.
    let client = match connect(settings, reached).await {
        Ok(client) => client,
        Err(error) => return vec![access::judge_error(&error, false)],
    };
    let is_https = settings.urls.iter().all(|url| url.scheme() == "https");
    let facts = gather(&client, installation, installer, is_https).await;
    checks.extend(judge(&facts, installation, installer));
    checks
}

async fn probe(settings: ElasticsearchSettings, url: Url) -> Result<(), ClientError> {
    let probed = async { connect(&settings, vec![url.clone()]).await?.probe().await };
    let late = |_elapsed| ClientError::Unreachable {
        url: url.to_string(),
        detail: format!("no answer within {} s", LIMIT.as_secs()),
    };
    tokio::time::timeout(LIMIT, probed).await.map_err(late)?
}

/// A client of these of the nodes.
async fn connect(settings: &ElasticsearchSettings, urls: Vec<Url>) -> Result<Client, ClientError> {
    let settings = ElasticsearchSettings {
        urls,
        ..settings.clone()
    };
    Client::connect(&settings, async |arn| {
        AwsContext::load().await.read_secret(arn).await
    })
    .await
}

async fn gather(client: &Client, installation: &Installation, installer: bool, is_https: bool) -> Facts {
    let get = async |path: &str| reply::get(client, path).await;
    let flow_logs = access::flow_logs(installation).join(",");
    let ours = match &installation.ledger_index {
        Some(ledger) => format!("{flow_logs},{ledger}-*"),
        None => flow_logs,
    };
    let indices = format!("{ours}/_settings?flat_settings=true&expand_wildcards=open");
    let mappings = format!("{ours}/_mapping?filter_path=*.mappings.dynamic&expand_wildcards=open");
    let explained = format!("{ours}/_ilm/explain");
    let newest = async {
        let index = installation.ledger_index.as_ref()?;
        let path = format!("{index}-*/_search?allow_partial_search_results=false");
        Some(reply::post(client, &path, &content::newest_question()).await)
    };
    let question = access::rights_question(installation, installer);
    let (root, nodes, certificates, rights) = tokio::join!(
        get(""),
        get("_nodes?filter_path=nodes.*.version"),
        get("_ssl/certificates"),
        reply::post(client, "_security/user/_has_privileges", &question),
    );
    let (health, capacity, settings, clock) = tokio::join!(
        get(reply::HEALTH),
        get("_health_report/shards_capacity"),
        get("_cluster/settings?include_defaults=true&flat_settings=true"),
        ask_clock(client),
    );
    let (status, policies, explained) = tokio::join!(
        get("_ilm/status"),
        get("_ilm/policy?filter_path=*.version"),
        get(&explained),
    );
    let (plan, indices, mappings, newest) = tokio::join!(
        ask_plan(client, installation),
        get(&indices),
        get(&mappings),
        newest,
    );
    Facts {
        now: Timestamp::now(),
        is_https,
        root,
        nodes,
        certificates,
        rights,
        health,
        capacity,
        settings,
        clock,
        plan,
        indices,
        mappings,
        lifecycle: Lifecycle {
            status,
            policies,
            explained,
        },
        newest,
    }
}

async fn ask_clock(client: &Client) -> Clock {
    let before = Timestamp::now();
    let stats = reply::get(client, "_nodes/stats/fs").await;
    Clock {
        before,
        stats,
        after: Timestamp::now(),
    }
}

async fn ask_plan(client: &Client, installation: &Installation) -> Result<Plan, SetupError> {
    let planned = tokio::time::timeout(LIMIT, setup::plan(client, installation, false)).await;
    planned.unwrap_or_else(|_elapsed| {
        Err(SetupError::NoAnswer {
            verb: setup::Verb::Read,
            part: "the templates".to_owned(),
            source: SendError::Timeout,
        })
    })
}

/// All checks of what was asked, in their order.
fn judge(facts: &Facts, installation: &Installation, installer: bool) -> Vec<Check> {
    let flow_logs = access::flow_logs(installation);
    let seen = |reply| access::seen(&facts.rights, &flow_logs, access::TO_SEE_INDICES, reply);
    let mut checks = vec![
        access::judge_certificates(&facts.certificates, facts.is_https, facts.now),
        access::judge_version(&facts.root, &facts.nodes),
    ];
    checks.extend(access::judge_rights(&facts.rights, installation, installer));
    checks.extend([
        judge_health(&facts.health),
        room::judge_shards(
            &facts.capacity,
            &facts.health,
            &facts.settings,
            &facts.clock.stats,
        ),
        room::judge_disks(&facts.clock.stats, &facts.settings),
        room::judge_clock(&facts.clock),
        room::judge_auto_create(&facts.settings, installation),
        content::judge_templates(&facts.plan),
        content::judge_mappings(seen(&facts.indices), seen(&facts.mappings)),
        content::judge_blocks(seen(&facts.indices), facts.now),
    ]);
    let explained = seen(&facts.lifecycle.explained);
    checks.extend(lifecycle::judge(
        &facts.lifecycle,
        explained,
        installation,
        facts.now,
    ));
    if let (Some(newest), Some(index), Some(pattern)) = (
        &facts.newest,
        &installation.ledger_index,
        access::ledger(installation),
    ) {
        let newest = access::seen(&facts.rights, &[pattern], access::TO_SEE_ENTRIES, newest);
        checks.push(content::judge_ledger(newest, index, facts.now));
    }
    checks
}

/// Whether a pattern of `*` fits a name.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.parse::<Glob>().is_ok_and(|glob| glob.matches(name))
}
