//! A transport that answers by script or by function, and remembers what it was asked.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use assay_firmware::tpm::{DurationClass, Tpm, TpmTransport, TransportError};

#[derive(Default)]
pub struct Journal {
    pub sent: Vec<Vec<u8>>,
    pub classes: Vec<DurationClass>,
    pub pauses_ms: Vec<u32>,
}

impl Journal {
    /// Command codes in order.
    pub fn codes(&self) -> Vec<u32> {
        self.sent.iter().map(|c| code(c)).collect()
    }
}

pub fn code(command: &[u8]) -> u32 {
    u32::from_be_bytes(command[6..10].try_into().unwrap())
}

type Answer = Box<dyn FnMut(&[u8]) -> Result<Vec<u8>, TransportError>>;

pub struct Scripted {
    answer: Answer,
    pub journal: Rc<RefCell<Journal>>,
}

impl Scripted {
    /// A transport on its own, for what makes its own command layer.
    pub fn new(
        mut answer: impl FnMut(&[u8]) -> Vec<u8> + 'static,
        journal: &Rc<RefCell<Journal>>,
    ) -> Self {
        Self {
            answer: Box::new(move |command| Ok(answer(command))),
            journal: Rc::clone(journal),
        }
    }
}

impl TpmTransport for Scripted {
    type Error = TransportError;

    fn transact<'r>(
        &mut self,
        command: &[u8],
        response: &'r mut [u8],
        class: DurationClass,
    ) -> Result<&'r [u8], TransportError> {
        assert_eq!(
            command.len() as u32,
            u32::from_be_bytes(command[2..6].try_into().unwrap())
        );
        let mut journal = self.journal.borrow_mut();
        journal.sent.push(command.to_vec());
        journal.classes.push(class);
        drop(journal);
        let answer = (self.answer)(command)?;
        let to = &mut response[..answer.len()];
        to.copy_from_slice(&answer);
        Ok(to)
    }

    fn pause_ms(&mut self, ms: u32) {
        self.journal.borrow_mut().pauses_ms.push(ms);
    }
}

/// A TPM that answers by function.
pub fn by(
    mut answer: impl FnMut(&[u8]) -> Vec<u8> + 'static,
) -> (Tpm<Scripted>, Rc<RefCell<Journal>>) {
    fallible(move |command| Ok(answer(command)))
}

/// A TPM whose transport may fail.
pub fn fallible(
    answer: impl FnMut(&[u8]) -> Result<Vec<u8>, TransportError> + 'static,
) -> (Tpm<Scripted>, Rc<RefCell<Journal>>) {
    let journal = Rc::<RefCell<Journal>>::default();
    let scripted = Scripted {
        answer: Box::new(answer),
        journal: Rc::clone(&journal),
    };
    (Tpm::new(scripted), journal)
}

/// A TPM that gives these responses one after the other and then panics.
pub fn steps(responses: &[Vec<u8>]) -> (Tpm<Scripted>, Rc<RefCell<Journal>>) {
    let mut responses: VecDeque<_> = responses.iter().cloned().collect();
    by(move |command| {
        responses
            .pop_front()
            .unwrap_or_else(|| panic!("no answer left for {:x}", code(command)))
    })
}

/// Response of `TPM2_GetCapability` with these properties.
pub fn properties(list: &[(u32, u32)], more: bool) -> Vec<u8> {
    let mut body = vec![u8::from(more)];
    body.extend(6u32.to_be_bytes());
    body.extend((list.len() as u32).to_be_bytes());
    for (tag, value) in list {
        body.extend(tag.to_be_bytes());
        body.extend(value.to_be_bytes());
    }
    crate::bytes::response(0x8001, 0, &body)
}

/// Response of `TPM2_GetCapability` with these handles.
pub fn handles(list: &[u32], more: bool) -> Vec<u8> {
    let mut body = vec![u8::from(more)];
    body.extend(1u32.to_be_bytes());
    body.extend((list.len() as u32).to_be_bytes());
    for handle in list {
        body.extend(handle.to_be_bytes());
    }
    crate::bytes::response(0x8001, 0, &body)
}

/// Response code alone.
pub fn rc(code: u32) -> Vec<u8> {
    crate::bytes::response(0x8001, code, &[])
}

/// The two property lists of a start.
pub fn identity() -> Vec<u8> {
    properties(
        &[
            (0x105, 0x4946_5800),
            (0x106, 0x534C_4239),
            (0x107, 0x3637_3200),
            (0x10B, 0x000F_0016),
            (0x10C, 0x0042_5202),
        ],
        true,
    )
}

pub fn sizes(nv_buffer: u32) -> Vec<u8> {
    properties(
        &[
            (0x11E, 1420),
            (0x11F, 1420),
            (0x120, 48),
            (0x12C, nv_buffer),
        ],
        true,
    )
}
