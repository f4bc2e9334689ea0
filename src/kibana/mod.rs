//! The Kibana pack (saved objects and alert rules) → Kibana, by its API: a [`Plan`] from what Kibana has, then the
//! calls. What a person changed there is kept unless told otherwise: saved searches and rules are there to be changed.
//!
//! The credentials need Kibana's rights to manage saved objects and rules in the space; rules run with the rights of who
//! creates them.

use serde_json::Value;

use crate::bulk::SendError;
use crate::config::Installation;
use crate::elasticsearch::client::{Answer, Client};
use crate::outcome::error_chain;

mod objects;
mod rights;
mod rules;
#[cfg(test)]
pub(crate) mod tests;

pub use objects::pack;
pub use rights::check_rights;
pub use rules::{Rule, rules};

/// Longest text of Kibana's refusal that is passed on, characters.
const MAX_REASON: usize = 600;

/// One space of a Kibana.
#[derive(Clone, Debug)]
pub struct Kibana {
    client: Client,
    /// `None` is the default one.
    space: Option<String>,
}

/// What is to be done, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Every saved object, then every rule.
    pub items: Vec<Item>,
    /// What is imported; `None`: nothing.
    import: Option<String>,
}

/// One saved object or rule, and what is to be done about it.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is, in words.
    pub kind: &'static str,
    /// Its id, the same in every space.
    pub id: String,
    /// What people see.
    pub title: String,
    /// What is to be done.
    pub action: Action,
    /// The body of the rule's call.
    call: Option<Value>,
}

/// What is to be done about an object or rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Kibana does not have it.
    Create,
    /// Kibana has an older one, or one that is to be overwritten.
    Change,
    /// Kibana has this one.
    Leave,
    /// Kibana has one that somebody changed.
    Keep,
    /// A rule that could not read what it looks at.
    Refuse,
}

/// What became of a plan: all that is not mentioned here is done.
#[derive(Debug, Default)]
pub struct Applied {
    /// Position in the plan, and why it is not done.
    pub failures: Vec<(usize, KibanaError)>,
    /// From here on nothing was tried.
    pub stopped_at: Option<usize>,
}

/// Why Kibana does not have what it should.
#[derive(Debug, thiserror::Error)]
pub enum KibanaError {
    /// A call got no answer.
    #[error("{what}: Kibana does not answer at {url}: is that FLOWSHIP_KIBANA_URL, or --kibana-url?")]
    NoAnswer {
        /// What was tried.
        what: String,
        /// Where.
        url: String,
        /// What happened.
        source: SendError,
    },
    /// A right is missing.
    #[error(
        "{what}: not allowed ({status}): the user or API key needs Kibana's rights to manage saved objects and rules \
         in this space: {reason}"
    )]
    Forbidden {
        /// What was tried.
        what: String,
        /// 401 or 403.
        status: u16,
        /// Kibana's words, cut short.
        reason: String,
    },
    /// There is no such address.
    #[error("{what}: not found (404) at {url}: is this Kibana's URL, and is the space there?")]
    NotFound {
        /// What was tried.
        what: String,
        /// Where.
        url: String,
    },
    /// There is no such space.
    #[error(
        "there is no space `{space}` at {url} (404): make it in Kibana first, or is this not Kibana's URL?"
    )]
    NoSpace {
        /// Its identifier.
        space: String,
        /// Where.
        url: String,
    },
    /// Another installation would lose its data view, and its dashboards and rules with it.
    #[error(
        "the data view `{id}` of this space shows {theirs}, not {ours}: another installation uses it; take another \
         space with --kibana-space, or another Kibana if this one gives the copies other ids, or take the view over \
         with --force"
    )]
    OtherInstallation {
        /// Id of the data view.
        id: String,
        /// What it shows.
        theirs: String,
        /// What it would show.
        ours: String,
    },
    /// Rules would find nothing, and say so nowhere but in their log.
    #[error(
        "alert rules run with the rights of whoever installs them, and these credentials may not read {patterns}: give \
         them the role {role} in addition"
    )]
    RulesCannotRead {
        /// What the rules look at.
        patterns: String,
        /// The role that has the right.
        role: String,
    },
    /// Elasticsearch does not say what rules may read.
    #[error("asking Elasticsearch whether alert rules could read the indices: {detail}")]
    RightsUnknown {
        /// What happened.
        detail: String,
    },
    /// Kibana refuses.
    #[error("{what}: Kibana answers {status}: {reason}")]
    Refused {
        /// What was tried.
        what: String,
        /// HTTP status.
        status: u16,
        /// Its words, cut short.
        reason: String,
    },
    /// The answer is of another shape than Kibana's.
    #[error("{what}: the answer is not that of Kibana: {detail}")]
    Unreadable {
        /// What was tried.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Objects of these ids are in another space, and Kibana gave ours others.
    #[error(
        "another space has these objects, so Kibana made copies with other ids, to which links and rules do not lead: \
         {ids}; delete the copies and share the objects of the other space with this one"
    )]
    OtherIds {
        /// Type and id of each.
        ids: String,
    },
}

