//! Whether old indices are deleted: ILM runs, every index has a policy, and none is stuck on its way.

use jiff::Timestamp;
use serde_json::Value;

use super::super::check::Check;
use super::content::{INDEX_PRIVILEGE, named};
use super::reply::Reply;
use crate::assets::Kind;
use crate::config::Installation;
use crate::elasticsearch::setup;

const NAME: &str = "es.ilm";

/// ILM looks every ten minutes; what moves shards or merges them takes hours, but no day.
const WAITING_HOURS: i64 = 24;

/// What was asked about ILM.
#[derive(Debug)]
pub(super) struct Lifecycle {
    /// `_ilm/status`.
    pub(super) status: Reply,
    /// `_ilm/policy`, by name.
    pub(super) policies: Reply,
    /// `_ilm/explain` of flowship's indices.
    pub(super) explained: Reply,
}

/// `explained`: what is seen of the explanation.
pub(super) fn judge(
    lifecycle: &Lifecycle,
    explained: &Reply,
    installation: &Installation,
    now: Timestamp,
) -> Vec<Check> {
    if *explained == Reply::Absent {
        return vec![Check::skip(
            NAME,
            "this server has no ILM: nothing is deleted by itself",
            "delete old indices by other means",
        )];
    }
    let mut checks: Vec<Check> = judge_status(&lifecycle.status).into_iter().collect();
    let explained = match explained.for_check(NAME, INDEX_PRIVILEGE) {
        Ok(explained) => explained,
        Err(check) => {
            checks.push(check);
            return checks;
        }
    };
    let indices = sorted(explained);
    checks.extend(judge_policies(&indices, &lifecycle.policies));
    checks.extend(judge_stuck(&indices));
    checks.extend(judge_unmanaged(&indices, installation));
    checks.extend(judge_waiting(&indices, now));
    if checks.is_empty() {
        checks.push(Check::ok(NAME, "no index is stuck"));
    }
    checks
}

/// What is wrong with ILM itself, or why that is not known.
fn judge_status(status: &Reply) -> Option<Check> {
    let status = match status {
        Reply::Absent => return None,
        status => match status.for_check(NAME, "the cluster privilege read_ilm, to see whether ILM runs") {
            Ok(status) => status,
            Err(check) => return Some(check),
        },
    };
    match status["operation_mode"].as_str() {
        Some("RUNNING") | None => None,
        Some(mode) => Some(Check::fail(
            NAME,
            format!("ILM is {mode}: no index is deleted"),
            "POST _ilm/start, once it is clear who stopped it",
        )),
    }
}

type Index<'a> = (&'a str, &'a Value);

fn sorted(explained: &Value) -> Vec<Index<'_>> {
    let indices = explained["indices"].as_object().into_iter().flatten();
    let mut indices: Vec<Index<'_>> = indices.map(|(name, index)| (name.as_str(), index)).collect();
    indices.sort_by_key(|(name, _)| *name);
    indices
}

