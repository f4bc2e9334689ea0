//! The formats of one object, to which the lines that are kept aside refer.

use crate::flow::{Dataset, Format};

/// Formats of one object that are remembered: each object that AWS writes has one, and a concatenation a few.
const MAX_FORMATS: usize = 100;

/// The formats of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formats {
    /// The kind of flow log that the first one is of.
    pub dataset: Option<Dataset>,
    /// Each of them as a header line.
    pub headers: Vec<String>,
}

impl Formats {
    /// The number of a format. Those of an object that switches between so many are no longer told apart.
    pub(super) fn number(&mut self, format: &Format) -> Option<u32> {
        self.dataset.get_or_insert(format.dataset());
        let known = self.headers.iter().position(|header| header == format.header());
        let number = known.unwrap_or(self.headers.len());
        if number == MAX_FORMATS {
            return None;
        }
        if known.is_none() {
            self.headers.push(format.header().to_owned());
        }
        u32::try_from(number).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_keeps_its_number_and_too_many_have_none() {
        let mut formats = Formats::default();
        let of = |header: &str| Format::parse(header.as_bytes()).unwrap();
        let numbers = ["srcaddr end", "end tgw-id", "srcaddr  end"].map(|header| formats.number(&of(header)));
        assert_eq!(numbers, [Some(0), Some(1), Some(0)]);
        assert_eq!(formats.headers, ["srcaddr end", "end tgw-id"]);
        assert_eq!(formats.dataset, Some(Dataset::Vpc));
        let more: Vec<Option<u32>> = (0..MAX_FORMATS)
            .map(|number| formats.number(&of(&format!("end a{number}"))))
            .collect();
        assert_eq!(more[MAX_FORMATS - 3..], [Some(99), None, None]);
        assert_eq!(formats.number(&of("end tgw-id")), Some(1));
    }
}
