//! A board on a desk: what is typed goes in, what the board says comes out.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::rc::Rc;

use assay_firmware::console::{Board, Console, ProtectFault, RecordFault, SettingsStore, Wire};
use assay_firmware::platform::{BoardInfo, Platform, Protection, WriteProtection};
use assay_firmware::settings::{Setting, SettingsError};
use embedded_io::{ErrorType, Read, ReadReady, Write};

use crate::model::{Delay, RegisterBus, Shared};

/// Both directions of the line.
#[derive(Clone, Default)]
pub struct Line(Rc<RefCell<(VecDeque<u8>, Vec<u8>)>>);

impl ErrorType for Line {
    type Error = Infallible;
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let byte = self.0.borrow_mut().0.pop_front();
        let byte = byte.expect("the console waits for a byte that nobody typed");
        buffer[0] = byte;
        Ok(1)
    }
}

impl ReadReady for Line {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.borrow().0.is_empty())
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.borrow_mut().1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Wire for RegisterBus {
    fn resting(&mut self) -> Option<[u8; 4]> {
        Some([0xFF; 4])
    }
}

/// What a test sets and looks at.
pub struct Knobs {
    pub record: Vec<u8>,
    /// What the next write of a record does; `None` writes it.
    pub write_fault: Option<RecordFault>,
    /// The flash takes the record and loses a bit of it.
    pub loses_a_bit: bool,
    pub record_writes: u32,
    pub protection: Protection,
    /// What the next protection does; `None` of a board that cannot.
    pub protects: Option<Result<(), ProtectFault>>,
    /// The chip says yes and does nothing.
    pub protects_in_vain: bool,
    pub settings: Option<BTreeMap<u8, Vec<u8>>>,
    pub settings_fault: Option<SettingsError>,
    pub has_noise: bool,
    pub kicks: u32,
    pub resets: u32,
}

/// The board.
#[derive(Clone)]
pub struct Bench {
    pub knobs: Rc<RefCell<Knobs>>,
    value: Vec<u8>,
    now_us: u64,
}

impl Platform for Bench {
    fn now_us(&mut self) -> u64 {
        self.now_us
    }

    fn idle(&mut self) {}

    fn kick_watchdog(&mut self) {
        self.knobs.borrow_mut().kicks += 1;
    }

    fn noise(&mut self, out: &mut [u8; 32]) -> usize {
        if self.knobs.borrow().has_noise {
            out.len()
        } else {
            0
        }
    }
}

impl Board for Bench {
    type Serial = Line;
    type Bus = RegisterBus;
    type Delay = Delay;

    fn about(&self) -> BoardInfo {
        BoardInfo {
            name: "desk",
            version: "9.9.9",
        }
    }

    fn unique_id(&self) -> Option<&[u8]> {
        Some(&[0xDE, 0xAD, 0x01])
    }

    fn read_record(&mut self, to: &mut [u8]) {
        to.fill(0xFF);
        for (to, from) in to.iter_mut().zip(&self.knobs.borrow().record) {
            *to = *from;
        }
    }

    fn write_record(&mut self, record: &[u8]) -> Result<(), RecordFault> {
        let mut knobs = self.knobs.borrow_mut();
        if let Some(fault) = knobs.write_fault {
            return Err(fault);
        }
        knobs.record = record.to_vec();
        if knobs.loses_a_bit {
            knobs.record[11] ^= 1;
        }
        knobs.record_writes += 1;
        Ok(())
    }

