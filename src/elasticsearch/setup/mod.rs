//! What `flowctl setup` installs: a [`Plan`] from what the server has, then its steps in order. A second run finds
//! everything as it should be and sends nothing but questions.
//!
//! Needs no more than the installer's cluster privileges `manage_index_templates` and `manage_ilm`.

use std::fmt;

use serde_json::Value;

use super::client::Client;
use crate::assets::Kind;
use crate::config::Installation;

mod compare;
mod error;
mod guard;
mod lifecycle;
mod overlap;
mod part;
mod server;
mod stamp;
mod store;
#[cfg(test)]
mod tests;

use server::Found;
use stamp::Origin;

pub(crate) use compare::text_leaves;
pub use compare::{Difference, differences};
pub(crate) use error::read_error;
pub use error::{SetupError, Verb};
pub use lifecycle::{Age, Ages};
pub use overlap::{Overlap, overlaps};
pub use part::{Part, parts, roles};
pub use store::Store;

/// What whoever installs decides beside the names.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// Ages of the lifecycle policy.
    pub ages: Ages,
    /// How indices are stored; `None`: as on the server.
    pub store: Option<Store>,
    /// Whether the cluster is to refuse indices of ours that no template of ours is for.
    pub guard_auto_create: bool,
    /// Whether roles are installed, too.
    pub install_roles: bool,
    /// Replaces a lifecycle policy that was changed by hand by ours; ages that are not asked for are ours, too.
    pub reset_ilm: bool,
    /// Overwrites what somebody changed by hand, and parts of these names that are not ours.
    pub force: bool,
}

/// What is to be done, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every part, also those that are as they should be.
    pub steps: Vec<Step>,
    /// Whether the server has the ILM module.
    pub has_ilm: bool,
}

impl Plan {
    /// How many parts would have to be overwritten that are somebody else's work. With any, [`apply`] does nothing.
    pub fn num_refused(&self) -> usize {
        let refused = |step: &&Step| matches!(step.action, Action::Refuse(_));
        self.steps.iter().filter(refused).count()
    }
}

/// One part and what is to be done about it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The part.
    pub part: Part,
    /// What is to be done.
    pub action: Action,
    /// Where the server's version differs from ours.
    pub differences: Vec<Difference>,
}

/// What is to be done about a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The server does not have it.
    Create,
    /// The server has another one.
    Change,
    /// The server has this one.
    Leave,
    /// It is not installed.
    Skip(SkipReason),
    /// The server has another one that is not overwritten without being told to.
    Refuse(Refusal),
}

/// Why a part is not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The server has no ILM module.
    NoIlm,
    /// Somebody changed the policy: retention is the operator's, and a shorter one deletes data.
    PolicyKept,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoIlm => "this server has no ILM: indices are never deleted by themselves",
            Self::PolicyKept => {
                "changed by hand and kept, because it decides what is deleted; --reset-ilm installs ours"
            }
        })
    }
}

/// Whose work would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Of whoever changed a part of ours.
    ChangedByHand,
    /// Of whoever has a part of that name.
    NotOurs,
    /// Of whoever installed a newer version.
    Newer,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChangedByHand => "changed by hand since it was installed",
            Self::NotOurs => "not installed by flowship",
            Self::Newer => "installed by a newer flowship",
        })
    }
}

/// The installation stopped; what came before `position` is done, and another run goes on from there.
#[derive(Debug)]
pub struct Interrupted {
    /// Index of the step that failed.
    pub position: usize,
    /// Why.
    pub error: SetupError,
}

/// The plan without any choices but the one.
pub async fn plan(client: &Client, installation: &Installation, reset_ilm: bool) -> Result<Plan, SetupError> {
    let choices = Choices {
        reset_ilm,
        ..Choices::default()
    };
    plan_with(client, installation, &choices).await
}

/// Asks the server for every part of the installation and compares; changes nothing.
pub async fn plan_with(
    client: &Client,
    installation: &Installation,
    choices: &Choices,
) -> Result<Plan, SetupError> {
    let mut found = server::read_all(client, &parts(installation)).await?;
    let has_ilm = !found.iter().any(|found| matches!(found, Found::NoIlm));
    let mut parts = shaped_parts(installation, &found, choices)?;
    if let Some(store) = choices.store {
        for part in parts.iter().filter(|part| store::is_stored(&part.body)) {
            store::try_settings(client, part, store).await?;
        }
    }
    if choices.install_roles {
        let roles = roles(installation);
        found.extend(server::read_all(client, &roles).await?);
        parts.extend(roles);
    }
    // Last, because the templates must be there.
    let guard = match choices.guard_auto_create {
        true => Some(guard::step(client, installation).await?),
        false => None,
    };
    let steps = parts.into_iter().zip(found).map(|(part, found)| match found {
        Found::NoIlm => Step::new(part, Action::Skip(SkipReason::NoIlm)),
        Found::Nothing => Step::new(part, Action::Create),
        Found::Body(body) => Step::compare(part, &body, choices),
    });
    Ok(Plan {
        steps: steps.chain(guard).collect(),
        has_ilm,
    })
}

