//! Memory that somebody else keeps for a pool.

use std::ptr::NonNull;

/// Memory in pieces of one length, such as the mbufs of a mempool, which any thread may give back.
///
/// # Safety
/// A piece that `take` gives starts at a multiple of 64, can be written to and read for
/// `piece_bytes`, which never change, and is nobody else's until it is given back. That holds as
/// long as the source exists.
pub unsafe trait PieceSource: Send + Sync {
    /// The length of each piece.
    fn piece_bytes(&self) -> usize;

    /// A piece; `None` while there is none.
    fn take(&self) -> Option<NonNull<u8>>;

    /// Takes a piece back.
    ///
    /// # Safety
    /// `piece` came from `take` of this source, and nobody uses it from now on.
    unsafe fn give_back(&self, piece: NonNull<u8>);
}
