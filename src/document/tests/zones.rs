//! The zones that one record says, said slowly; and what a document is without them.

use super::*;

/// The zones that one record says, without a network map and without other records.
pub(super) fn put_zones(root: &mut Value, cells: &[Cell]) {
    let get = |field: Field| {
        let mut found = cells
            .iter()
            .filter(|(spec, _)| spec.is_some_and(|spec| spec.field == field));
        found.next().and_then(|(_, text)| text.as_deref())
    };
    let is_of_a_zone = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let zone = |field| get(field).filter(|text| text.len() <= 24 && text.chars().all(is_of_a_zone));
    let address = |field| get(field).map(|text| text.parse::<IpAddr>().unwrap());
    let is_public = |address: IpAddr| match address {
        IpAddr::V4(address) => {
            let of = |first: [u8; 4], prefix_bits: u32| {
                (address.to_bits() ^ u32::from_be_bytes(first)) >> (32 - prefix_bits) == 0
            };
            let private = [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];
            let local = [([169, 254, 0, 0], 16), ([100, 64, 0, 0], 10)];
            !private
                .into_iter()
                .chain(local)
                .any(|(first, prefix_bits)| of(first, prefix_bits))
        }
        IpAddr::V6(address) => address.to_bits() >> 32 == 0x0064_ff9b_0000_0000_0000_0000,
    };
    let is_tgw = cells
        .iter()
        .any(|(spec, _)| spec.is_some_and(|spec| spec.datasets == [Dataset::Tgw]));
    let ends = [address(Field::Srcaddr), address(Field::Dstaddr)];
    let has_flow = ends != [None, None] || !matches!(get(Field::LogStatus), Some("NODATA" | "SKIPDATA"));
    let mut zones = [None, None];
    let own = match get(Field::FlowDirection) {
        Some("egress") => Some(0),
        Some("ingress") => Some(1),
        _ => None,
    };
    if is_tgw {
        zones = [Field::TgwSrcAzId, Field::TgwDstAzId].map(|field| Some(("tgw_az_id", zone(field)?)));
    } else if let (Some(own), true) = (own, has_flow) {
        if get(Field::InterfaceType) != Some("transit_gateway") {
            zones[own] = zone(Field::AzId).map(|zone| ("az_id", zone));
        }
        if !ends[1 - own].is_some_and(is_public) {
            zones[1 - own] = zone(Field::NextHopAzId).map(|zone| ("next_hop", zone));
        }
    }
    for (end, zone) in ["source", "destination"].iter().zip(zones) {
        let Some((rule, zone)) = zone else { continue };
        put(root, &format!("flowship.{end}.zone"), json!(zone));
        if root.pointer("/flowship/zone_source") != Some(&json!("next_hop")) {
            put(root, "flowship.zone_source", json!(rule));
        }
    }
    if let [Some((_, source)), Some((_, destination))] = zones {
        let crossing = if source == destination { "same" } else { "cross" };
        put(root, "flowship.zone_crossing", json!(crossing));
    }
}

/// The document without what the zones added.
pub(super) fn without_zones(mut document: Value) -> Value {
    if let Some(Value::Object(own)) = document.get_mut("flowship") {
        for member in ["source", "destination", "zone_source", "zone_crossing"] {
            own.remove(member);
        }
        if own.is_empty() {
            document.as_object_mut().unwrap().remove("flowship");
        }
    }
    document
}
