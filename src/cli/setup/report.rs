//! What setup did, or would do → lines for people, one JSON document for programs.

use serde::Serialize;

use super::outcome::Outcome;
use super::pack::{PackReport, PackRow};
use crate::assets::Kind;
use crate::elasticsearch::setup::{Action, Difference, Interrupted, Plan, Step};

#[derive(Serialize)]
pub(super) struct Report<'a> {
    url: &'a str,
    index_prefix: &'a str,
    dry_run: bool,
    #[serde(skip)]
    nothing_done: bool,
    /// Whether the server has the ILM module.
    ilm: bool,
    pub(super) parts: Vec<Row<'a>>,
    /// What became of the Kibana pack, if Kibana was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kibana: Option<&'a PackReport>,
}

#[derive(Serialize)]
pub(super) struct Row<'a> {
    result: Outcome,
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Changed<'a>>,
    #[serde(skip)]
    step: &'a Step,
}

#[derive(Serialize)]
struct Changed<'a> {
    path: &'a str,
    server: Option<&'a str>,
    ours: Option<&'a str>,
    #[serde(skip)]
    difference: &'a Difference,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        url: &'a str,
        index_prefix: &'a str,
        plan: &'a Plan,
        dry_run: bool,
        stopped: Option<&Interrupted>,
    ) -> Self {
        let failed_at = stopped.map(|stopped| stopped.position);
        let nothing_done = dry_run || plan.num_refused() > 0;
        let parts = plan
            .steps
            .iter()
            .enumerate()
            .map(|(position, step)| Row::new(step, outcome(step, position, nothing_done, failed_at)))
            .collect();
        Self {
            url,
            index_prefix,
            dry_run,
            nothing_done,
            ilm: plan.has_ilm,
            parts,
            kibana: None,
        }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let width = if self.nothing_done { 12 } else { 9 };
        let pack = self.kibana.into_iter().flat_map(|pack| &pack.parts);
        let pack = pack.map(move |row| pack_line(row, width));
        let parts = self.parts.iter().flat_map(move |row| {
            let mut line = format!(
                "{:width$}  {:18}  {}",
                row.result.words(),
                row.step.part.kind,
                row.name
            );
            if let Some(reason) = &row.reason {
                line.push_str(&format!("  ({reason})"));
            }
            let differences = row
                .differences
                .iter()
                .map(|changed| format!("    {}", changed.difference));
            std::iter::once(line).chain(differences).collect::<Vec<_>>()
        });
        parts.chain(pack)
    }

    /// What a person should know beside the lines.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let template_changed = |row: &Row<'_>| {
            row.result == Outcome::Changed
                && matches!(row.step.part.kind, Kind::ComponentTemplate | Kind::IndexTemplate)
        };
        if self.dry_run {
            remarks.push("dry run: nothing was changed".to_owned());
        } else if self.parts.iter().any(template_changed) {
            let remark =
                "indices that exist keep their settings and mappings; new ones get what was installed";
            remarks.push(remark.to_owned());
        }
        if let Some(age) = self.deletes_after() {
            remarks.push(format!(
                "the policy's age of deletion changes: indices of days that are more than {age} ago are deleted within minutes"
            ));
        }
        remarks
    }

    /// The age at which indices are deleted, if this run changes it.
    fn deletes_after(&self) -> Option<&str> {
        let policy = self.parts.iter().find(|row| {
            matches!(row.result, Outcome::Changed | Outcome::WouldChange)
                && row.step.part.kind == Kind::IlmPolicy
        })?;
        let age = policy
            .differences
            .iter()
            .find(|changed| changed.path == "phases.delete.min_age");
        age?.ours
    }
}

fn pack_line(row: &PackRow, width: usize) -> String {
    let reason = match row.result {
        Outcome::Kept => "  (changed by hand; --force overwrites it)",
        Outcome::Refused => "  (it could not read the indices)",
        _ => "",
    };
    format!(
        "{:width$}  {:18}  {}{reason}",
        row.result.words(),
        row.kind_in_words,
        row.title
    )
}

impl<'a> Row<'a> {
    fn new(step: &'a Step, result: Outcome) -> Self {
        let reason = match (step.action, step.differences.len()) {
            (Action::Skip(reason), _) => Some(reason.to_string()),
            (Action::Refuse(reason), _) => Some(reason.to_string()),
            (_, 0) => None,
            (_, 1) => Some("1 difference".to_owned()),
            (_, count) => Some(format!("{count} differences")),
        };
        let differences = step
            .differences
            .iter()
            .map(|difference| Changed {
                path: &difference.path,
                server: difference.server.as_deref(),
                ours: difference.ours.as_deref(),
                difference,
            })
            .collect();
        Self {
            result,
            kind: step.part.kind.word(),
            name: &step.part.name,
            reason,
            differences,
            step,
        }
    }
}

fn outcome(step: &Step, position: usize, nothing_done: bool, failed_at: Option<usize>) -> Outcome {
    match (step.action, failed_at) {
        (Action::Leave, _) => Outcome::Unchanged,
        (Action::Skip(_), _) => Outcome::Skipped,
        (Action::Refuse(_), _) => Outcome::Refused,
        (_, Some(failed)) if position == failed => Outcome::Failed,
        (_, Some(failed)) if position > failed => Outcome::Pending,
        (Action::Create, _) if nothing_done => Outcome::WouldCreate,
        (Action::Change, _) if nothing_done => Outcome::WouldChange,
        (Action::Create, _) => Outcome::Created,
        (Action::Change, _) => Outcome::Changed,
    }
}
