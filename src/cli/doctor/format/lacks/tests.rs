use super::*;
use crate::cli::doctor::check::Verdict;
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
    insta::assert_snapshot!(told(&judged(Format::default().header())), @"
    Warn 18 of 43 panels show nothing (empty), or less than they could or twice (partly), for lack of:
    vpc-id: empty One host: Zones crossed; Overview: Across zones, Bytes between zones, Who crosses zones | partly One host: Every record, Interfaces that saw it; Overview: What the logs tell
    subnet-id: partly One host: Interfaces that saw it
    instance-id: partly One host: Interfaces that saw it; Overview: What the logs tell
    az-id: empty One host: Zones crossed; Overview: Across zones, Bytes between zones, Who crosses zones | partly One host: Every record, Interfaces that saw it; Overview: What the logs tell
    flow-direction: partly One host: 5 panels; Overview: 11 panels
    traffic-path: empty Overview: Ways out | partly Overview: What the logs tell
    reject-reason: empty Rejected: Reasons
    interface-type: partly One host: 4 panels; Overview: 10 panels
    FLOWSHIP_GEO_ASN_DB (not set): empty Rejected: Networks
    FLOWSHIP_GEO_CITY_DB (not set): empty Rejected: Countries
    add ${vpc-id} ${subnet-id} ${instance-id} ${az-id} ${flow-direction} ${traffic-path} ${reject-reason} ${interface-type} to the flow log's format; the format of a flow log cannot be changed: create one with the longer format, then delete this one; zones are also known by FLOWSHIP_NETWORK_MAP
    ");
}

#[test]
fn a_format_with_all_columns_lacks_nothing() {
    for dataset in Dataset::ALL {
        let check = judged(&all_columns(dataset));
        assert_eq!(check.verdict, Verdict::Ok, "{check:?}");
    }
}

#[test]
fn a_column_that_is_added_is_no_longer_missed() {
    let header = all_columns(Dataset::Vpc).replace(" reject-reason", "");
    insta::assert_snapshot!(told(&judged(&header)), @"
    Warn 1 of 43 panels show nothing (empty), or less than they could or twice (partly), for lack of:
    reject-reason: empty Rejected: Reasons
    FLOWSHIP_GEO_ASN_DB (not set): empty Rejected: Networks
    FLOWSHIP_GEO_CITY_DB (not set): empty Rejected: Countries
    add ${reject-reason} to the flow log's format; the format of a flow log cannot be changed: create one with the longer format, then delete this one
    ");
}

/// What the pack shows of flow logs: a panel or field that is not understood here would be missed silently.
#[test]
fn every_panel_and_field_of_the_pack_is_understood() {
    let panels = panels();
    let of = |dashboard: &str| panels.iter().filter(|panel| panel.dashboard == dashboard).count();
    // As many as kibana/sources/dashboards has; of Ingest health those with `"view": "flows"`.
    assert_eq!(
        ["Overview", "Rejected", "One host", "Ingest health"].map(of),
        [16, 14, 12, 1]
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