    fn how_to_flash_record(&self) -> &'static str {
        "flash it by hand"
    }

    fn protection(&mut self) -> Protection {
        self.knobs.borrow().protection
    }

    fn can_protect_record(&self) -> bool {
        self.knobs.borrow().protects.is_some()
    }

    fn protect_record(&mut self) -> Result<(), ProtectFault> {
        let mut knobs = self.knobs.borrow_mut();
        knobs.protects.unwrap_or(Err(ProtectFault::NotHere))?;
        if !knobs.protects_in_vain {
            knobs.protection.write = WriteProtection::Protected;
        }
        Ok(())
    }

    fn how_to_unprotect(&self) -> &'static str {
        "take it back by hand"
    }

    fn settings(&mut self) -> Option<&mut dyn SettingsStore> {
        let has = self.knobs.borrow().settings.is_some();
        has.then_some(self as &mut dyn SettingsStore)
    }

    fn reset(&mut self) {
        self.knobs.borrow_mut().resets += 1;
    }
}

impl SettingsStore for Bench {
    fn get(&mut self, setting: Setting) -> Result<Option<&[u8]>, SettingsError> {
        let knobs = self.knobs.borrow();
        if let Some(fault) = knobs.settings_fault {
            return Err(fault);
        }
        let value = knobs.settings.as_ref().unwrap().get(&(setting as u8));
        self.value = value.cloned().unwrap_or_default();
        Ok(value.is_some().then_some(&self.value))
    }

    fn set(&mut self, setting: Setting, value: &[u8]) -> Result<(), SettingsError> {
        if value.len() > assay_firmware::settings::MAX_VALUE {
            return Err(SettingsError::TooLong);
        }
        let mut knobs = self.knobs.borrow_mut();
        let settings = knobs.settings.as_mut().unwrap();
        settings.insert(setting as u8, value.to_vec());
        Ok(())
    }
}

/// A console with somebody before it.
pub struct Desk {
    pub fifo: Shared,
    pub knobs: Rc<RefCell<Knobs>>,
    pub delay: Delay,
    line: Line,
    console: Console<Bench>,
}

impl Desk {
    /// A board without a record, 3 h, 4 min and 5 s after its seventh start.
    pub fn new(fifo: &Shared) -> Self {
        let knobs = Rc::new(RefCell::new(Knobs {
            record: Vec::new(),
            write_fault: None,
            loses_a_bit: false,
            record_writes: 0,
            protection: Protection::UNKNOWN,
            protects: None,
            protects_in_vain: false,
            settings: Some(BTreeMap::from([(
                Setting::Boots as u8,
                7u32.to_be_bytes().to_vec(),
            )])),
            settings_fault: None,
            has_noise: false,
            kicks: 0,
            resets: 0,
        }));
        let bench = Bench {
            knobs: Rc::clone(&knobs),
            value: Vec::new(),
            now_us: (3 * 3600 + 4 * 60 + 5) * 1_000_000,
        };
        let (line, delay) = (Line::default(), Delay::default());
        let bus = RegisterBus::new(fifo);
        let mut desk = Self {
            fifo: Rc::clone(fifo),
            knobs,
            delay: delay.clone(),
            line: line.clone(),
            console: Console::new(bench, line, bus, delay),
        };
        desk.console.greet();
        desk
    }

    /// Types `input` as it is, and returns what came back, with line ends of one byte.
    pub fn types(&mut self, input: &[u8]) -> String {
        self.line.0.borrow_mut().0.extend(input);
        while self.console.turn() {}
        self.heard()
    }

    /// What came back since the last look.
    pub fn heard(&mut self) -> String {
        let heard = std::mem::take(&mut self.line.0.borrow_mut().1);
        let text = String::from_utf8(heard).expect("the console writes text");
        assert_eq!(
            text.matches('\n').count(),
            text.matches("\r\n").count(),
            "a line end of one byte: {text:?}"
        );
        text.replace("\r\n", "\n")
    }

    /// The answer to a command: without its echo and without the prompt.
    pub fn asks(&mut self, command: &str) -> String {
        self.heard();
        let said = self.types(format!("{command}\r").as_bytes());
        let said = said.strip_prefix(&format!("{command}\n"));
        let said = said.expect("the command is echoed");
        let said = said.strip_suffix("assay> ");
        said.expect("a prompt follows").to_owned()
    }
}
