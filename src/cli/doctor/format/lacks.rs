//! A format → the panels that lack something of it, by column.

use std::collections::{BTreeMap, BTreeSet};

use super::super::check::Check;
use super::needs::{Need, Needs, ZONE_COLUMNS};
use super::panels::{Effect, Panel, panels};
use crate::config::EnrichSettings;
use crate::flow::{Dataset, FIELDS, Field, Format};

/// Of more panels of a dashboard only the number is told.
const MAX_PANELS: usize = 3;

/// By dashboard and title.
type Panels<'a> = BTreeMap<(&'a str, &'a str), Effect>;

/// The panels that lack something, by column and by setting.
#[derive(Debug, Default)]
struct Lacks<'a> {
    columns: BTreeMap<&'static str, Panels<'a>>,
    settings: BTreeMap<&'static str, Panels<'a>>,
}

pub(super) fn judge(format: &Format, enrich: &EnrichSettings) -> Check {
    const NAME: &str = "object.panels";
    let panels = panels();
    let needs = Needs::new(format.dataset(), enrich);
    let lacks = Lacks::of(&panels, format, &needs);
    let columns: Vec<&str> = FIELDS
        .iter()
        .map(|spec| spec.name)
        .filter(|name| lacks.columns.contains_key(name))
        .collect();
    let of_columns = columns.iter().map(|name| line(name, &lacks.columns[name]));
    let of_settings = lacks
        .settings
        .iter()
        .map(|(setting, panels)| line(&format!("FLOWSHIP_{setting} (not set)"), panels));
    let details: Vec<String> = of_columns.chain(of_settings).collect();
    if columns.is_empty() {
        let found = match format.dataset() {
            Dataset::Vpc => "every column that the dashboards use is there",
            Dataset::Tgw => "every column that the dashboards use of transit gateways is there",
        };
        return Check::ok(NAME, found).with_details(details);
    }
    let affected: BTreeSet<_> = lacks.columns.values().flat_map(BTreeMap::keys).collect();
    let lacks_zones = ZONE_COLUMNS.iter().any(|column| columns.contains(column));
    let add: Vec<String> = columns.iter().map(|name| format!("${{{name}}}")).collect();
    Check::warn(
        NAME,
        format!(
            "{} of {} panels show nothing (empty), or less than they could or twice (partly), for lack of:",
            affected.len(),
            panels.len()
        ),
        format!(
            "add {} to the flow log's format; the format of a flow log cannot be changed: create one with the longer \
             format, then delete this one{}",
            add.join(" "),
            if lacks_zones { "; zones are also known by FLOWSHIP_NETWORK_MAP" } else { "" },
        ),
    )
    .with_details(details)
}

impl<'a> Lacks<'a> {
    fn of(panels: &'a [Panel], format: &Format, needs: &Needs<'_>) -> Self {
        let names: Vec<Option<Field>> = format
            .header()
            .split(' ')
            .map(|name| Field::by_name(name.as_bytes()))
            .collect();
        let is_missing = |column: &&str| !names.contains(&Field::by_name(column.as_bytes()));
        let mut lacks = Self::default();
        for panel in panels {
            for field in panel.fields() {
                let (Some(need), Some(effect)) = (needs.of(field), panel.without(field)) else {
                    continue;
                };
                let Need { columns, setting } = need;
                for column in columns.into_iter().filter(is_missing) {
                    add(&mut lacks.columns, column, panel, effect);
                }
                if let Some(setting) = setting {
                    add(&mut lacks.settings, setting, panel, effect);
                }
            }
        }
        lacks
    }
}

/// Of several fields that come of one column, the one without which the panel is empty counts.
fn add<'a>(
    lacks: &mut BTreeMap<&'static str, Panels<'a>>,
    name: &'static str,
    panel: &'a Panel,
    effect: Effect,
) {
    let panels = lacks.entry(name).or_default();
    let known = panels.entry((&panel.dashboard, &panel.title)).or_insert(effect);
    *known = effect.min(*known);
}

fn line(name: &str, panels: &Panels<'_>) -> String {
    let told = [(Effect::Empty, "empty"), (Effect::Partly, "partly")].map(|(effect, word)| {
        let mut dashboards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for ((dashboard, title), _) in panels.iter().filter(|(_, found)| **found == effect) {
            dashboards.entry(dashboard).or_default().push(title);
        }
        let dashboards = dashboards.iter().map(|(dashboard, titles)| match titles.len() {
            number if number > MAX_PANELS => format!("{dashboard}: {number} panels"),
            _ => format!("{dashboard}: {}", titles.join(", ")),
        });
        let dashboards: Vec<String> = dashboards.collect();
        (!dashboards.is_empty()).then(|| format!("{word} {}", dashboards.join("; ")))
    });
    let told: Vec<String> = told.into_iter().flatten().collect();
    format!("{name}: {}", told.join(" | "))
}

#[cfg(test)]
mod tests;
