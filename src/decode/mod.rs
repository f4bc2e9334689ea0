//! Bytes → lines. What an object holds is seen from its bytes, never from its name: it is inflated (every gzip member,
//! also gzip in gzip), and then split into bounded lines, unwrapped from JSON, or read row by row from Parquet. Reads from anything
//! that implements [`BufRead`](std::io::BufRead) and knows nothing of what the lines mean.

mod chunks;
mod compression;
mod content;
mod error;
mod events;
mod lines;
mod parquet;
mod value;
mod window;

use compression::Inflated;
use lines::Lines;

pub use chunks::ChunkReader;
pub use content::{Content, Line, Placed};
pub use error::DecodeError;
pub use lines::MAX_LINE_BYTES;
pub use value::unwrap_line;

#[cfg(test)]
pub(crate) use self::parquet::samples;
