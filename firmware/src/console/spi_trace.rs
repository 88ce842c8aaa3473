//! `spi trace`: what went over the TPM's bus, register by register.

use super::log::{DATA, KEPT};
use super::problem::Problem;
use super::{Board, Console};
use crate::bus::{Direction, Reg};

/// Shown without a number.
const SHOWN: usize = 16;
const USAGE: &str = "spi trace [N] | spi trace next [N], N from 1 to 64";

impl<H: Board> Console<H> {
    pub(super) fn spi_trace(
        &mut self,
        first: Option<&str>,
        second: Option<&str>,
        third: Option<&str>,
    ) -> Result<(), Problem> {
        match (first, second, third) {
            (Some("next"), count, None) => {
                let count = number(count, KEPT)?;
                self.log().keep_next(count);
                self.say(format_args!(
                    "keeping the next {count}; `spi trace` shows them\n"
                ));
                Ok(())
            }
            (count, None, None) => {
                let awaited = self.log().awaited();
                // All of what was asked for before, unless told otherwise.
                let usual = awaited.0.map_or(SHOWN, |awaited| awaited as usize);
                self.show_trace(number(count, usual)?, awaited)
            }
            _ => Err(Problem::Usage(USAGE)),
        }
    }

    fn show_trace(&mut self, count: usize, awaited: (Option<u32>, u32)) -> Result<(), Problem> {
        let (first, total) = awaited;
        if total == 0 {
            self.say(format_args!("no access yet; `tpm probe` makes some\n"));
            return Ok(());
        }
        self.say(format_args!(
            "{:>6}  dir  {:<17}len  data\n",
            "#", "register"
        ));
        let mut shown = 0;
        while shown < count {
            self.go_on()?;
            // One at a time: the log is beside the bus, and the line is elsewhere.
            let Some(kept) = self.log().newest(count).nth(shown) else {
                break;
            };
            shown += 1;
            let direction = match kept.direction {
                Direction::Read => "R",
                Direction::Write => "W",
            };
            self.say(format_args!(
                "{:>6}  {direction}    0x{:03X} {:<10} {:>4} ",
                kept.number,
                kept.reg.offset(),
                name(kept.reg),
                kept.len
            ));
            if kept.ok {
                for byte in kept.data() {
                    self.say(format_args!(" {byte:02X}"));
                }
            } else {
                self.say(format_args!(" failed"));
            }
            let more = usize::from(kept.len) > DATA && kept.ok;
            self.say(format_args!("{}\n", if more { " ..." } else { "" }));
        }
        match first {
            Some(awaited) if total < awaited => {
                self.say(format_args!("{} more awaited\n", awaited - total));
            }
            Some(_) => self.log().keep_last(),
            None => {}
        }
        Ok(())
    }

    fn log(&mut self) -> &mut super::AccessLog {
        self.tpm.transport().bus().sink()
    }
}

fn number(text: Option<&str>, usual: usize) -> Result<usize, Problem> {
    let Some(text) = text else {
        return Ok(usual);
    };
    let number = text.parse().ok();
    number
        .filter(|number| (1..=KEPT).contains(number))
        .ok_or(Problem::Usage(USAGE))
}

fn name(reg: Reg) -> &'static str {
    match reg {
        Reg::ACCESS => "ACCESS",
        Reg::INTF_CAPABILITY => "INTF_CAP",
        Reg::STS => "STS",
        Reg::STS_CANCEL => "STS+3",
        Reg::DATA_FIFO => "DATA_FIFO",
        Reg::INTERFACE_ID => "INTF_ID",
        Reg::DID_VID => "DID_VID",
        Reg::RID => "RID",
        _ => "",
    }
}