/// An index may name a policy that nobody made, or that somebody deleted.
fn judge_policies(indices: &[Index<'_>], policies: &Reply) -> Option<Check> {
    let Reply::Found(policies) = policies else {
        return None;
    };
    let lacking = indices.iter().filter_map(|(name, index)| {
        let policy = index["policy"].as_str()?;
        policies[policy].is_null().then(|| format!("{name}: {policy}"))
    });
    let lacking: Vec<String> = lacking.collect();
    (!lacking.is_empty()).then(|| {
        Check::fail(
            NAME,
            format!(
                "indices whose policy does not exist, so that they are not deleted: {}",
                lacking.len()
            ),
            "flowctl setup installs ours; one of your own is yours to make",
        )
        .with_details(named(lacking))
    })
}

fn judge_stuck(indices: &[Index<'_>]) -> Option<Check> {
    let stuck = indices.iter().filter(|(_, index)| index["step"] == "ERROR");
    let stuck: Vec<String> = stuck
        .map(|(name, index)| {
            let step = index["failed_step"].as_str().unwrap_or("a step");
            format!("{name}: {step}: {}", information(index))
        })
        .collect();
    (!stuck.is_empty()).then(|| {
        Check::fail(
            NAME,
            format!(
                "indices that ILM is stuck with, so that they are not deleted: {}",
                stuck.len()
            ),
            "see to the reason, then POST <index>/_ilm/retry",
        )
        .with_details(named(stuck))
    })
}

/// What a step says of itself: an error's `reason`, or the `message` of one that waits.
fn information(index: &Value) -> &str {
    let information = &index["step_info"];
    let told = information["reason"]
        .as_str()
        .or_else(|| information["message"].as_str());
    told.unwrap_or("no reason told")
}

/// Indices that were made before the policy, or without the template that names it.
fn judge_unmanaged(indices: &[Index<'_>], installation: &Installation) -> Option<Check> {
    let (policy, patterns) = managed_by_us(installation)?;
    let is_ours = |name: &str| patterns.iter().any(|pattern| super::matches(pattern, name));
    let free = indices
        .iter()
        .filter(|(name, index)| index["managed"] == false && is_ours(name));
    let free: Vec<String> = free.map(|(name, _)| (*name).to_owned()).collect();
    (!free.is_empty()).then(|| {
        Check::warn(
            NAME,
            format!(
                "indices without a policy, though the template names one: they stay for ever: {}",
                free.len()
            ),
            format!(r#"PUT <index>/_settings {{"index.lifecycle.name": "{policy}"}}"#),
        )
        .with_details(named(free))
    })
}

/// The policy that our templates name, and for which indices.
fn managed_by_us(installation: &Installation) -> Option<(String, Vec<String>)> {
    let parts = setup::parts(installation);
    let named = parts.iter().find_map(|part| {
        let policy = part.body.pointer("/template/settings/index/lifecycle/name")?;
        Some((part.name.as_str(), policy.as_str()?.to_owned()))
    });
    let (component, policy) = named?;
    let texts = |list: &Value| -> Vec<String> {
        let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let templates = parts.iter().filter(|part| part.kind == Kind::IndexTemplate);
    let of_policy = templates.filter(|part| {
        texts(&part.body["composed_of"])
            .iter()
            .any(|name| name == component)
    });
    let patterns = of_policy
        .flat_map(|part| texts(&part.body["index_patterns"]))
        .collect();
    Some((policy, patterns))
}

/// A step that waits for something that does not come, such as a node of the next data tier, is no error to ILM.
fn judge_waiting(indices: &[Index<'_>], now: Timestamp) -> Option<Check> {
    let waiting = indices.iter().filter_map(|(name, index)| {
        let step = index["step"]
            .as_str()
            .filter(|step| !["complete", "ERROR"].contains(step))?;
        let since = Timestamp::from_millisecond(index["step_time_millis"].as_i64()?).ok()?;
        let hours = now.duration_since(since).as_hours();
        (hours >= WAITING_HOURS)
            .then(|| format!("{name}: {step}, {} days: {}", hours / 24, information(index)))
    });
    let waiting: Vec<String> = waiting.collect();
    (!waiting.is_empty()).then(|| {
        Check::warn(
            NAME,
            format!(
                "indices that wait for more than a day, and are not deleted meanwhile: {}",
                waiting.len()
            ),
            "see to what they wait for (GET _cluster/allocation/explain): check-migration waits for a node of the \
             phase's data tier with room, or for a policy without that phase",
        )
        .with_details(named(waiting))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{all, installation, now};
    use super::*;

    const OLD: &str = "flowlogs-vpc-2025.10.01";

    /// What is said of an index of which ILM says this.
    fn told(index: Value) -> String {
        told_with("RUNNING", json!({"flowlogs-vpc": {"version": 1}}), index)
    }

    fn told_with(mode: &str, policies: Value, index: Value) -> String {
        let lifecycle = Lifecycle {
            status: Reply::Found(json!({"operation_mode": mode})),
            policies: Reply::Found(policies),
            explained: Reply::Found(json!({"indices": {OLD: index}})),
        };
        all(judge(&lifecycle, &lifecycle.explained, &installation(), now()))
    }

    fn at_step(step: &str, hours: i64, information: &Value) -> Value {
        json!({
            "index": OLD, "managed": true, "policy": "flowlogs-vpc", "phase": "warm", "step": step, "step_info": information,
            "step_time_millis": now().as_millisecond() - hours * 3_600_000, "failed_step": "forcemerge",
        })
    }

    #[test]
    fn indices_that_are_not_deleted_are_named_with_the_reason() {
        let fine = at_step("complete", 1000, &Value::Null);
        let migration =
            json!({"message": "Waiting for [1] shards to be allocated", "shards_left_to_allocate": 1});
        let refused = json!({"type": "cluster_block_exception", "reason": "index read-only"});
        let told = [
            told(fine.clone()),
            told(at_step("ERROR", 1, &refused)),
            told(json!({"index": OLD, "managed": false})),
            told(at_step("check-migration", 23, &migration)),
            told(at_step("check-migration", 50, &migration)),
            told_with("STOPPED", json!({"flowlogs-vpc": {"version": 1}}), fine.clone()),
            told_with("RUNNING", json!({"other": {"version": 1}}), fine),
        ];
        insta::assert_snapshot!(told.join("\n"), @"
        Ok es.ilm: no index is stuck
        Fail es.ilm: indices that ILM is stuck with, so that they are not deleted: 1
            flowlogs-vpc-2025.10.01: forcemerge: index read-only
        Warn es.ilm: indices without a policy, though the template names one: they stay for ever: 1
            flowlogs-vpc-2025.10.01
        Ok es.ilm: no index is stuck
        Warn es.ilm: indices that wait for more than a day, and are not deleted meanwhile: 1
            flowlogs-vpc-2025.10.01: check-migration, 2 days: Waiting for [1] shards to be allocated
        Fail es.ilm: ILM is STOPPED: no index is deleted
        Fail es.ilm: indices whose policy does not exist, so that they are not deleted: 1
            flowlogs-vpc-2025.10.01: flowlogs-vpc
        ");
    }

    /// The ledger has no policy of ours: it is small, and tells what was shipped for as long as one likes.
    #[test]
    fn only_indices_of_which_the_template_names_a_policy_need_one() {
        let (policy, patterns) = managed_by_us(&installation()).unwrap();
        assert_eq!(policy, "flowlogs-vpc");
        assert_eq!(patterns, ["flowlogs-vpc-*", "flowlogs-tgw-*"]);
    }

    #[test]
    fn what_may_not_be_asked_or_is_not_there_is_told() {
        let of = |status: Reply, explained: Reply| {
            let lifecycle = Lifecycle {
                status,
                policies: Reply::Denied,
                explained,
            };
            all(judge(&lifecycle, &lifecycle.explained, &installation(), now()))
        };
        let nothing = || Reply::Found(json!({"indices": {}}));
        let told = [
            of(Reply::Denied, nothing()),
            of(Reply::Found(json!({"operation_mode": "STOPPING"})), Reply::Denied),
            of(Reply::Absent, nothing()),
            of(Reply::Absent, Reply::Absent),
        ];
        insta::assert_snapshot!(told.join("\n"), @"
        Skip es.ilm: the credentials do not allow to look
        Fail es.ilm: ILM is STOPPING: no index is deleted
        Skip es.ilm: the credentials do not allow to look
        Ok es.ilm: no index is stuck
        Skip es.ilm: this server has no ILM: nothing is deleted by itself
        ");
    }
}
