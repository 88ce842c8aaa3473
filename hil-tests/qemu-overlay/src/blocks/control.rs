//! What the board asks of the blocks that differ from chip to chip.

use super::nrf::nvmc::Closed;
use crate::args::Pin;
use crate::board::Block;

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

/// What counts the ticks that a chip makes for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticked {
    /// The timer.
    Timer,
    /// The watchdog.
    Watchdog,
}

/// Reset and clock control.
pub trait Clocks: Send {
    /// Tells it the guest's time, ns.
    fn set_time(&mut self, _ns: u64) {}
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

    /// Whether the bus reaches this block; where it does not, an access is a bus fault, and the block is in reset.
    fn answers(&self, _block: Block) -> bool {
        true
    }

    /// How long a tick takes, ns; `None` where none is made.
    fn tick_ns(&self, _of: Ticked) -> Option<u64> {
        None
    }

    /// Whether the chip starts anew when its watchdog has run out.
    fn watchdog_restarts(&self) -> bool {
        true
    }

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

    /// Whether an access since the last call ends in a bus fault.
    fn refused(&mut self) -> bool {
        false
    }

    /// Whether the flash can be read, and code run from it.
    fn is_memory(&self) -> bool {
        true
    }

    /// What is closed until the next reset.
    fn closed(&self) -> Vec<Closed> {
        Vec::new()
    }
}

/// A GPIO port.
pub trait Port: Send {
    /// Back to the reset state.
    fn reset(&mut self);
    /// A reset of the pins' block alone.
    fn block_reset(&mut self) {
        self.reset();
    }
    /// A read of `size` bytes.
    fn read(&self, offset: u32, size: u32) -> u32;
    /// A write of `size` bytes.
    fn write(&mut self, offset: u32, size: u32, value: u32);
    /// Level that the pin drives; `None` when it is no output and so floats.
    fn driven(&self, pin: u8) -> Option<bool>;

    /// Whether the pin is given to alternate function `function`, on a chip where pins are.
    fn is_alternate(&self, _pin: u8, _function: u32) -> bool {
        false
    }

    /// Whether the pin is an input that reaches whoever selects it, on a chip where blocks select pins.
    fn is_input(&self, _pin: u8) -> bool {
        false
    }
}

/// A timer with an interrupt.
pub trait Timer: Send {
    /// Back to the reset state.
    fn reset(&mut self);
    /// Tells it the guest's time, ns: what was to come until then is an event now.
    fn set_time(&mut self, ns: u64);
    /// Tells it how long the ticks that it counts take, ns; `None` while there are none. For a timer that makes none itself.
    fn set_tick(&mut self, _ns: Option<u64>) {}
    /// Whether its interrupt is raised.
    fn interrupt(&self) -> bool;
    /// When the next interrupt comes, ns of the guest's time; `None` when none will.
    fn next(&self) -> Option<u64>;
    /// How many alarms came late; for a timer that makes them so.
    fn late(&self) -> u32 {
        0
    }
    /// A read of `size` bytes.
    fn read(&mut self, offset: u32, size: u32) -> u32;
    /// A write of `size` bytes.
    fn write(&mut self, offset: u32, size: u32, value: u32);
}

/// A random number generator.
pub trait Noise: Send {
    /// Back to the reset state.
    fn reset(&mut self);
    /// Tells it the guest's time, ns.
    fn set_time(&mut self, _ns: u64) {}
    /// Words of 32 bits that the board has had.
    fn given(&self) -> u64;
    /// A read of `size` bytes; `sampled`: whether its clock is one that it can work with.
    fn read(&mut self, offset: u32, size: u32, sampled: bool) -> u32;
    /// A write of `size` bytes.
    fn write(&mut self, offset: u32, size: u32, value: u32);
}

/// The UART of the link, by other registers than the machine's has, over the machine's.
pub trait Link: Send {
    /// A reset of the block alone, which the machine's does not see.
    fn reset(&mut self, machine: &mut dyn MachineUart);
    /// A reset of the machine, which resets its own.
    fn system_reset(&mut self);
    /// A read of `size` bytes.
    fn read(&mut self, offset: u32, size: u32, machine: &mut dyn MachineUart) -> u32;
    /// A write of `size` bytes; `is_wired`: whether the pins of [`Link::pins`] are the link's, and as they must be.
    fn write(
        &mut self,
        offset: u32,
        size: u32,
        value: u32,
        is_wired: bool,
        machine: &mut dyn MachineUart,
    );

    /// Whether bytes can come in, as far as it knows itself.
    fn is_on(&self) -> bool;

    /// The pins that it sends and receives by, where it selects them itself.
    fn pins(&self) -> Option<[Option<Pin>; 2]> {
        None
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

    /// Its clock, MISO and MOSI, where it selects them itself.
    fn pins(&self) -> Option<[Option<Pin>; 3]> {
        None
    }
}

/// QEMU's own UART below the link's, by the registers that it has there: the machine's USART2, which is an STM32F2's
/// (`[RM0033] 24.6`), or an nRF51's.
pub trait MachineUart: Send {
    /// A read of the register at `offset`.
    fn read(&mut self, offset: u32) -> u32;
    /// A write of the register at `offset`.
    fn write(&mut self, offset: u32, value: u32);
}
