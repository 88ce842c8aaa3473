//! A flash that blocks, for a log that would wait.
//!
//! `sequential-storage` speaks the asynchronous traits only. A board's own flash is written by a processor that stands
//! still meanwhile, so each of its futures is ready when it is first looked at, and nobody has to wake anybody.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, ReadNorFlash};
use embedded_storage_async::nor_flash as waiting;

/// A blocking flash under the asynchronous traits.
pub(super) struct Blocking<F>(pub(super) F);

impl<F: ErrorType> ErrorType for Blocking<F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> waiting::ReadNorFlash for Blocking<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> waiting::NorFlash for Blocking<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.0.erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(offset, bytes)
    }
}

/// The result of a future over a [`Blocking`] flash, which never waits.
pub(super) fn now<T, E: NorFlashError>(
    future: impl Future<Output = Result<T, sequential_storage::Error<E>>>,
) -> Result<T, sequential_storage::Error<E>> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(result) => result,
        // Nothing in it can be pending. Were it ever otherwise, it would be no result, and not a wait without end.
        Poll::Pending => Err(sequential_storage::Error::LogicBug {}),
    }
}
