//! The members of an end that say where its address is: `geo` and `as`, by their names in ECS.

use super::json::{push_number, push_object, push_plain, push_string};
use crate::enrich::{Coordinates, Place};

/// `geo` and `as`, each where something of it is known.
pub(super) fn push_place(out: &mut Vec<u8>, place: &Place<'_>) {
    push_object(out, br#""geo":{"#, |out| {
        push_text(out, br#""country_iso_code":"#, place.country_iso_code);
        push_text(out, br#""country_name":"#, place.country_name);
        if let Some(code) = place.region_iso_code {
            push_plain(out, br#""region_iso_code":"#, code.as_bytes());
        }
        push_text(out, br#""region_name":"#, place.region_name);
        push_text(out, br#""city_name":"#, place.city_name);
        if let Some(coordinates) = place.coordinates {
            push_location(out, coordinates);
        }
    });
    push_object(out, br#""as":{"#, |out| {
        if let Some(number) = place.asn {
            push_number(out, br#""number":"#, number.into());
        }
        push_object(out, br#""organization":{"#, |out| {
            push_text(out, br#""name":"#, place.organization);
        });
    });
}

fn push_text(out: &mut Vec<u8>, member: &[u8], text: Option<&str>) {
    if let Some(text) = text {
        push_string(out, member, text.as_bytes());
    }
}

fn push_location(out: &mut Vec<u8>, coordinates: Coordinates) {
    out.extend_from_slice(br#""location":{"lat":"#);
    push_degrees(out, coordinates.latitude);
    out.extend_from_slice(br#","lon":"#);
    push_degrees(out, coordinates.longitude);
    out.extend_from_slice(b"},");
}

/// Ten-thousandths as the shortest decimal number: `37.751`, `-122`, `0`.
fn push_degrees(out: &mut Vec<u8>, ten_thousandths: i32) {
    if ten_thousandths < 0 {
        out.push(b'-');
    }
    let (degrees, mut rest) = (
        ten_thousandths.unsigned_abs() / 10_000,
        ten_thousandths.unsigned_abs() % 10_000,
    );
    out.extend_from_slice(itoa::Buffer::new().format(degrees).as_bytes());
    if rest == 0 {
        return;
    }
    out.push(b'.');
    while rest > 0 {
        let digit = u8::try_from(rest / 1000).expect("the rest is below 10,000");
        out.push(b'0' + digit);
        rest = rest % 1000 * 10;
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::close_object;
    use super::*;
    use crate::enrich::RegionCode;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn members(place: &Place<'_>) -> Value {
        let mut out = br#"{"ip":"81.2.69.142","#.to_vec();
        push_place(&mut out, place);
        close_object(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn what_is_known_is_there_by_its_name_in_ecs() {
        let place = Place {
            country_iso_code: Some("US"),
            country_name: Some("United States"),
            region_iso_code: RegionCode::new(Some("US"), Some("OR")),
            region_name: Some("Oregon"),
            city_name: Some("Port\"land\\\u{1}"),
            coordinates: Some(Coordinates {
                latitude: 455_202,
                longitude: -1_226_742,
            }),
            asn: Some(4_294_967_295),
            organization: Some("Ex\tample, Inc. 中"),
        };
        let expected = json!({
            "ip": "81.2.69.142",
            "geo": {
                "country_iso_code": "US", "country_name": "United States", "region_iso_code": "US-OR",
                "region_name": "Oregon", "city_name": "Port\"land\\\u{1}",
                "location": {"lat": 45.5202, "lon": -122.6742},
            },
            "as": {"number": 4_294_967_295_u32, "organization": {"name": "Ex\tample, Inc. 中"}},
        });
        assert_eq!(members(&place), expected);
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        assert_eq!(members(&Place::default()), json!({"ip": "81.2.69.142"}));
        let place = Place {
            country_iso_code: Some("SE"),
            organization: Some("x"),
            ..Place::default()
        };
        let expected = json!({
            "ip": "81.2.69.142", "geo": {"country_iso_code": "SE"}, "as": {"organization": {"name": "x"}},
        });
        assert_eq!(members(&place), expected);
    }

    fn degrees(ten_thousandths: i32) -> String {
        let mut out = Vec::new();
        push_degrees(&mut out, ten_thousandths);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn degrees_are_as_short_as_can_be() {
        let texts = [0, 1, -1, 10_000, -1_220_000, 377_510, -978_220, 100, 900_000].map(degrees);
        assert_eq!(
            texts,
            [
                "0", "0.0001", "-0.0001", "1", "-122", "37.751", "-97.822", "0.01", "90"
            ]
        );
    }

    proptest! {
        #[test]
        fn degrees_are_the_number_that_they_stand_for(number in -1_800_000..=1_800_000) {
            let text = degrees(number);
            let expected = f64::from(number) / 10_000.0;
            prop_assert_eq!(text.parse::<f64>().unwrap(), expected);
            // Rust prints the shortest text that reads back as the same number.
            prop_assert_eq!(text, expected.to_string());
        }
    }
}
