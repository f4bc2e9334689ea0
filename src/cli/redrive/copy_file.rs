//! A file of message copies. It appears under its name only when all of it is safely on disk: a file that is there is
//! whole, whatever happened.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

use super::copy::MessageCopy;

/// A line longer than this is none of ours: a message of 1 MiB, every character of it escaped.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// A file that is being written, under another name in the same folder.
#[derive(Debug)]
pub(super) struct CopyFile {
    path: PathBuf,
    overwrite: bool,
    writer: BufWriter<NamedTempFile>,
}

impl CopyFile {
    /// Refuses to replace a file unless it is told to, and ever to replace anything but a file.
    pub(super) fn create(path: &Path, overwrite: bool) -> anyhow::Result<Self> {
        match fs::metadata(path) {
            Ok(there) if !there.is_file() => bail!("{} is there and is no file", path.display()),
            Ok(_) if !overwrite => bail!("{} is there already", path.display()),
            _ => {}
        }
        let name = path
            .file_name()
            .with_context(|| format!("{} names no file", path.display()))?;
        let beginning = format!(".{}.", name.to_string_lossy());
        let temporary = tempfile::Builder::new()
            .prefix(&beginning)
            .tempfile_in(folder(path))
            .with_context(|| format!("no file can be made in {}", folder(path).display()))?;
        Ok(Self {
            path: path.to_owned(),
            overwrite,
            writer: BufWriter::new(temporary),
        })
    }

    pub(super) fn write(&mut self, copy: &MessageCopy) -> anyhow::Result<()> {
        let written = writeln!(self.writer, "{}", copy.to_line());
        written.with_context(|| format!("{} cannot be written", self.path.display()))
    }

    /// The file stands under its name, and all of it is on disk. Dropped instead, it leaves nothing behind.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let Self {
            path,
            overwrite,
            writer,
        } = self;
        save(&path, overwrite, writer).with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn save(path: &Path, overwrite: bool, writer: BufWriter<NamedTempFile>) -> io::Result<()> {
    let temporary = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    temporary.as_file().sync_all()?;
    if overwrite {
        temporary.persist(path)?;
    } else {
        temporary.persist_noclobber(path)?;
    }
    // The name, too, must be on disk.
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// The copies in a file, one after the other; each with its line number, from 1. Blank lines are passed over.
#[derive(Debug)]
pub(super) struct Copies<R> {
    reader: R,
    line_number: u64,
}

impl Copies<BufReader<File>> {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self::new(BufReader::new(file)))
    }
}

impl<R: BufRead> Copies<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            line_number: 0,
        }
    }

    /// The next line; `None` at the end. The inner error is the line's own.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Result<MessageCopy, String>)>> {
        loop {
            let mut line = Vec::new();
            let mut bounded = io::Read::take(&mut self.reader, MAX_LINE_BYTES);
            if bounded.read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.line_number += 1;
            let copy = if line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
                self.skip_line()?;
                Err("longer than any message".to_owned())
            } else if line.trim_ascii().is_empty() {
                continue;
            } else {
                MessageCopy::parse(&line)
            };
            return Ok(Some((self.line_number, copy)));
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let (num_bytes, is_end) = match memchr::memchr(b'\n', buffer) {
                Some(position) => (position + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.reader.consume(num_bytes);
            if is_end {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(body: &str) -> MessageCopy {
        MessageCopy::parse(format!(r#"{{"body":"{body}"}}"#).as_bytes()).unwrap()
    }

    fn write(path: &Path, overwrite: bool, body: &str) -> anyhow::Result<()> {
        let mut file = CopyFile::create(path, overwrite)?;
        file.write(&copy(body))?;
        file.finish()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_appears_when_it_is_whole_and_is_not_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dlq.ndjson");
        let mut file = CopyFile::create(&path, false).unwrap();
        file.write(&copy("lost")).unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(names(folder.path()), [""; 0], "nothing is left behind");

        write(&path, false, "one").unwrap();
        assert_eq!(names(folder.path()), ["dlq.ndjson"]);
        let error = write(&path, false, "two").unwrap_err();
        assert!(error.to_string().ends_with("is there already"), "{error}");
        // One that turned up meanwhile is not replaced either.
        let other = folder.path().join("other");
        let file = CopyFile::create(&other, false).unwrap();
        fs::write(&other, "mine").unwrap();
        file.finish().unwrap_err();
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");

        write(&path, true, "three").unwrap();
        let mut copies = Copies::open(&path).unwrap();
        assert_eq!(copies.next().unwrap(), Some((1, Ok(copy("three")))));
        assert_eq!(copies.next().unwrap(), None);
        let error = CopyFile::create(folder.path(), true).unwrap_err();
        assert!(error.to_string().ends_with("is there and is no file"), "{error}");
    }

    #[test]
    fn lines_have_their_numbers_and_a_bad_or_endless_one_costs_that_line() {
        let endless = "x".repeat(usize::try_from(MAX_LINE_BYTES).unwrap() + 10);
        let text = format!("\n{{\"body\":\"a\"}}\r\n{endless}\nnonsense\n  \n{{\"body\":\"b\"}}");
        let mut copies = Copies::new(text.as_bytes());
        let mut read = Vec::new();
        while let Some((number, copy)) = copies.next().unwrap() {
            read.push((number, copy.map(|copy| copy.body)));
        }
        let told: Vec<String> = read.iter().map(|line| format!("{line:?}")).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        (2, Ok("a"))
        (3, Err("longer than any message"))
        (4, Err("this is no exported message: expected ident at line 1 column 2"))
        (6, Ok("b"))
        "#);
    }
}
