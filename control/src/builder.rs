//! From parts to a running appliance.

use std::fmt;
use std::sync::Arc;

use hioload_config::Config;
use hioload_engine::{Handler, Identity, Layer, Page, Probe, Route, Stack};

use crate::appliance::{Appliance, StartError};

/// Collects what an appliance is made of; [`start`](Self::start) needs a handler.
pub struct Builder<H = (), L = Identity> {
    pub(crate) config: Config,
    pub(crate) handler: H,
    pub(crate) layer: L,
    pub(crate) probes: Vec<(String, Probe)>,
    pub(crate) pages: Vec<(String, Route)>,
    pub(crate) chat_page: bool,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            config: Config::default(),
            handler: (),
            layer: Identity,
            probes: Vec::new(),
            pages: Vec::new(),
            chat_page: false,
        }
    }
}

impl<H, L> Builder<H, L> {
    /// Sets the configuration; the default one otherwise.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the handler that all sessions share.
    #[must_use]
    pub fn handler<N: Handler>(self, handler: N) -> Builder<N, L> {
        Builder {
            config: self.config,
            handler,
            layer: self.layer,
            probes: self.probes,
            pages: self.pages,
            chat_page: self.chat_page,
        }
    }

    /// Adds a layer inside those added before: the first one is the outermost.
    #[must_use]
    pub fn layer<N>(self, layer: N) -> Builder<H, Stack<L, N>> {
        Builder {
            config: self.config,
            handler: self.handler,
            layer: Stack::new(self.layer, layer),
            probes: self.probes,
            pages: self.pages,
            chat_page: self.chat_page,
        }
    }

    /// Adds a value to the statistics, read whenever they are asked for, on the thread that asks;
    /// it should be quick. A later probe of the same name replaces it; `active_clients` is the
    /// appliance's own.
    #[must_use]
    pub fn probe(
        mut self,
        name: impl Into<String>,
        probe: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.probes.push((name.into(), Arc::new(probe)));
        self
    }

    /// Answers `GET` and `HEAD` of `path` with a page. A path begins with `/` and is compared with
    /// the request's as it stands there, without its query and without decoding. A later page of
    /// the same path replaces the earlier one, `/healthz` included, which every appliance answers
    /// with `ok`; `websocket.path` cannot be replaced.
    #[must_use]
    pub fn page(mut self, path: impl Into<String>, page: Page) -> Self {
        self.pages.push((path.into(), Route::Page(Arc::new(page))));
        self
    }

    /// Serves the chat page at `/`.
    #[must_use]
    pub fn chat_page(mut self) -> Self {
        self.chat_page = true;
        self
    }
}

impl<H: Handler, L: Layer<H>> Builder<H, L> {
    /// Binds the addresses and starts the workers and the admin server. Clients are served when
    /// this returns.
    ///
    /// # Errors
    /// When the configuration contradicts itself, an address cannot be bound, or a thread cannot
    /// be started. Nothing runs then.
    pub fn start(self) -> Result<Appliance, StartError> {
        Appliance::start(self)
    }
}

impl<H, L> fmt::Debug for Builder<H, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let probes: Vec<&str> = self.probes.iter().map(|(name, _)| name.as_str()).collect();
        let pages: Vec<&str> = self.pages.iter().map(|(path, _)| path.as_str()).collect();
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("probes", &probes)
            .field("pages", &pages)
            .field("chat_page", &self.chat_page)
            .finish_non_exhaustive()
    }
}
