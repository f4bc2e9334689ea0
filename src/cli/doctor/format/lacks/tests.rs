use super::*;
use crate::config::ShipSettings;

fn judged(header: &str) -> Check {
    let format = Format::parse(header.as_bytes()).unwrap();
    judge(&format, &ShipSettings::default().enrich)
}

fn told(check: &Check) -> String {
    let lines = [format!("{:?} {}", check.verdict, check.found)];
    let lines = lines.iter().chain(&check.details).chain(check.remedy.as_ref());
    lines.map(String::as_str).collect::<Vec<_>>().join("\n")
}

fn all_columns(dataset: Dataset) -> String {
    let specs = FIELDS.iter().filter(|spec| spec.datasets.contains(&dataset));
    specs.map(|spec| spec.name).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_default_format_lacks_what_later_versions_have() {
    insta::assert_snapshot!(told(&judged(Format::default().header())), @"");
}

#[test]
fn a_format_with_all_columns_lacks_nothing() {
    for dataset in Dataset::ALL {
        insta::allow_duplicates! {
            let check = judged(&all_columns(dataset));
            assert_eq!(check.verdict, super::super::super::check::Verdict::Ok, "{check:?}");
        }
    }
}

#[test]
fn a_column_that_is_added_is_no_longer_missed() {
    let header = all_columns(Dataset::Vpc).replace(" reject-reason", "");
    insta::assert_snapshot!(told(&judged(&header)), @"");
}

/// What the pack shows of flow logs: a panel or field that is not understood here would be missed silently.
#[test]
fn every_panel_and_field_of_the_pack_is_understood() {
    let panels = panels();
    let of = |dashboard: &str| panels.iter().filter(|panel| panel.dashboard == dashboard).count();
    // As many as kibana/sources/dashboards has; of Ingest health those with `"view": "flows"`.
    assert_eq!(
        ["Overview", "Rejected", "One host", "Ingest health"].map(of),
        [0, 0, 0, 0]
    );
    let enrich = ShipSettings::default().enrich;
    let kinds = Dataset::ALL.map(|dataset| Needs::new(dataset, &enrich));
    for panel in &panels {
        for field in panel.fields() {
            let is_known = kinds.iter().any(|needs| needs.of(field).is_some());
            assert!(is_known, "{}: {}: {field}", panel.dashboard, panel.title);
        }
    }
}
