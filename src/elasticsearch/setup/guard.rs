//! The cluster setting that keeps an index of ours from being made without our template: with dynamic mappings and
//! without a lifecycle it would look like ours and answer nothing rightly. Our templates say `allow_auto_create`,
//! which goes before the setting, so with them indices come as ever.

use serde_json::{Value, json};

use super::error::{no_answer, refusal};
use super::{Action, Part, SetupError, Step, Verb};
use crate::assets::Kind;
use crate::config::Installation;
use crate::elasticsearch::client::Client;

const SETTING: &str = "action.auto_create_index";

/// Asks what the cluster allows, and extends it. Needs the cluster privilege `monitor` (the change: `manage`).
pub(super) async fn step(client: &Client, installation: &Installation) -> Result<Step, SetupError> {
    let denials = denials(installation);

    // Without defaults, what stands in elasticsearch.yml would not be told.
    let path = "_cluster/settings?include_defaults=true&filter_path=*.action.auto_create_index";
    let part = part("");
    let answer = client
        .get(path)
        .await
        .map_err(|source| no_answer(Verb::Read, &part, source))?;
    if answer.status != 200 {
        return Err(refusal(Verb::Read, &part, &answer));
    }
    let settings: Value = serde_json::from_slice(&answer.body).map_err(|error| SetupError::Unreadable {
        verb: Verb::Read,
        part: part.to_string(),
        detail: error.to_string(),
    })?;
    let value_in = |group: &str| settings[group]["action"]["auto_create_index"].as_str();
    if let Some(value) = value_in("transient") {
        return Err(SetupError::TransientSetting {
            setting: SETTING,
            value: value.to_owned(),
        });
    }
    let value = value_in("persistent").or_else(|| value_in("defaults"));
    Ok(extend(value, &denials))
}

/// What our templates are for, and nothing else: an index of another name with our prefix is somebody else's.
fn denials(installation: &Installation) -> Vec<String> {
    let templates = super::parts(installation);
    let patterns = templates
        .iter()
        .filter_map(|part| part.body["index_patterns"].as_array());
    let patterns = patterns.flatten().filter_map(Value::as_str);
    patterns.map(|pattern| format!("-{pattern}")).collect()
}

fn extend(value: Option<&str>, denials: &[String]) -> Step {
    let listed = match value {
        // Nothing is made without a template that allows it: all is guarded.
        Some(value @ "false") => return compared(value, value),
        // A list allows only what it names.
        None | Some("true") => "*",
        Some(list) => list,
    };
    let others = listed.split(',').map(str::trim);
    let others = others.filter(|entry| !denials.iter().any(|denial| denial == entry));
    // The first pattern that fits decides.
    let wanted: Vec<&str> = denials.iter().map(String::as_str).chain(others).collect();
    compared(value.unwrap_or("true"), &wanted.join(","))
}

fn compared(value: &str, wanted: &str) -> Step {
    let part = part(wanted);
    let differences = super::differences(part.kind, &body(value), &part.body);
    let action = match differences.is_empty() {
        true => Action::Leave,
        false => Action::Change,
    };
    Step {
        part,
        action,
        differences,
    }
}

fn part(value: &str) -> Part {
    Part {
        kind: Kind::ClusterSetting,
        name: SETTING.to_owned(),
        body: body(value),
        needs_ilm: false,
    }
}

fn body(value: &str) -> Value {
    json!({"persistent": {SETTING: value}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extended(value: Option<&str>) -> Option<String> {
        let step = extend(value, &["-a-*".to_owned(), "-b-*".to_owned()]);
        let value = step.part.body["persistent"][SETTING].as_str();
        (step.action == Action::Change).then(|| value.unwrap().to_owned())
    }

    #[test]
    fn denied_is_what_the_templates_are_for() {
        let mut installation = Installation {
            index_prefix: "net.flows".to_owned(),
            ledger_index: Some("net.ledger".to_owned()),
        };
        let flows = ["-net.flows-vpc-*", "-net.flows-tgw-*"];
        assert_eq!(denials(&installation)[..2], flows);
        assert_eq!(denials(&installation)[2..], ["-net.ledger-*"]);
        installation.ledger_index = None;
        assert_eq!(denials(&installation), flows);
    }

    #[test]
    fn what_was_allowed_before_is_allowed_still() {
        assert_eq!(extended(None).as_deref(), Some("-a-*,-b-*,*"));
        assert_eq!(extended(Some("true")).as_deref(), Some("-a-*,-b-*,*"));
        let listed = extended(Some("+logs-*, -x*,*"));
        assert_eq!(listed.as_deref(), Some("-a-*,-b-*,+logs-*,-x*,*"));
    }

    #[test]
    fn what_is_guarded_stays_as_it_is() {
        assert_eq!(extended(Some("false")), None);
        assert_eq!(extended(Some("-a-*,-b-*,*")), None);
        // Behind a pattern that allows it, a denial does nothing.
        let useless = extended(Some("*,-a-*,-b-*"));
        assert_eq!(useless.as_deref(), Some("-a-*,-b-*,*"));
    }
}
