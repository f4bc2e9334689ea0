//! Bytes → lines. Inflates by magic bytes (every gzip member, or plain), splits into bounded lines; reads from
//! anything that implements [`Read`](std::io::Read) and knows nothing of what the lines mean.

mod chunks;
mod compression;
mod lines;

pub use chunks::ChunkReader;
pub use compression::{DecodeError, Inflated};
pub use lines::{Line, Lines, MAX_LINE_BYTES};
