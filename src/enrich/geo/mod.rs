//! An address → its country, region, city and coordinates, and the autonomous system that it belongs to, from databases
//! in the MaxMind DB format that the user brings. What is not known is absent: a miss is a miss.

mod address;
mod database;
mod map;
mod record;

use std::fmt;
use std::net::IpAddr;

use crate::fetch::LocalFile;
use database::{Content, Database};

pub use database::DatabaseError;

/// The open databases. Where several tell the same, the first that has a record of an address is taken.
#[derive(Debug, Default)]
pub struct Geo {
    places: Vec<Database>,
    systems: Vec<Database>,
}

impl Geo {
    /// Adds a database of countries or cities.
    pub fn add_places(&mut self, file: LocalFile) -> Result<(), DatabaseError> {
        self.places.push(Database::open(file, Content::Places)?);
        Ok(())
    }

    /// Adds a database of autonomous systems.
    pub fn add_systems(&mut self, file: LocalFile) -> Result<(), DatabaseError> {
        self.systems.push(Database::open(file, Content::Systems)?);
        Ok(())
    }

    /// What every open database says of itself.
    pub fn descriptions(&self) -> impl Iterator<Item = DatabaseDescription<'_>> {
        let databases = self.places.iter().chain(&self.systems);
        databases.map(Database::description)
    }

    /// Whether there is no database.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.systems.is_empty()
    }

    /// What the databases know of an address. Addresses that are not routed on the internet are not looked up.
    pub fn lookup(&self, address: IpAddr) -> Place<'_> {
        let mut place = Place::default();
        if let Some(address) = address::routed(address) {
            for databases in [&self.places, &self.systems] {
                for database in databases {
                    if database.read(address, &mut place) {
                        break;
                    }
                }
            }
        }
        place
    }
}

/// What a database says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseDescription<'a> {
    /// Such as `GeoLite2-City`.
    pub database_type: &'a str,
    /// When it was built, Unix seconds.
    pub built: u64,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// ISO 3166-1 alpha-2.
    pub country_iso_code: Option<&'a str>,
    /// In English.
    pub country_name: Option<&'a str>,
    /// Of the largest subdivision of the country.
    pub region_iso_code: Option<RegionCode>,
    /// The largest subdivision of the country, in English.
    pub region_name: Option<&'a str>,
    /// In English.
    pub city_name: Option<&'a str>,
    /// Of the city, or of the middle of what is known.
    pub coordinates: Option<Coordinates>,
    /// Number of the autonomous system.
    pub asn: Option<u32>,
    /// Who runs the autonomous system.
    pub organization: Option<&'a str>,
}

/// A code of ISO 3166-2, such as `US-OR`: ASCII that needs no escaping.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RegionCode {
    bytes: [u8; 6],
    length: usize,
}

impl RegionCode {
    /// The code of a country's subdivision; databases hold what follows the country. `None` where this is no such code.
    pub(crate) fn new(country: Option<&str>, subdivision: Option<&str>) -> Option<Self> {
        let (country, subdivision) = (country?.as_bytes(), subdivision?.as_bytes());
        let is_code = |text: &[u8]| text.iter().all(u8::is_ascii_alphanumeric);
        if country.len() != 2
            || !(1..=3).contains(&subdivision.len())
            || !is_code(country)
            || !is_code(subdivision)
        {
            return None;
        }
        let mut code = Self {
            bytes: [b'-'; 6],
            length: 3 + subdivision.len(),
        };
        code.bytes[..2].copy_from_slice(country);
        code.bytes[3..code.length].copy_from_slice(subdivision);
        Some(code)
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Debug for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// A point, in ten-thousandths of a degree: GeoLite2 and DB-IP know no more, and floats of 32 bits can tell no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coordinates {
    /// -900,000 to 900,000, north is positive.
    pub latitude: i32,
    /// -1,800,000 to 1,800,000, east is positive.
    pub longitude: i32,
}

impl Coordinates {
    /// A point in degrees; `None` unless it is on the globe: Elasticsearch refuses others.
    fn new(latitude: f64, longitude: f64) -> Option<Self> {
        Some(Self {
            latitude: rounded(latitude, 90)?,
            longitude: rounded(longitude, 180)?,
        })
    }
}

fn rounded(degrees: f64, limit: i32) -> Option<i32> {
    let rounded = (degrees * 10_000.0).round();
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the value is whole and between the limits"
    )]
    (rounded.abs() <= f64::from(limit * 10_000)).then_some(rounded as i32)
}

#[cfg(test)]
pub(crate) mod tests;