#[cfg(test)]
impl Plan {
    /// With items that make no call.
    pub(crate) fn of(items: &[(&'static str, &str, Action)]) -> Self {
        let items = items.iter().map(|(kind, title, action)| Item {
            kind,
            id: format!("id of {title}"),
            title: (*title).to_owned(),
            action: *action,
            call: None,
        });
        Self {
            items: items.collect(),
            import: None,
        }
    }
}

impl Plan {
    /// Whether there are rules to create or to change.
    pub fn has_due_rules(&self) -> bool {
        self.items.iter().any(|item| item.call.is_some())
    }

    /// Leaves the rules out that would be created or changed.
    pub fn refuse_rules(&mut self) {
        for item in &mut self.items {
            if item.call.take().is_some() {
                item.action = Action::Refuse;
            }
        }
    }
}

impl Kibana {
    /// `space`: `None` is the default one.
    pub fn new(client: Client, space: Option<&str>) -> Self {
        let space = space.map(str::to_owned);
        Self { client, space }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// Asks Kibana for every object and rule; changes nothing. `force` overwrites what a person changed, and takes over
    /// what another installation uses.
    pub async fn plan(&self, installation: &Installation, force: bool) -> Result<Plan, KibanaError> {
        if let Some(space) = &self.space {
            self.find_space(space).await?;
        }
        let pack = pack(installation);
        let found = objects::read(self, &pack).await?;
        if !force {
            objects::refuse_others(&pack, &found)?;
        }
        let (mut items, import) = objects::compare(&pack, &found, force);
        for rule in rules(installation) {
            items.push(rules::read(self, &rule, force).await?);
        }
        Ok(Plan { items, import })
    }

    /// Carries out the plan, up to a call that got no answer. A rule that Kibana refuses, such as one of a type that it
    /// does not know, keeps no other from being there.
    pub async fn apply(&self, plan: &Plan) -> Applied {
        let mut applied = Applied::default();
        let is_due = |item: &Item| matches!(item.action, Action::Create | Action::Change);
        if let Some(import) = &plan.import
            && let Err(error) = objects::import(self, import).await
        {
            let position = plan.items.iter().position(is_due).unwrap_or_default();
            applied.failures.push((position, error));
            applied.stopped_at = Some(position);
            return applied;
        }
        for (position, item) in plan.items.iter().enumerate() {
            let Err(error) = rules::write(self, item).await else {
                continue;
            };
            let stops = matches!(error, KibanaError::NoAnswer { .. });
            applied.failures.push((position, error));
            if stops {
                applied.stopped_at = Some(position);
                break;
            }
        }
        applied
    }

    /// Kibana itself takes calls for a space that there is not.
    async fn find_space(&self, space: &str) -> Result<(), KibanaError> {
        let what = format!("looking for the space `{space}`");
        let answer = self.client.get(&format!("api/spaces/space/{space}")).await;
        let answer = self.answered(&what, answer)?;
        match answer.status {
            200 => Ok(()),
            404 => Err(KibanaError::NoSpace {
                space: space.to_owned(),
                url: self.url().to_owned(),
            }),
            _ => Err(refusal(self, &what, &answer)),
        }
    }

    /// What paths of the space begin with.
    fn prefix(&self) -> String {
        let space = self.space.as_ref();
        space.map_or_else(String::new, |space| format!("s/{space}/"))
    }

    fn path(&self, path: &str) -> String {
        format!("{}api/{path}", self.prefix())
    }

    fn answered(&self, what: &str, answer: Result<Answer, SendError>) -> Result<Answer, KibanaError> {
        answer.map_err(|source| KibanaError::NoAnswer {
            what: what.to_owned(),
            url: self.url().to_owned(),
            source,
        })
    }
}

fn parse(what: &str, text: &[u8]) -> Result<Value, KibanaError> {
    serde_json::from_slice(text).map_err(|error| unreadable(what, &error))
}

fn unreadable(what: &str, error: &dyn std::error::Error) -> KibanaError {
    KibanaError::Unreadable {
        what: what.to_owned(),
        detail: error_chain(error),
    }
}

fn refusal(kibana: &Kibana, what: &str, answer: &Answer) -> KibanaError {
    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = match told["message"].as_str() {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (what, status) = (what.to_owned(), answer.status);
    let reason = line.chars().take(MAX_REASON).collect();
    match status {
        401 | 403 => KibanaError::Forbidden { what, status, reason },
        404 => KibanaError::NotFound {
            what,
            url: format!("{}{}", kibana.url(), kibana.prefix()),
        },
        _ => KibanaError::Refused { what, status, reason },
    }
}
