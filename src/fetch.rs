//! Where the files lie that settings name → open files. An object in S3 is downloaded once, into a temporary file
//! without a name: it goes when it is closed. What the files hold is left to those who asked for them.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use crate::config::{Location, Problem};
use crate::object::{ObjectBody, ObjectRef, ObjectStore, StoreError};
use crate::outcome::error_chain;

/// Largest object that is fetched. The databases in use take up to 130 MB, and 512 MiB is all that a function's `/tmp`
/// holds unless it was enlarged: more is a wrong URI.
const MAX_OBJECT_BYTES: u64 = 512 << 20;

/// A file that was found and begins like something that may be read.
#[derive(Debug)]
pub struct LocalFile {
    /// Where it lies, as the setting says it.
    pub location: Location,
    /// The file, at its beginning. It is not empty.
    pub file: File,
}

/// What became of the files of several settings.
#[derive(Debug)]
pub struct Fetched<const N: usize> {
    /// The files that can be read, by setting.
    pub files: [Vec<LocalFile>; N],
    /// Why the others cannot.
    pub problems: Vec<Problem>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The path leads to nothing that can be read.
    #[error("{}", path.display())]
    Unreadable {
        /// As given.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder, a socket or the like.
    #[error("{location} is not a file")]
    NotAFile {
        /// As given.
        location: Location,
    },
    /// Nothing in it.
    #[error("{location} is empty")]
    Empty {
        /// As given.
        location: Location,
    },
    /// Files are mapped or parsed as they are.
    #[error("{location} is compressed with gzip: unpack it first")]
    Compressed {
        /// As given.
        location: Location,
    },
    /// The object is not fetched to its end.
    #[error("{object} has more than {MAX_OBJECT_BYTES} bytes")]
    TooLarge {
        /// As given.
        object: ObjectRef,
    },
    /// The store does not hand it out.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The temporary folder is full or cannot be written.
    #[error("{object} cannot be written to a temporary file")]
    Spool {
        /// As given.
        object: ObjectRef,
        /// What the system says.
        source: io::Error,
    },
}

/// Opens the files that settings name. `connect` is called once, and only if one of them lies in S3.
pub async fn fetch<S: ObjectStore, const N: usize>(
    settings: [(&'static str, &[Location]); N],
    connect: impl AsyncFnOnce() -> S,
) -> Fetched<N> {
    let mut all = settings.iter().flat_map(|(_, locations)| locations.iter());
    let store = match all.any(|location| matches!(location, Location::Object(_))) {
        true => Some(connect().await),
        false => None,
    };
    let mut fetched = Fetched {
        files: [const { Vec::new() }; N],
        problems: Vec::new(),
    };
    for (files, (name, locations)) in fetched.files.iter_mut().zip(settings) {
        for location in locations {
            match open(location, store.as_ref()).await {
                Ok(file) => files.push(file),
                Err(error) => fetched.problems.push(Problem {
                    name,
                    message: error_chain(&error),
                }),
            }
        }
    }
    fetched
}

async fn open<S: ObjectStore>(location: &Location, store: Option<&S>) -> Result<LocalFile, FetchError> {
    let file = match location {
        Location::Path(path) => open_path(path)?,
        Location::Object(object) => {
            let store = store.expect("a store is connected if a location is an object");
            download(object, store, MAX_OBJECT_BYTES).await?
        }
    };
    check(location, file)
}

fn open_path(path: &Path) -> Result<File, FetchError> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.is_file(), file)));
    match opened {
        Ok((true, file)) => Ok(file),
        Ok((false, _)) => Err(FetchError::NotAFile {
            location: Location::Path(path.to_owned()),
        }),
        Err(source) => Err(FetchError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

async fn download<S: ObjectStore>(object: &ObjectRef, store: &S, max_bytes: u64) -> Result<File, FetchError> {
    let spool = |source| FetchError::Spool {
        object: object.clone(),
        source,
    };
    let mut body = store.open(object).await?.body;
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(spool)?);
    let mut num_bytes = 0;
    while let Some(chunk) = body.next_chunk().await? {
        num_bytes += chunk.len() as u64;
        if num_bytes > max_bytes {
            return Err(FetchError::TooLarge {
                object: object.clone(),
            });
        }
        file.write_all(&chunk).await.map_err(spool)?;
    }
    file.flush().await.map_err(spool)?;
    file.rewind().await.map_err(spool)?;
    Ok(file.into_std().await)
}

/// Looks at the first bytes, and goes back to the beginning.
fn check(location: &Location, mut file: File) -> Result<LocalFile, FetchError> {
    let location = location.clone();
    let mut start = Vec::new();
    let looked = (&file).take(2).read_to_end(&mut start);
    if let Err(source) = looked.and_then(|_| file.rewind()) {
        let path = location.to_string().into();
        return Err(FetchError::Unreadable { path, source });
    }
    match start.as_slice() {
        [] => Err(FetchError::Empty { location }),
        [0x1f, 0x8b] => Err(FetchError::Compressed { location }),
        _ => Ok(LocalFile { location, file }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::memory::MemoryStore;

    fn content(mut file: File) -> String {
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    async fn no_store() -> MemoryStore {
        panic!("nothing lies in S3")
    }

    fn told<const N: usize>(fetched: &Fetched<N>) -> String {
        let told = fetched.problems.iter();
        told.map(|problem| format!("{}: {}\n", problem.name, problem.message))
            .collect()
    }

    #[tokio::test]
    async fn paths_are_opened_without_a_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "{}").unwrap();
        let fetched = fetch([("A", &[Location::Path(path)]), ("B", &[])], no_store).await;
        assert_eq!(told(&fetched), "");
        let [a, b] = fetched.files;
        assert!(b.is_empty());
        let texts: Vec<String> = a.into_iter().map(|file| content(file.file)).collect();
        assert_eq!(texts, ["{}"]);
    }

    #[tokio::test]
    async fn objects_are_downloaded_whole() {
        let store = MemoryStore::default();
        let text = "0123456789".repeat(5000);
        let objects = [store.put("a", text.clone()), store.put("b", "b")].map(Location::Object);
        let fetched = fetch([("A", &objects)], async || store.clone()).await;
        assert_eq!(told(&fetched), "");
        let [files] = fetched.files;
        for (file, (location, expected)) in files.into_iter().zip(objects.iter().zip([&*text, "b"])) {
            assert_eq!(&file.location, location);
            assert_eq!(content(file.file), expected);
        }
    }

    #[tokio::test]
    async fn everything_that_cannot_be_read_is_told_with_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            Location::Path(path)
        };
        let store = MemoryStore::default();
        let missing = ObjectRef::parse_uri("s3://logs/missing").unwrap();
        let a = [
            Location::Path(folder.path().join("missing")),
            path("good", b"x"),
            path("empty", b""),
        ];
        let b = [
            path("a.mmdb.gz", b"\x1f\x8b\x08"),
            Location::Path(folder.path().to_owned()),
            Location::Object(missing),
            Location::Object(store.put_cut("cut", "abcdef", 3)),
            Location::Object(store.put("z.mmdb.gz", &b"\x1f\x8b\x08"[..])),
        ];
        let fetched = fetch([("A", &a), ("B", &b)], async || store.clone()).await;
        let folder = folder.path().to_str().unwrap();
        insta::assert_snapshot!(told(&fetched).replace(folder, "/folder"), @"
        A: /folder/missing: No such file or directory (os error 2)
        A: /folder/empty is empty
        B: /folder/a.mmdb.gz is compressed with gzip: unpack it first
        B: /folder is not a file
        B: s3://logs/missing: NoSuchKey
        B: s3://logs/cut: connection reset
        B: s3://logs/z.mmdb.gz is compressed with gzip: unpack it first
        ");
        assert_eq!(fetched.files.map(|files| files.len()), [1, 0]);
    }

    #[tokio::test]
    async fn an_object_beyond_the_limit_is_refused() {
        let store = MemoryStore::default();
        let object = store.put("large", "x".repeat(20_000));
        assert!(download(&object, &store, 20_000).await.is_ok());
        let error = download(&object, &store, 19_999).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    }
}
