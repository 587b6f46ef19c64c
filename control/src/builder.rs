//! From parts to a running appliance.

use std::fmt;
use std::sync::Arc;

use hioload_config::{Config, SessionsMax};
use hioload_engine::{
    Controls, GetRequest, Handler, Identity, Layer, Page, PathIndex, Probe, Refusal, Route, Routed,
    Site, Stack,
};

use crate::appliance::{Appliance, StartError};
use crate::datapath::Monitor;
use crate::handle::{Facts, Handle};
use crate::site::{check_websocket_paths, site};

/// Collects what an appliance is made of; [`start`](Self::start) needs a handler.
pub struct Builder<H = (), L = Identity> {
    pub(crate) config: Config,
    pub(crate) handler: H,
    pub(crate) layer: L,
    pub(crate) probes: Vec<(String, Probe)>,
    /// Paths with handlers of their own, in the order of their [`PathIndex`], from 1 on.
    pub(crate) routes: Vec<String>,
    pub(crate) pages: Vec<(String, Route)>,
    pub(crate) chat_page: bool,
    pub(crate) handle: Handle,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            config: Config::default(),
            handler: (),
            layer: Identity,
            probes: Vec::new(),
            routes: Vec::new(),
            pages: Vec::new(),
            chat_page: false,
            handle: Handle::default(),
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

    /// Adds a layer inside those added before: the first one is the outermost. Layers are around
    /// the handlers of all paths; one that is meant for a single path is put around its handler
    /// before, by [`Layer::layer`].
    #[must_use]
    pub fn layer<N>(self, layer: N) -> Builder<H, Stack<L, N>> {
        Builder {
            config: self.config,
            handler: self.handler,
            layer: Stack::new(self.layer, layer),
            probes: self.probes,
            routes: self.routes,
            pages: self.pages,
            chat_page: self.chat_page,
            handle: self.handle,
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
    /// with `ok`; a WebSocket path cannot be replaced.
    #[must_use]
    pub fn page(mut self, path: impl Into<String>, page: Page) -> Self {
        self.pages.push((path.into(), Route::Page(Arc::new(page))));
        self
    }

    /// Answers `GET` and `HEAD` of `path` with what `answer` computes for each request: a page of
    /// any status, or a refusal (or redirection) in a line of text. Paths are those of
    /// [`page`](Self::page), and each has one answer, the last that was added.
    ///
    /// It runs on a worker, whose sessions wait meanwhile, so it must be quick. A panic in it is
    /// answered with 500 and counted (`http_panics`).
    ///
    /// ```
    /// # use hioload::{Appliance, Page, Refusal};
    /// # let builder = Appliance::builder();
    /// builder
    ///     .get("/whoami", |request| {
    ///         let body = format!("{{\"you\":\"{}\"}}\n", request.peer().ip()).into_bytes();
    ///         Ok(Page::new("application/json", body).with_header("Cache-Control", "no-store")?)
    ///     })
    ///     .get("/old", |_| Err(Refusal::new(301, "moved").with_header("Location", "/new")?));
    /// ```
    #[must_use]
    pub fn get(
        mut self,
        path: impl Into<String>,
        answer: impl Fn(&GetRequest<'_>) -> Result<Page, Refusal> + Send + Sync + 'static,
    ) -> Self {
        self.pages.push((path.into(), Route::Computed(Arc::new(answer))));
        self
    }

    /// A handle on the appliance that this will start, for a handler to keep or a thread of its
    /// own: for answers [from other threads](crate#answers-from-other-threads).
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves the chat page at `/`.
    #[must_use]
    pub fn chat_page(mut self) -> Self {
        self.chat_page = true;
        self
    }
}

impl<L> Builder<(), L> {
    /// Sets the handler that all sessions share: those of `websocket.path`, and of no other path
    /// unless [`route`](Builder::route) adds some.
    #[must_use]
    pub fn handler<H: Handler>(self, handler: H) -> Builder<H, L> {
        Builder {
            config: self.config,
            handler,
            layer: self.layer,
            probes: self.probes,
            routes: self.routes,
            pages: self.pages,
            chat_page: self.chat_page,
            handle: self.handle,
        }
    }
}

impl<H: Handler, L> Builder<H, L> {
    /// Serves WebSocket at `path` as well, with a handler of its own, behind the same layers. What
    /// applies to paths is said at [`page`](Self::page).
    ///
    /// A broadcast reaches every session of the appliance, whatever its path, and so does
    /// [`Handle::publish`](crate::Handle::publish). A client that is to get only some of it has to
    /// tell by the content.
    #[must_use]
    pub fn route<R: Handler>(
        mut self,
        path: impl Into<String>,
        handler: R,
    ) -> Builder<Routed<H, R>, L> {
        self.routes.push(path.into());
        let index = u16::try_from(self.routes.len()).expect("a type cannot nest that deep");
        Builder {
            config: self.config,
            handler: Routed::new(self.handler, PathIndex::new(index), handler),
            layer: self.layer,
            probes: self.probes,
            routes: self.routes,
            pages: self.pages,
            chat_page: self.chat_page,
            handle: self.handle,
        }
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
        let handle = self.handle();
        Appliance::start(self).inspect_err(|_| handle.set_stopped())
    }
}

/// What workers are made with, from a builder that was [checked](Builder::check).
pub(crate) struct Built<H> {
    pub(crate) handle: Handle,
    pub(crate) handler: Arc<H>,
    pub(crate) site: Arc<Site>,
}

impl<H: Handler, L: Layer<H>> Builder<H, L> {
    pub(crate) fn check(&self) -> Result<(), StartError> {
        self.config.validate()?;
        check_websocket_paths(&self.config.websocket.path, &self.routes)
    }

    pub(crate) fn build(
        self,
        controls: Controls,
        datapath: &'static str,
        monitor: Monitor,
    ) -> Built<L::Handler> {
        let Self { config, handler, layer, probes, routes, pages, chat_page, handle } = self;
        let mut all_probes = layer.probes();
        all_probes.extend(probes);
        let facts = Facts {
            drain_timeout: config.control.drain_timeout,
            datapath,
            monitor,
            message_bytes_max: config.websocket.message_bytes_max,
            sessions_max: match config.limits.sessions_max {
                SessionsMax::Count(max) => Some(max),
                // No path has found a limit.
                SessionsMax::Auto | SessionsMax::Off => None,
            },
            probes: all_probes,
        };
        handle.set_running(controls, facts);
        let site = site(&config, &routes, chat_page, pages, &handle);
        Built { handle, handler: Arc::new(layer.layer(handler)), site: Arc::new(site) }
    }
}

impl<H, L> fmt::Debug for Builder<H, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let probes: Vec<&str> = self.probes.iter().map(|(name, _)| name.as_str()).collect();
        let pages: Vec<&str> = self.pages.iter().map(|(path, _)| path.as_str()).collect();
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("probes", &probes)
            .field("routes", &self.routes)
            .field("pages", &pages)
            .field("chat_page", &self.chat_page)
            .finish_non_exhaustive()
    }
}