/// What would be installed on a server that has nothing yet.
pub fn parts_with(installation: &Installation, choices: &Choices) -> Result<Vec<Part>, SetupError> {
    shaped_parts(installation, &[], choices)
}

/// What is to be on the server: ours, as it was chosen, and where nothing was chosen as it is there.
fn shaped_parts(
    installation: &Installation,
    found: &[Found],
    choices: &Choices,
) -> Result<Vec<Part>, SetupError> {
    let stores = stores_of(&parts(installation), found);
    let mut parts = part::parts_stored(installation, |position| choices.store.unwrap_or(stores[position]));
    for (position, part) in parts.iter_mut().enumerate() {
        if part.kind == Kind::IlmPolicy {
            shape_policy(part, found.get(position).unwrap_or(&Found::Nothing), choices)?;
        }
    }
    Ok(parts)
}

/// How each part is stored on the server; an index template that is missing there, as the first one that is not.
fn stores_of(parts: &[Part], found: &[Found]) -> Vec<Store> {
    let stores: Vec<Option<Store>> = parts
        .iter()
        .enumerate()
        .map(|(position, part)| match found.get(position) {
            Some(Found::Body(template)) if part.kind == Kind::IndexTemplate => Some(Store::of(template)),
            _ => None,
        })
        .collect();
    let other = stores.iter().flatten().next().copied().unwrap_or_default();
    stores.into_iter().map(|store| store.unwrap_or(other)).collect()
}

/// Carries out the plan, in order, up to the first failure. A plan that refuses anything is not begun.
pub async fn apply(client: &Client, plan: &Plan) -> Result<(), Interrupted> {
    for (position, step) in plan.steps.iter().enumerate() {
        let sends = matches!(step.action, Action::Create | Action::Change);
        if sends && plan.num_refused() == 0 {
            server::install(client, &step.part)
                .await
                .map_err(|error| Interrupted { position, error })?;
        }
    }
    Ok(())
}

/// The policy with the ages that it is to have.
fn shape_policy(part: &mut Part, found: &Found, choices: &Choices) -> Result<(), SetupError> {
    let ages = &choices.ages;
    match found {
        Found::NoIlm if ages.is_any() => return Err(SetupError::NoIlm),
        Found::Body(server) if !choices.reset_ilm => match stamp::origin(part.kind, server, &part.body) {
            Origin::ChangedByHand if ages.is_any() => {
                lifecycle::edit_ages(&mut part.body, server, ages);
                return lifecycle::check(&part.body);
            }
            Origin::ChangedByHand => {}
            Origin::Installed | Origin::Foreign => lifecycle::keep_ages(&mut part.body, server),
        },
        _ => {}
    }
    ages.write(&mut part.body);
    lifecycle::check(&part.body)?;
    stamp::stamp(part.kind, &mut part.body);
    Ok(())
}

/// Retention is the operator's: a policy that somebody changed stays, unless it is asked for.
fn is_kept(policy: &Part, server: &Value, choices: &Choices) -> bool {
    let origin = stamp::origin(policy.kind, server, &policy.body);
    origin == Origin::ChangedByHand && !choices.reset_ilm && !choices.ages.is_any()
}

impl Step {
    fn new(part: Part, action: Action) -> Self {
        Self {
            part,
            action,
            differences: Vec::new(),
        }
    }

    fn compare(part: Part, server: &Value, choices: &Choices) -> Self {
        let differences = differences(part.kind, server, &part.body);
        let is_newer = stamp::version(part.kind, server) > stamp::version(part.kind, &part.body);
        let origin = stamp::origin(part.kind, server, &part.body);
        let is_policy = part.kind == Kind::IlmPolicy;
        let action = match origin {
            _ if differences.is_empty() => Action::Leave,
            Origin::Installed if !is_newer => Action::Change,
            Origin::ChangedByHand if is_policy && choices.reset_ilm && !is_newer => Action::Change,
            _ if is_policy && is_kept(&part, server, choices) => Action::Skip(SkipReason::PolicyKept),
            _ if choices.force => Action::Change,
            Origin::Foreign => Action::Refuse(Refusal::NotOurs),
            Origin::ChangedByHand if !is_newer => Action::Refuse(Refusal::ChangedByHand),
            Origin::ChangedByHand | Origin::Installed => Action::Refuse(Refusal::Newer),
        };
        Self {
            part,
            action,
            differences,
        }
    }
}
