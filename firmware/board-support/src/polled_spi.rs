//! A polled SPI under an asynchronous executor.
//!
//! embedded-hal-async's bus over a blocking one of embedded-hal: before each transfer everybody else has a turn, then the bytes
//! are clocked at once. At 5 MHz the longest transfer of a TPM, 64 bytes, takes 0.1 ms; an interrupt for each byte would cost
//! more than the byte, and DMA pays from some hundred bytes on. What takes long with a TPM is its answer, and for that the
//! driver waits in its delay.
//!
//! A future that is dropped was never in the middle of a transfer, so no byte is half sent.

use core::future::poll_fn;
use core::task::Poll;

use embedded_hal::spi::{ErrorType, SpiBus};

/// A blocking bus that lets others have a turn before each transfer.
pub struct Polled<S>(pub S);

impl<S: ErrorType> ErrorType for Polled<S> {
    type Error = S::Error;
}

impl<S: SpiBus> embedded_hal_async::spi::SpiBus for Polled<S> {
    async fn read(&mut self, words: &mut [u8]) -> Result<(), S::Error> {
        turn_for_others().await;
        self.0.read(words)
    }

    async fn write(&mut self, words: &[u8]) -> Result<(), S::Error> {
        turn_for_others().await;
        self.0.write(words)
    }

    async fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), S::Error> {
        turn_for_others().await;
        self.0.transfer(read, write)
    }

    async fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), S::Error> {
        turn_for_others().await;
        self.0.transfer_in_place(words)
    }

    /// Waits for the end of what was clocked, which is a byte at most: nobody else has a turn for that.
    async fn flush(&mut self) -> Result<(), S::Error> {
        self.0.flush()
    }
}

/// Ready at the second time of asking, which comes after everybody else who is ready.
async fn turn_for_others() {
    let mut is_first = true;
    poll_fn(|context| {
        if !core::mem::take(&mut is_first) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use embedded_hal_async::spi::SpiBus as _;

    use super::*;

    /// Answers each byte with its complement, and keeps what was done.
    #[derive(Default)]
    struct Wires(Vec<(&'static str, usize)>);

    impl ErrorType for Wires {
        type Error = Infallible;
    }

    impl SpiBus for Wires {
        fn read(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
            self.0.push(("read", words.len()));
            Ok(())
        }
        fn write(&mut self, words: &[u8]) -> Result<(), Infallible> {
            self.0.push(("write", words.len()));
            Ok(())
        }
        fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), Infallible> {
            self.0.push(("transfer", read.len().max(write.len())));
            Ok(())
        }
        fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), Infallible> {
            self.0.push(("in place", words.len()));
            words.iter_mut().for_each(|word| *word = !*word);
            Ok(())
        }
        fn flush(&mut self) -> Result<(), Infallible> {
            self.0.push(("flush", 0));
            Ok(())
        }
    }

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls to the end; how often, and how often the waker was called before.
    fn run<F: Future>(future: F) -> (F::Output, usize, usize) {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        let mut future = pin!(future);
        for polls in 1..10 {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return (output, polls, bell.0.load(Ordering::Relaxed));
            }
        }
        unreachable!("it never ends");
    }

    #[test]
    fn every_transfer_lets_others_have_one_turn_and_asks_for_its_own() {
        let mut bus = Polled(Wires::default());
        let mut words = [0x0F, 0xF0];
        assert_eq!(run(bus.transfer_in_place(&mut words)), (Ok(()), 2, 1));
        assert_eq!(words, [0xF0, 0x0F]);
        assert_eq!(run(bus.write(&[1, 2, 3])), (Ok(()), 2, 1));
        assert_eq!(run(bus.read(&mut words)), (Ok(()), 2, 1));
        assert_eq!(run(bus.transfer(&mut words, &[1, 2, 3, 4])), (Ok(()), 2, 1));
        assert_eq!(run(bus.flush()), (Ok(()), 1, 0));
        let done = [
            ("in place", 2),
            ("write", 3),
            ("read", 2),
            ("transfer", 4),
            ("flush", 0),
        ];
        assert_eq!(bus.0.0, done);
    }

    #[test]
    fn a_dropped_transfer_has_clocked_nothing() {
        let mut bus = Polled(Wires::default());
        {
            let mut future = pin!(bus.write(&[1, 2, 3]));
            let mut context = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(bus.0.0, []);
    }
}
