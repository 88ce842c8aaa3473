//! What the board asks of the blocks that differ from chip to chip.

/// Why the microcontroller was reset while it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetCause {
    /// By its reset line or its own program; QEMU does not tell which.
    #[default]
    Requested,
    /// Its watchdog ran out.
    Watchdog,
    /// It asked for its option bytes to be loaded.
    OptionBytes,
}

/// Reset and clock control.
pub trait Clocks: Send {
    /// A reset of the machine while it runs.
    fn system_reset(&mut self, cause: ResetCause);
    /// Whether GPIO port `port` (0 = A) has its clock.
    fn gpio_clock(&self, port: u8) -> bool;
    /// Whether GPIO port `port` is held in reset.
    fn gpio_reset(&self, port: u8) -> bool;
    /// Whether SPI1 has its clock.
    fn spi_clock(&self) -> bool;
    /// Whether SPI1 is held in reset.
    fn spi_reset(&self) -> bool;
    /// A read of `size` bytes.
    fn read(&self, offset: u32, size: u32) -> u32;
    /// A write of `size` bytes.
    fn write(&mut self, offset: u32, size: u32, value: u32);

    /// The processor's clock; `None` where the machine's own is right.
    fn core_hz(&self) -> Option<u64> {
        None
    }

    /// Whether USART2 has its clock.
    fn usart_clock(&self) -> bool {
        false
    }

    /// Whether USART2 is held in reset.
    fn usart_reset(&self) -> bool {
        false
    }

    /// Whether the random number generator's registers have their clock.
    fn noise_clock(&self) -> bool {
        false
    }

    /// Whether the clock that it samples its noise with is one that it can work with.
    fn noise_sampled(&self) -> bool {
        false
    }
}

/// The flash controller, and the cells that it lets a board write.
pub trait FlashControl: Send {
    /// A reset of the controller; the cells keep what they hold.
    fn reset(&mut self);
    /// A read of a register.
    fn read_register(&self, offset: u32, size: u32) -> u32;
    /// A write of a register.
    fn write_register(&mut self, offset: u32, size: u32, value: u32);
    /// A read of the cells; `offset` from the first that can be written.
    fn read(&mut self, offset: u32, size: u32) -> u32;
    /// A write to the cells: programs them if that is what the controller was set to.
    fn write(&mut self, offset: u32, size: u32, value: u32);

    /// Whether the chip has to restart, since its option bytes are to be loaded.
    fn restarts(&self) -> bool {
        false
    }

    /// Whether a read since the last call has to raise the interrupt that cannot be masked.
    fn non_maskable(&mut self) -> bool {
        false
    }
}

/// What a write to an SPI's data register puts on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rx {
    /// Nothing: the block is off, or no master.
    Silent,
    /// One byte, in the mode that a TPM understands (mode 0, most significant bit first).
    Byte(u8),
    /// Two bytes, in the order of the wire.
    TwoBytes(u8, u8),
    /// Clocked in a mode that the TPM does not understand.
    WrongMode,
}

/// A polled SPI master.
pub trait SpiMaster: Send {
    /// Back to the reset state.
    fn reset(&mut self);
    /// A read of `size` bytes. A read of the data register takes what was received.
    fn read(&mut self, offset: u32, size: u32) -> u32;
    /// A write of `size` bytes; what it puts on the wire. The answer comes to [`SpiMaster::receive`].
    fn write(&mut self, offset: u32, size: u32, value: u32) -> Rx;
    /// What came back for a write, in the order of the wire.
    fn receive(&mut self, answer: &[u8]);
}

/// The machine's own USART2, by the registers that it has there: an STM32F2's. `[RM0033] 24.6`
pub trait MachineUsart: Send {
    /// A read of the register at `offset`.
    fn read(&mut self, offset: u32) -> u32;
    /// A write of the register at `offset`.
    fn write(&mut self, offset: u32, value: u32);
}
