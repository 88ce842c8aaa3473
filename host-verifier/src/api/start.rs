//! From settings to open ports.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{ApiState, HttpListener, Tls, TlsError, router};
use crate::config::HttpSettings;
use crate::server::Server;

/// Why HTTP is not served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// See [`TlsError`].
    #[error("listeners.api.tls: {0}")]
    Tls(#[from] TlsError),
    /// A port cannot be opened.
    #[error("listeners.{name}: {address}: {source}")]
    Bind {
        /// Which listener.
        name: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

impl HttpError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Tls(error) => error.hint(),
            Self::Bind { .. } => {
                "is another assayd running? `--set listeners.<name>.address=ADDRESS:PORT` chooses another port"
            }
        }
    }
}

/// Ports that are open and not served yet.
#[derive(Debug, Default)]
pub struct HttpListeners {
    /// The API.
    pub api: Option<HttpListener>,
}

impl HttpListeners {
    /// Opens what the settings name.
    ///
    /// # Errors
    ///
    /// [`HttpError`]; nothing is open then.
    pub async fn bind(settings: &HttpSettings) -> Result<Self, HttpError> {
        let mut open = Self::default();
        if let Some(api) = &settings.api {
            let tls = Arc::new(Tls::load(&api.tls)?);
            open.api = Some(bind("api", api.address, Some(tls), settings).await?);
        }
        Ok(open)
    }

    /// Serves all of them until `stop`, and then until they are drained.
    pub async fn serve(
        self,
        server: &Server,
        settings: &HttpSettings,
        stop: watch::Receiver<bool>,
    ) {
        let mut tasks = JoinSet::new();
        if let Some(api) = self.api {
            let tls = api.tls().cloned();
            if let Some(tls) = tls.clone() {
                tasks.spawn(tls.watch(stop.clone()));
            }
            let state = ApiState::new(server.clone(), settings.clone(), tls);
            tasks.spawn(api.serve(router(state), stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }
}

async fn bind(
    name: &'static str,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    settings: &HttpSettings,
) -> Result<HttpListener, HttpError> {
    HttpListener::bind(name, address, tls, &settings.limits)
        .await
        .map_err(|source| HttpError::Bind {
            name,
            address,
            source,
        })
}
