//! The layouts of records that are understood, and what of them goes into a [`Place`]. Strings are borrowed from the
//! database; languages other than English and everything else are passed over.
//!
//! Sources: MaxMind's "GeoLite2 and GeoIP2 databases" and DB-IP's "MMDB format" pages for the nested layout, and
//! github.com/sapics/ip-location-db for the flat one, which has empty strings for what it does not know.

use std::fmt;
use std::marker::PhantomData;

use maxminddb::{LookupResult, MaxMindDbError, path};
use memmap2::Mmap;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::{Coordinates, Place, RegionCode};

/// How a database's records are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `country.iso_code`, `city.names.en`, …: GeoLite2, GeoIP2, DB-IP.
    Nested,
    /// `country_code`, `state1`, `city`, …: ip-location-db.
    Flat,
    /// `autonomous_system_number`, `autonomous_system_organization`: the same everywhere.
    System,
}

impl Layout {
    /// The layout that a record shows, if it shows one.
    pub(super) fn of(record: &LookupResult<'_, Mmap>) -> Option<Self> {
        if let Ok(Some(_)) = record.decode_path::<&str>(&path!["country", "iso_code"]) {
            Some(Self::Nested)
        } else if let Ok(Some(_)) = record.decode_path::<&str>(&path!["country_code"]) {
            Some(Self::Flat)
        } else if let Ok(Some(_)) = record.decode_path::<u32>(&path!["autonomous_system_number"]) {
            Some(Self::System)
        } else {
            None
        }
    }

    /// Takes into `place` what a record says. False where there is no record.
    pub(super) fn read<'a>(
        self,
        record: &LookupResult<'a, Mmap>,
        place: &mut Place<'a>,
    ) -> Result<bool, MaxMindDbError> {
        Ok(match self {
            Self::Nested => record.decode::<Nested<'a>>()?.map(|record| record.tell(place)),
            Self::Flat => record.decode::<Flat<'a>>()?.map(|record| record.tell(place)),
            Self::System => record.decode::<System<'a>>()?.map(|record| record.tell(place)),
        }
        .is_some())
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Nested<'a> {
    #[serde(borrow)]
    country: Named<'a>,
    #[serde(borrow)]
    subdivisions: First<Named<'a>>,
    #[serde(borrow)]
    city: Named<'a>,
    location: LatLon,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Named<'a> {
    iso_code: Option<&'a str>,
    #[serde(borrow)]
    names: Names<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct LatLon {
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
}

impl LatLon {
    fn coordinates(&self) -> Option<Coordinates> {
        Coordinates::new(self.latitude.as_ref()?.0, self.longitude.as_ref()?.0)
    }
}

impl<'a> Nested<'a> {
    fn tell(self, place: &mut Place<'a>) {
        let region = self.subdivisions.0.unwrap_or_default();
        place.country_iso_code = known(self.country.iso_code);
        place.country_name = known(self.country.names.en);
        place.region_iso_code = RegionCode::new(self.country.iso_code, region.iso_code);
        place.region_name = known(region.names.en);
        place.city_name = known(self.city.names.en);
        place.coordinates = self.location.coordinates();
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Flat<'a> {
    country_code: Option<&'a str>,
    state1: Option<&'a str>,
    city: Option<&'a str>,
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
}

impl<'a> Flat<'a> {
    fn tell(self, place: &mut Place<'a>) {
        place.country_iso_code = known(self.country_code);
        place.region_name = known(self.state1);
        place.city_name = known(self.city);
        place.coordinates = LatLon {
            latitude: self.latitude,
            longitude: self.longitude,
        }
        .coordinates();
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct System<'a> {
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'a str>,
}

impl<'a> System<'a> {
    /// Number 0 is reserved (RFC 7607); databases use it for networks that nobody announces.
    fn tell(self, place: &mut Place<'a>) {
        place.asn = self.autonomous_system_number.filter(|number| *number != 0);
        place.organization = known(self.autonomous_system_organization);
    }
}

fn known(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// A number of any type: doubles in nested records, floats of 32 bits in flat ones.
struct Degrees(f64);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DegreesVisitor;

        impl Visitor<'_> for DegreesVisitor {
            type Value = Degrees;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Degrees, E> {
                Ok(Degrees(number))
            }

            fn visit_f32<E>(self, number: f32) -> Result<Degrees, E> {
                Ok(Degrees(number.into()))
            }

            fn visit_i32<E>(self, number: i32) -> Result<Degrees, E> {
                Ok(Degrees(number.into()))
            }

            fn visit_u32<E>(self, number: u32) -> Result<Degrees, E> {
                Ok(Degrees(number.into()))
            }
        }

        deserializer.deserialize_any(DegreesVisitor)
    }
}

/// The first element of a list, which is the largest subdivision; the others are passed over.
#[derive(Default)]
struct First<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstVisitor<T> {
            type Value = First<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let first = list.next_element()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        deserializer.deserialize_seq(FirstVisitor(PhantomData))
    }
}
