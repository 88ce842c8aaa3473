//! A byte queue from one interrupt handler to one reader, without locks and without `unsafe`.
//!
//! Single producer, single consumer: `push` is called by the interrupt handler alone, `pop` by
//! the run loop alone. Each index is written by one side only, and every cell is an `AtomicU8`,
//! which on a Cortex-M is an ordinary byte load or store.

use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// A queue of at most `N - 1` bytes. One cell stays empty to tell full from empty.
pub struct Ring<const N: usize> {
    cells: [AtomicU8; N],
    /// Next cell to write. Owned by the producer.
    head: AtomicUsize,
    /// Next cell to read. Owned by the consumer.
    tail: AtomicUsize,
}

impl<const N: usize> Default for Ring<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Ring<N> {
    /// An empty queue, all zero, so that it lies in `.bss` and costs no flash.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cells: [const { AtomicU8::new(0) }; N],
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
        }
    }

    /// The index after `index`; a compare is cheaper than a division by a length that is no power
    /// of two.
    const fn after(index: usize) -> usize {
        if index + 1 < N { index + 1 } else { 0 }
    }

    /// Appends one byte. `false`: the queue is full and the byte is lost; the caller counts it.
    pub fn push(&self, byte: u8) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        let next = Self::after(head);
        if next == self.tail.load(Ordering::Acquire) {
            return false;
        }
        if let Some(cell) = self.cells.get(head) {
            cell.store(byte, Ordering::Relaxed);
        }
        // Release: the byte is visible before the index that announces it.
        self.head.store(next, Ordering::Release);
        true
    }

    /// Takes as many bytes as there are, at most `buffer.len()`; returns how many.
    pub fn pop(&self, buffer: &mut [u8]) -> usize {
        let head = self.head.load(Ordering::Acquire);
        let mut tail = self.tail.load(Ordering::Relaxed);
        let mut taken = 0;
        for slot in buffer {
            if tail == head {
                break;
            }
            if let Some(cell) = self.cells.get(tail) {
                *slot = cell.load(Ordering::Relaxed);
            }
            tail = Self::after(tail);
            taken += 1;
        }
        self.tail.store(tail, Ordering::Release);
        taken
    }

    /// True when `pop` would return nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire) == self.tail.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_full_ring_says_so_and_keeps_what_it_has() {
        let ring = Ring::<4>::new();
        let taken: Vec<bool> = (1..=4).map(|byte| ring.push(byte)).collect();
        assert_eq!(taken, [true, true, true, false]);
        let mut out = [0; 8];
        assert_eq!(ring.pop(&mut out), 3);
        assert_eq!(out, [1, 2, 3, 0, 0, 0, 0, 0]);
        assert!(ring.is_empty());
    }

    #[test]
    fn a_short_buffer_leaves_the_rest_and_the_end_wraps() {
        let ring = Ring::<4>::new();
        for round in 0..10u8 {
            assert!(ring.push(round) && ring.push(round + 100));
            let mut one = [0];
            assert_eq!((ring.pop(&mut one), one), (1, [round]));
            assert!(!ring.is_empty());
            assert_eq!((ring.pop(&mut one), one), (1, [round + 100]));
            assert_eq!(ring.pop(&mut one), 0);
        }
    }

    #[test]
    fn two_threads_lose_nothing_and_keep_the_order() {
        let ring = Ring::<16>::new();
        let received = thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..100_000u32 {
                    while !ring.push(number as u8) {
                        thread::yield_now();
                    }
                }
            });
            let mut received = Vec::new();
            let mut buffer = [0; 5];
            while received.len() < 100_000 {
                let taken = ring.pop(&mut buffer);
                received.extend(buffer.into_iter().take(taken));
            }
            received
        });
        assert!(
            received
                .iter()
                .zip(0u32..)
                .all(|(byte, number)| *byte == number as u8)
        );
    }
}
