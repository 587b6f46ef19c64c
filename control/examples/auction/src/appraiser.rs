//! Work that takes long, on a thread of its own.

use std::sync::mpsc::{Receiver, Sender, channel};

use hioload::{DirectedError, Handle, SessionId};

/// What a bidder wants to know.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) from: SessionId,
}

/// Answers questions one after the other.
pub struct Appraiser {
    questions: Receiver<Question>,
}

impl Appraiser {
    pub(crate) fn new() -> (Sender<Question>, Self) {
        let (sender, questions) = channel();
        (sender, Self { questions })
    }

    /// Answers until the appliance of `handle` has stopped.
    pub fn run(self, handle: &Handle) {
        for Question { from, .. } in self.questions {
            let answer = format!("the appraiser says {}", appraise());
            match handle.send(from, answer.as_str()) {
                // Who asked may have left meanwhile.
                Ok(()) | Err(DirectedError::NotOpen(_) | DirectedError::Busy) => {}
                Err(_) => return,
            }
        }
    }
}

/// Somebody looks at the thing and thinks for a long time.
fn appraise() -> u64 {
    (0..100_000_u64).map(std::hint::black_box).filter(|number| number % 833 == 0).count() as u64
}
