//! A stream → a file that can be read anywhere: Parquet keeps its table of contents at its end.

use std::fs::File;
use std::io::{self, BufRead, Write};

use crate::decode::DecodeError;
use crate::decode::window::Window;

/// The largest folder for temporary files that Lambda gives a function; AWS's own objects stay under 100 MB. What
/// inflates to more would only fill the disk.
const MAX_SPOOLED_BYTES: u64 = 10 << 30;

/// Reads to the end, into a file that has no name and is gone when it is closed.
pub(super) fn spool<R: BufRead>(window: &mut Window<R>) -> Result<File, DecodeError> {
    let mut file = tempfile::tempfile().map_err(|source| DecodeError::Spool { source })?;
    spool_into(window, &mut file, MAX_SPOOLED_BYTES)?;
    Ok(file)
}

fn spool_into<R: BufRead>(
    window: &mut Window<R>,
    file: &mut impl Write,
    max_bytes: u64,
) -> Result<(), DecodeError> {
    let mut num_bytes = 0;
    loop {
        let unread = window.unread();
        num_bytes += unread.len() as u64;
        if num_bytes > max_bytes {
            let detail = format!("has more than {max_bytes} bytes, which are not read");
            return Err(DecodeError::UnsupportedParquet { detail });
        }
        file.write_all(unread)
            .map_err(|source| DecodeError::Spool { source })?;
        window.consume(unread.len());
        if window.at_end() {
            return file
                .flush()
                .map_err(|source: io::Error| DecodeError::Spool { source });
        }
        window.fill()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Inflated;
    use crate::outcome::{Disposition, Reason};
    use proptest::prelude::*;

    /// Takes so many bytes, as a disk does.
    struct Disk {
        bytes: Vec<u8>,
        num_free: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let num_written = bytes.len().min(self.num_free);
            if num_written == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.num_free -= num_written;
            self.bytes.extend_from_slice(&bytes[..num_written]);
            Ok(num_written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn run(bytes: &[u8], num_free: usize, max_bytes: u64) -> Result<Vec<u8>, DecodeError> {
        let mut window = Window::new(Inflated::open(bytes).unwrap());
        let mut disk = Disk {
            bytes: Vec::new(),
            num_free,
        };
        spool_into(&mut window, &mut disk, max_bytes).map(|()| disk.bytes)
    }

    #[test]
    fn a_full_disk_may_have_room_later() {
        let failure = run(&[7; 1_000_000], 999_999, u64::MAX).unwrap_err().failure();
        assert_eq!(failure.reason, Reason::DecodeSpoolFailed);
        assert_eq!(failure.reason.disposition(), Disposition::Transient);
        assert!(failure.detail.contains("no storage space"), "{failure}");
    }

    #[test]
    fn what_is_too_large_stays_too_large() {
        let failure = run(&[7; 1_000_000], 2_000_000, 999_999).unwrap_err().failure();
        assert_eq!(failure.reason, Reason::FormatUnsupported);
        assert_eq!(
            run(&[7; 1_000_000], 1_000_000, 1_000_000).unwrap().len(),
            1_000_000
        );
    }

    proptest! {
        #[test]
        fn every_byte_is_written_once(bytes in prop::collection::vec(2_u8.., 0..2000)) {
            prop_assert_eq!(run(&bytes, usize::MAX, u64::MAX).unwrap(), bytes);
        }
    }
}
