//! Tasks that must last as long as the service does.

use std::collections::HashMap;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use super::stopped;
use crate::telemetry::health::{Component, State};
use crate::telemetry::{Health, names};

/// A task ended that must not: a fault of the program. Only a start anew helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{task}: ended by a fault of the program")]
pub struct Broken {
    /// Which.
    pub task: String,
}

/// Tasks that go on until `stop`.
pub(super) struct Lasting {
    stop: watch::Receiver<bool>,
    tasks: JoinSet<()>,
    known: HashMap<Id, (Component, String)>,
}

impl Lasting {
    pub(super) fn new(stop: watch::Receiver<bool>) -> Self {
        Self {
            stop,
            tasks: JoinSet::new(),
            known: HashMap::new(),
        }
    }

    /// Starts one that ends by itself at `stop`; `component` is what does not work without it.
    pub(super) fn spawn(
        &mut self,
        component: Component,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task);
        self.known.insert(handle.id(), (component, name.into()));
    }

    /// Starts one that is dropped at `stop`.
    pub(super) fn spawn_endless(
        &mut self,
        component: Component,
        name: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let mut stop = self.stop.clone();
        self.spawn(component, name, async move {
            tokio::select! {
                () = task => {}
                () = stopped(&mut stop) => {}
            }
        });
    }

    /// Waits until all have ended after `stop`.
    ///
    /// # Errors
    ///
    /// [`Broken`], at once, when one has ended before; its component is dead then.
    pub(super) async fn last(mut self, health: &Health) -> Result<(), Broken> {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            let (id, panicked) = match &ended {
                Ok((id, ())) => (*id, false),
                Err(error) => (error.id(), true),
            };
            if !panicked && *self.stop.borrow() {
                continue;
            }
            let (component, task) = self.known.remove(&id).unwrap_or((
                // All are known.
                Component::Listeners,
                "a task".to_owned(),
            ));
            let broken = Broken { task };
            tracing::error!(task = broken.task, "{}", names::TASK_ENDED);
            health.report_of(
                component,
                &broken.task,
                State::Dead("its task ended".to_owned()),
            );
            return Err(broken);
        }
        Ok(())
    }
}
