//! Where a line stands in its object, and the line itself: as a value, and as bytes that travel beside its document.

use crate::decode::Line;

/// A line and its place in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// From 1; header and blank lines count.
    pub line_number: u64,
    /// Inflated bytes before it; `None` where records do not lie one after the other.
    pub offset: Option<u64>,
    /// Its number among the records, from 0.
    pub ordinal: u64,
    /// The place of its format among the formats of the object.
    pub format: Option<u32>,
    /// The line.
    pub line: Line<'a>,
}

/// What is attached to the document of a line: these numbers, then the widths of its values where it is a row, then
/// the line. The line number is the document's token.
const NUMBERS_BYTES: usize = 8 + 8 + 4 + 4;

impl Origin<'_> {
    /// Appends what is attached to the line's document.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (line, spans): (&[u8], &[(usize, usize)]) = match self.line {
            Line::Whole(line) | Line::NoMessage(line) => (line, &[]),
            Line::Row { line, spans } => (line, spans),
            Line::TooLong { .. } => (&[], &[]),
        };
        let mut numbers = [0; NUMBERS_BYTES];
        numbers[..8].copy_from_slice(&self.ordinal.to_le_bytes());
        numbers[8..16].copy_from_slice(&self.offset.unwrap_or(u64::MAX).to_le_bytes());
        numbers[16..20].copy_from_slice(&self.format.unwrap_or(u32::MAX).to_le_bytes());
        numbers[20..].copy_from_slice(&short(spans.len()).to_le_bytes());
        out.extend_from_slice(&numbers);
        for (from, to) in spans {
            out.extend_from_slice(&short(to - from).to_le_bytes());
        }
        out.extend_from_slice(line);
    }
}

/// Lines are bounded far below four bytes.
fn short(number: usize) -> u32 {
    u32::try_from(number).expect("a line is shorter than 4 GiB")
}

/// What was attached to a document, read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attached<'a> {
    pub(super) offset: Option<u64>,
    pub(super) ordinal: u64,
    pub(super) format: Option<u32>,
    /// The widths of the values, where it is a row.
    pub(super) widths: Option<Vec<u32>>,
    pub(super) line: &'a [u8],
}

impl<'a> Attached<'a> {
    /// `None` where [`Origin::write`] did not write it.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (ordinal, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (format, rest) = rest.split_first_chunk()?;
        let (num_values, rest) = rest.split_first_chunk()?;
        let num_values = usize::try_from(u32::from_le_bytes(*num_values)).ok()?;
        let (widths, line) = rest.split_at_checked(num_values.checked_mul(4)?)?;
        let widths: Vec<u32> = widths
            .as_chunks()
            .0
            .iter()
            .copied()
            .map(u32::from_le_bytes)
            .collect();
        Some(Self {
            ordinal: u64::from_le_bytes(*ordinal),
            offset: Some(u64::from_le_bytes(*offset)).filter(|offset| *offset != u64::MAX),
            format: Some(u32::from_le_bytes(*format)).filter(|format| *format != u32::MAX),
            widths: (!widths.is_empty()).then_some(widths),
            line,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_again(
            line in prop::collection::vec(any::<u8>(), 0..60), ordinal in any::<u64>(),
            offset in prop::option::of(0..u64::MAX), format in prop::option::of(0..u32::MAX), cut in 0_usize..100,
        ) {
            let cut = cut.min(line.len());
            let spans = [(0, cut), (cut, line.len())];
            for (line, widths) in [
                (Line::Whole(&line), None),
                (Line::Row { line: &line, spans: &spans }, Some(vec![short(cut), short(line.len() - cut)])),
            ] {
                let mut bytes = Vec::new();
                Origin { line_number: 1, offset, ordinal, format, line }.write(&mut bytes);
                let (Line::Whole(line) | Line::Row { line, .. }) = line else { unreachable!() };
                let expected = Attached { offset, ordinal, format, widths, line };
                prop_assert_eq!(Attached::parse(&bytes), Some(expected));
            }
        }

        #[test]
        fn anything_else_is_no_error_but_nothing(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if bytes.len() < NUMBERS_BYTES {
                prop_assert_eq!(Attached::parse(&bytes), None);
            }
        }
    }
}
