//! How far a run is, on a terminal; elsewhere nothing is printed.

use indicatif::{ProgressBar, ProgressStyle};

pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Draws on standard error, if that is a terminal.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg:>12} [{bar:40}] {percent:>3} %") {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(crate) fn show(&self, what: &str, done: u64, of: u64) {
        if self.0.is_hidden() {
            return;
        }
        if self.0.message() != what {
            self.0.set_message(what.to_owned());
        }
        self.0.set_length(of);
        self.0.set_position(done.min(of));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
