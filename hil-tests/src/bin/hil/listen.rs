//! `hil listen`: what a board says on its link, in words.

use std::time::Instant;

use anyhow::Result;
use assay_hil_tests::bench::listen::listen;

#[derive(clap::Args)]
pub(crate) struct Listen {
    /// The serial port, such as /dev/ttyACM0
    port: String,
    /// Bits per second
    #[arg(default_value_t = 921_600)]
    baud: u32,
}

pub(crate) fn run(args: &Listen) -> Result<()> {
    let start = Instant::now();
    listen(&args.port, args.baud, &mut |heard| {
        println!("{:>8.3} s  {heard}", start.elapsed().as_secs_f32());
        true
    })
}
