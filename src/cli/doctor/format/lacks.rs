//! A format → the panels that lack something of it, by column.

use std::collections::{BTreeMap, BTreeSet};

use super::super::check::Check;
use super::needs::{Need, Needs, ZONE_COLUMNS};
use super::panels::{Effect, Panel, panels};
use crate::config::EnrichSettings;
use crate::flow::{Dataset, FIELDS, Field, Format};

/// Of more panels of a dashboard only the number is told.
const MAX_PANELS: usize = 3;

/// By effect, then by dashboard: titles of panels.
type Panels<'a> = BTreeMap<Effect, BTreeMap<&'a str, BTreeSet<&'a str>>>;

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
    let affected: BTreeSet<(&str, &str)> = lacks
        .columns
        .values()
        .flat_map(|effects| effects.values())
        .flat_map(|dashboards| {
            dashboards
                .iter()
                .flat_map(|(name, titles)| titles.iter().map(|title| (*name, *title)))
        })
        .collect();
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

fn add<'a>(
    lacks: &mut BTreeMap<&'static str, Panels<'a>>,
    name: &'static str,
    panel: &'a Panel,
    effect: Effect,
) {
    let effects = lacks.entry(name).or_default();
    let is_empty_already = effects
        .get(&Effect::Empty)
        .and_then(|dashboards| dashboards.get(panel.dashboard.as_str()))
        .is_some_and(|titles| titles.contains(panel.title.as_str()));
    if is_empty_already {
        return;
    }
    if effect == Effect::Empty
        && let Some(titles) = effects
            .get_mut(&Effect::Partly)
            .and_then(|dashboards| dashboards.get_mut(panel.dashboard.as_str()))
    {
        titles.remove(panel.title.as_str());
    }
    let dashboards = effects.entry(effect).or_default();
    dashboards
        .entry(&panel.dashboard)
        .or_default()
        .insert(&panel.title);
}

fn line(name: &str, effects: &Panels<'_>) -> String {
    let told = effects.iter().filter_map(|(effect, dashboards)| {
        let of_dashboards: Vec<String> = dashboards
            .iter()
            .filter(|(_, titles)| !titles.is_empty())
            .map(|(dashboard, titles)| match titles.len() {
                number if number > MAX_PANELS => format!("{dashboard}: {number} panels"),
                _ => format!(
                    "{dashboard}: {}",
                    titles.iter().copied().collect::<Vec<_>>().join(", ")
                ),
            })
            .collect();
        let word = match effect {
            Effect::Empty => "empty",
            Effect::Partly => "partly",
        };
        (!of_dashboards.is_empty()).then(|| format!("{word} {}", of_dashboards.join("; ")))
    });
    format!("{name}: {}", told.collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests;
