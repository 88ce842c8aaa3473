//! The node: messages on the model's wires.

use std::time::Instant;

use assay_spi_tpm::SpiTpm;

/// One transfer of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transfer {
    /// What is sent: zeros where the program sends nothing. As long as the transfer.
    pub sent: Vec<u8>,
    /// `cs_change`.
    pub cs_change: bool,
}

/// What a controller makes of `cs_change` on the last transfer of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// Keeps chip select low, as Linux asks of it.
    Keeps,
    /// Lets go after every message.
    Drops,
}

/// A node with a TPM.
pub struct Node {
    tpm: SpiTpm,
    select: Select,
    selected: bool,
    start: Instant,
    settings: [u32; 6],
}

impl Node {
    /// A node that nobody has used.
    #[must_use]
    pub fn new(tpm: SpiTpm, select: Select) -> Self {
        Self {
            tpm,
            select,
            selected: false,
            start: Instant::now(),
            settings: [0; 6],
        }
    }

    /// A setting, which is taken and not acted upon.
    pub fn set(&mut self, number: u8, value: u32) {
        if let Some(setting) = self.settings.get_mut(usize::from(number)) {
            *setting = value;
        }
    }

    /// A setting as it was set last.
    #[must_use]
    pub fn setting(&self, number: u8) -> u32 {
        let setting = self.settings.get(usize::from(number));
        setting.copied().unwrap_or_default()
    }

    /// Clocks a message; what came back, transfer by transfer.
    pub fn message(&mut self, transfers: &[Transfer]) -> Vec<Vec<u8>> {
        let ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.tpm.clock().set_ns(ns);
        let mut received = Vec::with_capacity(transfers.len());
        self.drive(true);
        for (at, transfer) in transfers.iter().enumerate() {
            self.drive(true);
            let bytes = transfer.sent.iter().map(|byte| self.tpm.xfer(*byte));
            received.push(bytes.collect());
            let last = at.saturating_add(1) == transfers.len();
            if transfer.cs_change && !last {
                self.drive(false);
            }
        }
        let kept = transfers.last().is_some_and(|last| last.cs_change);
        if !(kept && self.select == Select::Keeps) {
            self.drive(false);
        }
        received
    }

    /// Edges alone reach the TPM.
    fn drive(&mut self, low: bool) {
        if low != self.selected {
            self.selected = low;
            self.tpm.cs(low);
        }
    }
}

#[cfg(test)]
mod tests {
    use assay_spi_tpm::Config;
    use assay_spi_tpm::chip::Personality;
    use assay_spi_tpm::mock::ScriptedTpm;

    use super::*;

    /// The first four bytes of a read of `DID_VID`.
    const HEADER: [u8; 4] = [0x83, 0xD4, 0x0F, 0x00];

    fn node(select: Select) -> Node {
        let config = Config::chip(Personality::SLB9672);
        Node::new(SpiTpm::new(ScriptedTpm::new(), config), select)
    }

    fn transfer(sent: &[u8], cs_change: bool) -> Transfer {
        let sent = sent.to_vec();
        Transfer { sent, cs_change }
    }

    /// Header and data in two messages; the data.
    fn in_two(node: &mut Node, held: bool) -> Vec<u8> {
        node.message(&[transfer(&HEADER, held)]);
        let data = node.message(&[transfer(&[0; 4], false)]);
        data.into_iter().flatten().collect()
    }

    #[test]
    fn a_select_that_is_kept_joins_two_messages_to_one_frame() {
        let mut node = node(Select::Keeps);
        assert_eq!(in_two(&mut node, true), [0xD1, 0x15, 0x1D, 0x00]);
        // And once more: the last one let go.
        assert_eq!(in_two(&mut node, true), [0xD1, 0x15, 0x1D, 0x00]);
    }

    #[test]
    fn without_cs_change_or_with_a_controller_that_drops_it_they_are_two_frames() {
        let other = [0xD1, 0x15, 0x1D, 0x00];
        assert_ne!(in_two(&mut node(Select::Keeps), false), other);
        assert_ne!(in_two(&mut node(Select::Drops), true), other);
    }

    #[test]
    fn a_message_of_no_bytes_lets_go_and_clocks_nothing() {
        let mut node = node(Select::Keeps);
        node.message(&[transfer(&HEADER, true)]);
        assert!(node.selected);
        assert_eq!(node.message(&[transfer(&[], false)]), [Vec::<u8>::new()]);
        assert!(!node.selected);
        // The frame's four, which are counted at its end.
        assert_eq!(node.tpm.stats().totals().bytes, 4);
    }

    #[test]
    fn cs_change_inside_a_message_cuts_it_in_two() {
        let mut node = node(Select::Keeps);
        let cut = node.message(&[transfer(&HEADER, true), transfer(&[0; 4], false)]);
        assert_ne!(
            cut.last().map(Vec::as_slice),
            Some(&[0xD1, 0x15, 0x1D, 0x00][..])
        );
        let joined = node.message(&[transfer(&HEADER, false), transfer(&[0; 4], false)]);
        assert_eq!(
            joined.last().map(Vec::as_slice),
            Some(&[0xD1, 0x15, 0x1D, 0x00][..])
        );
    }
}
