//! The same login from a host: no SPI, no board, another transport below the same command layer.

use assay_firmware::evidence::tpm::TpmEvidence;
use assay_firmware::platform::BoardInfo;
use assay_firmware::run::{Node, Timing};
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::scenario::live::Assayd;
use assay_host_agent::line::SocketLine;
use assay_host_agent::platform::HostPlatform;
use assay_host_agent::tpm::StreamTpm;
use assay_spi_tpm::swtpm::Mode;

use crate::loopback::tpm;

#[test]
fn a_host_agent_logs_in_at_assayd_over_a_socket() {
    for kind in EkKind::ALL {
        let (folder, tpm) = tpm(&Recipe::with([kind]));
        let swtpm = tpm
            .start(&folder.path().join("run"), Mode::Sockets)
            .unwrap();
        let assayd = Assayd::start(&tpm, folder.path(), None).unwrap();
        let record = std::fs::read(assayd.record().unwrap()).unwrap();
        let line = SocketLine::unix(&assayd.socket()).unwrap();
        let source = TpmEvidence::new(StreamTpm::socket(swtpm.data_path()).unwrap());
        let board = BoardInfo {
            name: "host",
            version: "0",
        };
        let mut node = Node::new(
            HostPlatform::default(),
            line,
            source,
            &record,
            board,
            Timing::default(),
        );
        let granted = node
            .login()
            .unwrap_or_else(|failure| panic!("{failure}\n{}", assayd.log()));
        assert_eq!(granted.lifetime_s, 3_600);
        assert_eq!(
            node.login()
                .map(|again| again.session_id == granted.session_id),
            Ok(false)
        );
    }
}
