//! From settings to open ports.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{ApiState, HttpListener, Tls, TlsError, ops, router};
use crate::config::{Config, HttpSettings};
use crate::server::{Broken, RequestLogins, Server, stopped};
use crate::telemetry::health::{Component, State};

/// How often logins are looked for whose time is over.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

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
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Tls(error) => error.hint(),
            Self::Bind { source, .. } => match source.kind() {
                ErrorKind::PermissionDenied => {
                    "ports below 1024 need the capability CAP_NET_BIND_SERVICE; `--set listeners.<name>.address=ADDRESS:PORT` chooses another"
                }
                ErrorKind::AddrNotAvailable => {
                    "no interface of this machine has the address: `--set listeners.<name>.address=ADDRESS:PORT` chooses another"
                }
                _ => {
                    "is another assayd running? `--set listeners.<name>.address=ADDRESS:PORT` chooses another port"
                }
            },
        }
    }
}

/// Ports that are open and not served yet.
#[derive(Debug, Default)]
pub struct HttpListeners {
    /// The API.
    pub api: Option<HttpListener>,
    /// `/live` and `/ready`.
    pub health: Option<HttpListener>,
    /// `/metrics`.
    pub metrics: Option<HttpListener>,
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
        if let Some(address) = settings.health {
            open.health = Some(bind("health", address, None, settings).await?);
        }
        if let Some(address) = settings.metrics {
            open.metrics = Some(bind("metrics", address, None, settings).await?);
        }
        Ok(open)
    }

    /// Serves all of them until `stop`, and then until they are drained: what is being answered then is answered, and
    /// `/ready` says at once that nothing new should come. Health and metrics are told as long as anything is: they stop
    /// last.
    ///
    /// # Errors
    ///
    /// [`Broken`] when a listener ended by itself. A panic in what serves the API is this method's own.
    pub async fn serve(
        self,
        server: &Server,
        config: &Config,
        stop: watch::Receiver<bool>,
    ) -> Result<(), Broken> {
        let drained = {
            let (health, mut stop) = (server.health.clone(), stop.clone());
            async move {
                stopped(&mut stop).await;
                health.drain();
            }
        };
        let (last, stop_last) = watch::channel(false);
        let mut others = JoinSet::new();
        for (listener, router) in [
            (self.health, ops::health(server)),
            (self.metrics, ops::metrics(server)),
        ] {
            if let Some(listener) = listener {
                let metrics = server.metrics.clone();
                others.spawn(listener.serve(router, metrics, stop_last.clone()));
            }
        }
        let api = async {
            let Some(api) = self.api else {
                return drained.await;
            };
            let tls = api.tls().cloned();
            let state = ApiState::new(server.clone(), config, tls.clone());
            let logins = state.logins.clone();
            let expired = expire(&logins, server, stop.clone());
            let served = api.serve(router(state), server.metrics.clone(), stop.clone());
            let kept = async {
                if let Some(tls) = tls {
                    ops::keep_certificate(&tls, server, stop.clone()).await;
                }
            };
            tokio::join!(served, kept, expired, drained);
        };
        tokio::select! {
            () = api => {}
            // They are told to end below, and not before.
            Some(_) = others.join_next() => {
                let task = "health and metrics".to_owned();
                let why = State::Dead("its task ended".to_owned());
                server.health.report_of(Component::Listeners, &task, why);
                return Err(Broken { task });
            }
        }
        let _ = last.send(true);
        while others.join_next().await.is_some() {}
        Ok(())
    }
}

/// Ends logins that nobody came back for.
async fn expire(logins: &RequestLogins, server: &Server, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(EXPIRE_EVERY);
    loop {
        tokio::select! {
            _ = interval.tick() => logins.expire(server).await,
            () = stopped(&mut stop) => return,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_opened_has_the_hint_of_its_reason() {
        let hint = |kind: ErrorKind| {
            let error = HttpError::Bind {
                name: "api",
                address: ([192, 0, 2, 1], 443).into(),
                source: kind.into(),
            };
            error.hint()
        };
        assert!(hint(ErrorKind::AddrInUse).starts_with("is another assayd running?"));
        assert!(hint(ErrorKind::PermissionDenied).contains("CAP_NET_BIND_SERVICE"));
        assert!(hint(ErrorKind::AddrNotAvailable).starts_with("no interface"));
    }
}
