//! Serial ports, and whatever else looks like one: USB converters, pseudo-terminals.

use std::io;

use tokio_serial::{DataBits, FlowControl, Parity, SerialPortBuilderExt, StopBits};

use super::{Link, LinkSource};

/// A port by its path. Opened anew whenever it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialSource {
    /// E.g. `/dev/ttyUSB0`.
    pub path: String,
    /// Bits per second; 8 data bits, no parity, 1 stop bit, no flow control.
    pub baud: u32,
}

#[async_trait::async_trait]
impl LinkSource for SerialSource {
    fn name(&self) -> String {
        self.path.clone()
    }

    fn exclusive(&self) -> bool {
        true
    }

    async fn open(&self) -> io::Result<Box<dyn Link>> {
        let port = tokio_serial::new(&self.path, self.baud)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(FlowControl::None)
            .open_native_async()?;
        Ok(Box::new(port))
    }
}
