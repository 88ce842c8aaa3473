//! A TPM in memory that answers by script: for tests of the wire, without any process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::{BackendError, TpmBackend};

/// What a [`ScriptedTpm`] was asked, for the test to look at afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journal {
    /// Every command received, with its locality, in order.
    pub commands: Vec<(Vec<u8>, u8)>,
    /// Resets seen (`_TPM_Init`).
    pub resets: u32,
    /// Power losses seen.
    pub power_cycles: u32,
    /// Cancel requests seen.
    pub cancels: u32,
}

struct Step {
    command: Option<Vec<u8>>,
    response: Vec<u8>,
}

/// A scripted TPM. Steps are used in order; the last one may repeat for ever.
pub struct ScriptedTpm {
    steps: VecDeque<Step>,
    always: Option<Vec<u8>>,
    journal: Arc<Mutex<Journal>>,
    connected: bool,
}

impl Default for ScriptedTpm {
    fn default() -> Self {
        Self::new()
    }
}

impl ScriptedTpm {
    /// A TPM with an empty script: every command is an error.
    #[must_use]
    pub fn new() -> Self {
        Self {
            steps: VecDeque::new(),
            always: None,
            journal: Arc::default(),
            connected: true,
        }
    }

    /// Adds a step: exactly this command is answered with `response`.
    #[must_use]
    pub fn on(mut self, command: &[u8], response: &[u8]) -> Self {
        self.steps.push_back(Step {
            command: Some(command.to_vec()),
            response: response.to_vec(),
        });
        self
    }

    /// Adds a step: whatever the command is, it is answered with `response`.
    #[must_use]
    pub fn then(mut self, response: &[u8]) -> Self {
        self.steps.push_back(Step {
            command: None,
            response: response.to_vec(),
        });
        self
    }

    /// Answers every command after the last step with `response`.
    #[must_use]
    pub fn always(mut self, response: &[u8]) -> Self {
        self.always = Some(response.to_vec());
        self
    }

    /// A handle on what the TPM was asked.
    #[must_use]
    pub fn journal(&self) -> Arc<Mutex<Journal>> {
        Arc::clone(&self.journal)
    }

    fn note(&self, f: impl FnOnce(&mut Journal)) {
        f(&mut self.journal.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl TpmBackend for ScriptedTpm {
    fn execute(&mut self, command: &[u8], locality: u8) -> Result<Vec<u8>, BackendError> {
        if !self.connected {
            return Err(BackendError::Unsupported("answer after a disconnect"));
        }
        self.note(|j| j.commands.push((command.to_vec(), locality)));
        match self.steps.pop_front() {
            Some(Step {
                command: Some(expected),
                ..
            }) if expected != command => Err(BackendError::Script(format!(
                "expected {expected:02x?}, got {command:02x?}"
            ))),
            Some(step) => Ok(step.response),
            None => self.always.clone().ok_or_else(|| {
                BackendError::Script(format!("after the last step: {command:02x?}"))
            }),
        }
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.note(|j| j.resets = j.resets.saturating_add(1));
        Ok(())
    }

    fn power_cycle(&mut self) -> Result<(), BackendError> {
        self.note(|j| j.power_cycles = j.power_cycles.saturating_add(1));
        Ok(())
    }

    fn cancel(&mut self) -> Result<(), BackendError> {
        self.note(|j| j.cancels = j.cancels.saturating_add(1));
        Ok(())
    }

    fn disconnect(&mut self) {
        self.connected = false;
    }
}
