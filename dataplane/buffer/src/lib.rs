//! Pooled, reference-counted buffers: what a message lives in from the moment it is encoded until
//! the last session has sent it.
//!
//! A [`Pool`] belongs to one worker. [`Pool::get`] gives a [`Buffer`], which one owner fills;
//! [`Buffer::freeze`] makes it a [`Frame`], which any number of owners on any thread read; dropping
//! the last of them gives the memory back to the pool it came from. Within a worker, sessions do
//! not clone frames: they refer to an entry of the worker's [`FrameTable`] by index, so a delivery
//! costs no atomic operation. [`ChunkedVec`] is what tables of connections are made of.
//!
//! ```
//! use hioload_buffer::{FrameTable, Pool, PoolOptions};
//!
//! let mut pool = Pool::new(PoolOptions::default());
//! let mut buffer = pool.get_empty(2, 5);
//! buffer.append(b"hello");
//! buffer.prepend(&[0x81, 5]);
//! let frame = buffer.freeze();
//!
//! let mut table = FrameTable::new();
//! let id = table.insert(frame, 0);
//! table.retain(id);
//! assert_eq!(&**table.get(id), b"\x81\x05hello");
//! table.release(id);
//! table.release(id);
//! assert_eq!(pool.buffers_in_use(), 0);
//! ```
#![forbid(unsafe_code)]

mod chunked;
mod frame;
mod pool;
mod table;

pub use chunked::ChunkedVec;
pub use frame::{Buffer, Frame};
pub use hioload_mem::numa::NodeError;
pub use pool::{Pool, PoolOptions};
pub use table::{FrameId, FrameTable};
