//! Chips that take their time.

use std::time::Duration;

use crate::desk::{Desk, asked_of, ek_and_quote, granted, tell};
use crate::fake_tpm::FakeTpm;

/// The agent waits two minutes at most for a primary key, and an RSA-only chip makes two of them.
const TWO_KEYS: Duration = Duration::from_secs(240);

#[tokio::test]
async fn a_chip_that_takes_four_minutes_for_its_keys_logs_in_within_the_default_time() {
    let tpm = FakeTpm::new();
    let desk = Desk::new(&ek_and_quote(&[&tpm]));
    let (mut link, mut agent, asked) = desk.at_round_0().await;
    desk.clock.advance(TWO_KEYS);
    let message = agent.answer(&tpm, &asked);
    let asked = asked_of(tell(&mut link, &mut agent, &message).await);
    // Credential and quote need the two keys and some seconds more.
    desk.clock.advance(Duration::from_secs(30));
    let message = agent.answer(&tpm, &asked);
    granted(tell(&mut link, &mut agent, &message).await);
}
