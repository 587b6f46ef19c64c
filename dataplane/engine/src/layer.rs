//! Middleware: handlers around handlers, composed when the program is compiled.

use std::sync::Arc;

use crate::Handler;

/// A value that is read under a name in the statistics.
pub type Probe = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Wraps a handler into another. The first layer that is added is the outermost: it sees a call
/// first and its result last.
pub trait Layer<H: Handler> {
    /// The handler that comes of it.
    type Handler: Handler;

    /// Wraps `inner`.
    fn layer(self, inner: H) -> Self::Handler;

    /// Values that this layer offers to the statistics, by name.
    fn probes(&self) -> Vec<(String, Probe)> {
        Vec::new()
    }
}

/// No layer: the handler as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

impl<H: Handler> Layer<H> for Identity {
    type Handler = H;

    fn layer(self, inner: H) -> H {
        inner
    }
}

/// `outer` around `inner` around the handler.
#[derive(Clone, Copy, Debug)]
pub struct Stack<Outer, Inner> {
    outer: Outer,
    inner: Inner,
}

impl<Outer, Inner> Stack<Outer, Inner> {
    /// Two layers as one.
    pub fn new(outer: Outer, inner: Inner) -> Self {
        Self { outer, inner }
    }
}

impl<H, Outer, Inner> Layer<H> for Stack<Outer, Inner>
where
    H: Handler,
    Inner: Layer<H>,
    Outer: Layer<Inner::Handler>,
{
    type Handler = Outer::Handler;

    fn layer(self, inner: H) -> Outer::Handler {
        self.outer.layer(self.inner.layer(inner))
    }

    fn probes(&self) -> Vec<(String, Probe)> {
        let mut probes = self.outer.probes();
        probes.extend(self.inner.probes());
        probes
    }
}
