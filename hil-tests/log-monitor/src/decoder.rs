//! Bytes to log lines, with the table of texts that is in the image's ELF.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use defmt_decoder::{DecodeError, Locations, StreamDecoder, Table};

/// Frames that cannot be decoded in a row before somebody is told that this may be another image.
const STRANGE: u32 = 8;
/// Most bytes handed to the decoder at once: what it panics at costs no more than these.
const PIECE: usize = 64;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    /// Every step.
    Trace,
    /// For whoever looks for a fault.
    Debug,
    /// What happens as it should.
    Info,
    /// What was overcome.
    Warn,
    /// What was not.
    Error,
}

/// One message of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The board's own time, as its image formats it.
    pub(crate) timestamp: Option<String>,
    /// `None` for what is printed without one.
    pub(crate) level: Option<Level>,
    /// The text, with its values.
    pub(crate) message: String,
    /// Where in the source it is.
    pub(crate) place: Option<Place>,
}

/// A place in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u64,
    /// The path of the module and the function. A line that a macro wrote has the macro's file, and still its own module.
    pub(crate) module: String,
}

/// The texts of an image.
pub(crate) struct Image {
    table: Table,
    locations: Locations,
}

impl Image {
    /// Reads an ELF.
    ///
    /// # Errors
    ///
    /// When it is none, was built without defmt, or by a defmt that this decoder does not know.
    pub(crate) fn new(elf: &[u8]) -> Result<Self> {
        let table = Table::parse(elf).context("defmt's table cannot be read")?;
        let Some(table) = table else {
            bail!("this image logs nothing\nhint: build it with the board's feature `defmt`");
        };
        // Without debug information a line has no place, and is as good otherwise.
        let locations = table.get_locations(elf).unwrap_or_default();
        Ok(Self { table, locations })
    }
}

/// A stream of frames in the middle of being read.
pub(crate) struct Decoder<'i> {
    image: &'i Image,
    stream: Box<dyn StreamDecoder + Send + Sync + 'i>,
    /// Frames in a row that could not be decoded.
    strange: u32,
    complained: bool,
}

impl<'i> Decoder<'i> {
    /// At the beginning of a stream, or in the middle of one: the first frame may be half.
    pub(crate) fn new(image: &'i Image) -> Self {
        Self {
            image,
            stream: image.table.new_stream_decoder(),
            strange: 0,
            complained: false,
        }
    }

    /// The messages that end in `bytes`.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for piece in bytes.chunks(PIECE) {
            self.stream.received(piece);
            while let Some(line) = self.next() {
                lines.extend(line);
            }
        }
        lines
    }

    /// What a person should know about what could not be decoded, once.
    pub(crate) fn complaint(&mut self) -> Option<&'static str> {
        if self.strange < STRANGE || self.complained {
            return None;
        }
        self.complained = true;
        Some(
            "nothing of this can be decoded: is the ELF that of the image which runs, and the baud rate right?",
        )
    }

    /// The next frame: `None` when there is none yet, `Some(None)` for one that means nothing.
    fn next(&mut self) -> Option<Option<Line>> {
        // The decoder trusts its input more than a wire deserves.
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            let frame = self.stream.decode()?;
            let place = self.image.locations.get(&frame.index());
            Ok(Line {
                timestamp: frame.display_timestamp().map(|time| time.to_string()),
                level: frame
                    .level()
                    .and_then(|level| <Level as ValueEnum>::from_str(level.as_str(), true).ok()),
                message: frame.display_message().to_string(),
                place: place.map(|place| Place {
                    file: place.file.display().to_string(),
                    line: place.line,
                    module: place.module.clone(),
                }),
            })
        }));
        match decoded {
            Ok(Ok(line)) => {
                self.strange = 0;
                Some(Some(line))
            }
            Ok(Err(DecodeError::UnexpectedEof)) => None,
            Ok(Err(DecodeError::Malformed)) if self.image.table.encoding().can_recover() => {
                self.strange = self.strange.saturating_add(1);
                Some(None)
            }
            Ok(Err(DecodeError::Malformed)) | Err(_) => {
                self.strange = self.strange.saturating_add(1);
                self.stream = self.image.table.new_stream_decoder();
                None
            }
        }
    }
}

/// A panic inside the decoder is a frame that means nothing, and no news.
pub(crate) fn keep_its_panics_quiet() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let foreign = panic
            .location()
            .is_some_and(|place| place.file().contains("defmt"));
        if !foreign {
            usual(panic);
        }
    }));
}
