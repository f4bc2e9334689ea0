//! The lifecycle policy's ages: ours, those on the server, those that are asked for → the policy to install.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::SetupError;

/// The phases whose ages may be asked for, in their order.
pub(super) const PHASES: [&str; 3] = ["warm", "cold", "delete"];

/// All phases that have an age, in their order.
const ALL_PHASES: [&str; 4] = ["warm", "cold", "frozen", "delete"];

/// A hundred years: what is longer is a slip of the hand.
const MAX_DAYS: u32 = 36_500;

/// When a phase begins, counted from the day in the index's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// So many days after it.
    Days(u32),
    /// The policy has no such phase.
    Never,
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        match text.parse() {
            Ok(days @ 1..=MAX_DAYS) => Ok(Self::Days(days)),
            _ => Err(format!(
                "neither a number of days from 1 to {MAX_DAYS} nor `never`"
            )),
        }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(days) => write!(f, "{days}d"),
            Self::Never => f.write_str("never"),
        }
    }
}

/// The ages that are asked for; `None`: as it is on the server, else as in our file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    /// When an index is merged into one segment and moves to warm nodes.
    pub warm: Option<Age>,
    /// When it moves to cold nodes.
    pub cold: Option<Age>,
    /// When it is deleted.
    pub delete: Option<Age>,
}

impl Ages {
    /// Whether any is asked for.
    pub fn is_any(&self) -> bool {
        self.in_order().iter().any(Option::is_some)
    }

    fn in_order(&self) -> [Option<Age>; 3] {
        [self.warm, self.cold, self.delete]
    }

    /// Writes the ages into `policy`, a body with our ages.
    pub(super) fn write(&self, policy: &mut Value) {
        for (phase, age) in PHASES.into_iter().zip(self.in_order()) {
            match age {
                None => {}
                Some(Age::Never) => drop(phases(policy).remove(phase)),
                Some(age) => set_age(policy, phase, &age.to_string()),
            }
        }
    }
}

/// Takes the server's ages over into `policy`, a body with ours.
pub(super) fn keep_ages(policy: &mut Value, server: &Value) {
    for phase in PHASES {
        match server.pointer(&format!("/policy/phases/{phase}")) {
            Some(found) => set_age(policy, phase, found["min_age"].as_str().unwrap_or("0ms")),
            None => drop(phases(policy).remove(phase)),
        }
    }
}

/// Writes the ages that are asked for into the server's policy and puts it into `policy`, a body with ours. All else in it
/// stays as somebody wanted it, and the hash in it goes on saying that it was changed.
pub(super) fn edit_ages(policy: &mut Value, server: &Value, ages: &Ages) {
    let ours = std::mem::replace(policy, json!({"policy": server["policy"]}));
    if !policy["policy"]["phases"].is_object() {
        policy["policy"]["phases"] = json!({});
    }
    let asked_for = PHASES.into_iter().zip(ages.in_order());
    for (phase, _) in asked_for.filter(|(_, age)| age.is_some()) {
        if let Some(added) = ours.pointer(&format!("/policy/phases/{phase}")) {
            phases(policy).entry(phase).or_insert_with(|| added.clone());
        }
    }
    ages.write(policy);
}

/// Elasticsearch refuses a policy whose phases do not follow each other, by then with the first parts installed.
pub(super) fn check(policy: &Value) -> Result<(), SetupError> {
    let mut before: Option<(&str, &str)> = None;
    for phase in ALL_PHASES {
        let pointer = format!("/policy/phases/{phase}/min_age");
        let Some(age) = policy.pointer(&pointer).and_then(Value::as_str) else {
            continue;
        };
        if let Some((earlier, earlier_age)) = before
            && let (Some(age_ms), Some(earlier_ms)) = (milliseconds(age), milliseconds(earlier_age))
            && age_ms < earlier_ms
        {
            return Err(SetupError::AgesOutOfOrder {
                earlier: earlier.to_owned(),
                earlier_age: earlier_age.to_owned(),
                phase: phase.to_owned(),
                age: age.to_owned(),
            });
        }
        before = Some((phase, age));
    }
    Ok(())
}

fn set_age(policy: &mut Value, phase: &str, age: &str) {
    // The others stand in our file.
    let cold = || json!({"actions": {"set_priority": {"priority": 0}}});
    phases(policy).entry(phase).or_insert_with(cold)["min_age"] = age.into();
}

fn phases(policy: &mut Value) -> &mut Map<String, Value> {
    policy["policy"]["phases"]
        .as_object_mut()
        .expect("a test parses every asset")
}

