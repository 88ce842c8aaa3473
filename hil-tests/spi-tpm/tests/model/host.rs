//! A host that drives the registers by hand, with bounded patience. Written for these tests only, so that the
//! model is not judged by the driver that it is to judge.

use assay_spi_tpm::SpiTpm;

pub(crate) const ACCESS: u16 = 0x000;
pub(crate) const STS: u16 = 0x018;
pub(crate) const FIFO: u16 = 0x024;
pub(crate) const XDATA: u16 = 0x080;
pub(crate) const DID_VID: u16 = 0xF00;

/// Polls before the host gives up.
const PATIENCE: usize = 400;
/// Wait bytes before the host gives up.
const MAX_WAIT: usize = 200;

pub(crate) const STARTUP: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0];
pub(crate) const GET_RANDOM: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7B, 0, 16];
pub(crate) const PCR_READ: [u8; 20] = [
    0x80, 1, 0, 0, 0, 20, 0, 0, 1, 0x7E, 0, 0, 0, 1, 0, 0x0B, 3, 1, 0, 0,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Wait,
    Absent,
    Locality,
    Ready,
    Burst,
    Expect,
    Data,
    Size(u32),
    Leftover,
}

pub(crate) struct Host {
    pub(crate) tpm: SpiTpm,
    /// Every byte that came back, for comparison of two runs.
    pub(crate) seen: Vec<u8>,
    pub(crate) fifo: u16,
}

impl Host {
    pub(crate) fn new(tpm: SpiTpm) -> Self {
        Self {
            tpm,
            seen: Vec::new(),
            fifo: FIFO,
        }
    }

    /// Clocks raw bytes in one frame.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.tpm.cs(true);
        let out: Vec<u8> = bytes.iter().map(|byte| self.tpm.xfer(*byte)).collect();
        self.tpm.cs(false);
        self.seen.extend_from_slice(&out);
        out
    }

    fn clock(&mut self, byte: u8) -> u8 {
        // 10 MHz.
        self.tpm.clock().advance_ns(800);
        let got = self.tpm.xfer(byte);
        self.seen.push(got);
        got
    }

    fn frame(
        &mut self,
        locality: u8,
        read: bool,
        reg: u16,
        data: &mut [u8],
    ) -> Result<(), Trouble> {
        let address = (u16::from(locality) << 12) | reg;
        let [high, low] = address.to_be_bytes();
        let first = (u8::from(read) << 7) | u8::try_from(data.len() - 1).unwrap();
        self.tpm.cs(true);
        let result = (|| {
            let mut last = 0;
            for byte in [first, 0xD4, high, low] {
                last = self.clock(byte);
            }
            let mut waited = 0;
            while last & 1 == 0 {
                if waited == MAX_WAIT {
                    return Err(Trouble::Wait);
                }
                waited += 1;
                last = self.clock(0);
            }
            for byte in data.iter_mut() {
                let got = self.clock(if read { 0 } else { *byte });
                if read {
                    *byte = got;
                }
            }
            Ok(())
        })();
        self.tpm.cs(false);
        result
    }

    pub(crate) fn read<const N: usize>(&mut self, reg: u16) -> Result<[u8; N], Trouble> {
        self.read_at(0, reg)
    }

    pub(crate) fn read_at<const N: usize>(
        &mut self,
        locality: u8,
        reg: u16,
    ) -> Result<[u8; N], Trouble> {
        let mut data = [0; N];
        self.frame(locality, true, reg, &mut data)?;
        Ok(data)
    }

    pub(crate) fn write(&mut self, reg: u16, data: &[u8]) -> Result<(), Trouble> {
        self.write_at(0, reg, data)
    }

    pub(crate) fn write_at(&mut self, locality: u8, reg: u16, data: &[u8]) -> Result<(), Trouble> {
        self.frame(locality, false, reg, &mut data.to_vec())
    }

    /// STS byte 0 and burstCount.
    pub(crate) fn status(&mut self) -> Result<(u8, usize), Trouble> {
        let s: [u8; 4] = self.read(STS)?;
        if s[0] & 0x23 != 0 {
            return Err(Trouble::Absent);
        }
        Ok((s[0], usize::from(u16::from_le_bytes([s[1], s[2]]))))
    }

    fn wait(&mut self, mask: u8, value: u8, trouble: Trouble) -> Result<(), Trouble> {
        for _ in 0..PATIENCE {
            if self.status()?.0 & mask == value {
                return Ok(());
            }
            self.tpm.clock().advance_ns(200_000);
        }
        Err(trouble)
    }

    fn burst(&mut self) -> Result<usize, Trouble> {
        for _ in 0..PATIENCE {
            let (_, n) = self.status()?;
            if n > 0 {
                return Ok(n.min(64));
            }
        }
        Err(Trouble::Burst)
    }

    pub(crate) fn claim(&mut self) -> Result<(), Trouble> {
        self.write(ACCESS, &[0x02])?;
        for _ in 0..PATIENCE {
            let [access] = self.read(ACCESS)?;
            if access != 0xFF && access & 0xA0 == 0xA0 {
                return Ok(());
            }
            self.tpm.clock().advance_ns(1_000_000);
        }
        Err(Trouble::Locality)
    }

    pub(crate) fn ready(&mut self) -> Result<(), Trouble> {
        if self.status()?.0 & 0x40 == 0 {
            self.write(STS, &[0x40])?;
        }
        self.wait(0x40, 0x40, Trouble::Ready)
    }

    pub(crate) fn send(&mut self, command: &[u8]) -> Result<(), Trouble> {
        let mut at = 0;
        while at < command.len() {
            let n = self.burst()?.min(command.len() - at);
            let fifo = self.fifo;
            self.write(fifo, &command[at..at + n])?;
            at += n;
        }
        self.wait(0x88, 0x80, Trouble::Expect)
    }

    pub(crate) fn go(&mut self) -> Result<(), Trouble> {
        self.write(STS, &[0x20])
    }

    pub(crate) fn receive(&mut self) -> Result<Vec<u8>, Trouble> {
        self.wait(0x90, 0x90, Trouble::Data)?;
        let mut out = Vec::new();
        let mut want = 10;
        while out.len() < want {
            self.wait(0x90, 0x90, Trouble::Data)?;
            let n = self.burst()?.min(want - out.len());
            let mut part = vec![0; n];
            let fifo = self.fifo;
            self.frame(0, true, fifo, &mut part)?;
            out.extend_from_slice(&part);
            if out.len() == 10 {
                let size = u32::from_be_bytes([out[2], out[3], out[4], out[5]]);
                want = usize::try_from(size).unwrap();
                if !(10..=4096).contains(&want) {
                    return Err(Trouble::Size(size));
                }
            }
        }
        self.wait(0x80, 0x80, Trouble::Data)?;
        if self.status()?.0 & 0x10 != 0 {
            return Err(Trouble::Leftover);
        }
        Ok(out)
    }

    pub(crate) fn done(&mut self) -> Result<(), Trouble> {
        self.write(STS, &[0x40])
    }

    /// One command, once, without recovery.
    pub(crate) fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.ready()?;
        self.send(command)?;
        self.go()?;
        let response = self.receive()?;
        self.done()?;
        Ok(response)
    }
}

/// TPM_RC of a response.
pub(crate) fn rc(response: &[u8]) -> u32 {
    u32::from_be_bytes([response[6], response[7], response[8], response[9]])
}
