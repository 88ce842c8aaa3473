//! The blocks of an STM32L476 that are not as on an STM32F405. Names and offsets as in ST RM0351.

pub mod flash;
pub mod rcc;
pub mod rng;
pub mod spi;
pub mod usart;

pub use flash::Flash;
pub use rcc::Rcc;
pub use rng::Rng;
pub use spi::Spi;
pub use usart::Usart;
