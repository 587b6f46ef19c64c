//! The highest bid, which all workers share.

use std::sync::{Mutex, PoisonError};

/// A bid and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bid {
    pub bidder: String,
    pub amount: u64,
}

/// The highest bid so far.
///
/// Handlers are shared by all workers, so what changes is behind a lock. It is held for a
/// comparison and never across anything slow.
#[derive(Debug, Default)]
pub struct Standing {
    highest: Mutex<Option<Bid>>,
}

impl Standing {
    /// The highest bid, if there is one.
    pub fn highest(&self) -> Option<Bid> {
        self.highest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a bid if it is the highest.
    ///
    /// # Errors
    /// The bid that it does not outbid.
    pub fn take(&self, bid: &Bid) -> Result<(), Bid> {
        let mut highest = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*highest {
            Some(there) if there.amount >= bid.amount => Err(there.clone()),
            _ => {
                *highest = Some(bid.clone());
                Ok(())
            }
        }
    }
}