/// `None` for what is not a whole number and a unit of Elasticsearch's page "API conventions, time units".
fn milliseconds(age: &str) -> Option<u64> {
    let digits = age.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = age.split_at_checked(digits)?;
    let unit = match unit {
        "d" => 86_400_000,
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1000,
        "ms" => 1,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::{ASSETS, Kind};

    fn ours() -> Value {
        let asset = ASSETS.iter().find(|asset| asset.kind == Kind::IlmPolicy);
        serde_json::from_str(asset.unwrap().text).unwrap()
    }

    fn ages_of(policy: &Value) -> String {
        let told = PHASES.map(|phase| {
            let age = &policy["policy"]["phases"][phase]["min_age"];
            format!("{phase} {}", age.as_str().unwrap_or("never"))
        });
        told.join(", ")
    }

    #[test]
    fn ages_are_days_or_never() {
        assert_eq!("30".parse(), Ok(Age::Days(30)));
        assert_eq!("never".parse(), Ok(Age::Never));
        for wrong in ["", "0", "-1", "30d", "1.5", "36501", "Never"] {
            assert!(wrong.parse::<Age>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_asked_for_goes_before_what_the_server_has_and_that_before_ours() {
        let mut policy = ours();
        assert_eq!(ages_of(&policy), "warm 2d, cold never, delete 400d");
        let server = json!({"policy": {"phases": {
            "warm": {"actions": {}}, "cold": {"min_age": "36h"}, "delete": {"min_age": "90d"},
        }}});
        keep_ages(&mut policy, &server);
        assert_eq!(ages_of(&policy), "warm 0ms, cold 36h, delete 90d");
        let ages = Ages {
            warm: Some(Age::Days(7)),
            cold: Some(Age::Never),
            delete: None,
        };
        ages.write(&mut policy);
        assert_eq!(ages_of(&policy), "warm 7d, cold never, delete 90d");
        // What the phases do stays ours.
        assert_eq!(
            policy["policy"]["phases"]["warm"]["actions"],
            ours()["policy"]["phases"]["warm"]["actions"]
        );
    }

    #[test]
    fn in_a_policy_of_somebody_elses_wording_only_the_ages_that_are_asked_for_change() {
        let server = json!({"modified_date": "2026-11-20T03:10:00.000Z", "policy": {
            "phases": {
                "hot": {"min_age": "0ms", "actions": {}},
                "cold": {"min_age": "10d", "actions": {"allocate": {"require": {"rack": "slow"}}}},
                "frozen": {"min_age": "30d", "actions": {"searchable_snapshot": {"snapshot_repository": "r"}}},
            },
            "_meta": {"product": "flowship", "version": 1, "hash": "0"},
        }});
        let ages = Ages {
            warm: None,
            cold: Some(Age::Days(20)),
            delete: Some(Age::Days(90)),
        };
        let mut policy = ours();
        edit_ages(&mut policy, &server, &ages);
        let mut wanted = json!({"policy": server["policy"]});
        wanted["policy"]["phases"]["cold"]["min_age"] = "20d".into();
        wanted["policy"]["phases"]["delete"] = ours()["policy"]["phases"]["delete"].clone();
        wanted["policy"]["phases"]["delete"]["min_age"] = "90d".into();
        assert_eq!(policy, wanted);
        assert!(check(&policy).is_ok());

        let sooner = Ages {
            delete: Some(Age::Days(29)),
            ..Ages::default()
        };
        edit_ages(&mut policy, &server, &sooner);
        insta::assert_snapshot!(check(&policy).unwrap_err(), @"the lifecycle policy would be in delete after 29d, before frozen after 30d: give both ages");
    }

    #[test]
    fn phases_follow_each_other() {
        let policy = |warm: &str, cold: &str, delete: &str| {
            json!({"policy": {"phases": {
                "warm": {"min_age": warm}, "cold": {"min_age": cold}, "delete": {"min_age": delete},
            }}})
        };
        assert!(check(&ours()).is_ok());
        assert!(check(&policy("1d", "24h", "24h")).is_ok());
        // What is written in another way is left to the server.
        assert!(check(&policy("1d", "9000000000micros", "1d")).is_ok());
        insta::assert_snapshot!(check(&policy("2d", "47h", "3d")).unwrap_err(), @"the lifecycle policy would be in cold after 47h, before warm after 2d: give both ages");
        insta::assert_snapshot!(check(&policy("2d", "10d", "9d")).unwrap_err(), @"the lifecycle policy would be in delete after 9d, before cold after 10d: give both ages");
    }
}
