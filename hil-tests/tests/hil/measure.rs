//! What `hil size` and `hil bench` compute, on recorded input; and the SPI bytes of a login in virtual time.

use std::collections::BTreeMap;

use assay_hil_tests::board::{EmbassyImage, ImageSize};
use assay_hil_tests::manufacture::{EkKind, Recipe};
use assay_hil_tests::measure::bench::{BenchReport, LoginCost, OfHosts};
use assay_hil_tests::measure::flows::{BusFlows, Flow, Flows};
use assay_hil_tests::measure::host_agent::HostAgentReport;
use assay_hil_tests::measure::service::ServiceReport;
use assay_hil_tests::measure::size::{BoardSize, Budget, SizeReport};
use assay_hil_tests::measure::stack::{Deepest, Region};
use assay_hil_tests::measure::tpm_part::TpmPart;
use assay_hil_tests::measure::{clouds, crypto, floor, methods};
use assay_hil_tests::qemu::{CommandEvent, Event};
use assay_spi_tpm::Config;
use assay_spi_tpm::chip::Personality;
use assay_spi_tpm::stats::Stats;

use super::loopback::{loopback, tpm};

/// Length of command and response, and the bytes that a driver which was traced on the model took: burst count 64, no
/// wait states, busy polls left out. An enrolment with a P-256 EK and AK.
const TRACED: &[(&str, u64, u64, u64)] = &[
    ("GetCapability, one property", 22, 27, 129),
    ("GetRandom, 16 bytes", 12, 28, 120),
    ("NV_ReadPublic", 14, 62, 156),
    ("NV_Read, 512 bytes", 35, 533, 744),
    ("CreatePrimary, EK P-256", 163, 346, 673),
    ("ReadPublic", 14, 172, 290),
    ("StartAuthSession", 43, 32, 155),
    ("PolicySecret", 41, 29, 150),
    ("ActivateCredential", 180, 74, 358),
    ("PCR_Extend", 65, 19, 176),
    ("PCR_Read, eight PCRs", 20, 300, 448),
    ("Quote, P-256", 73, 238, 439),
    ("ReadClock", 10, 35, 125),
    ("FlushContext", 14, 10, 92),
];

#[test]
fn the_floor_is_what_a_traced_driver_took_for_each_command() {
    for (name, command, response, bytes) in TRACED {
        assert_eq!(floor::command(*command, *response), *bytes, "{name}");
    }
}

#[test]
fn a_startup_takes_what_was_traced_with_and_without_taking_the_locality() {
    // Traced: 89 with the locality in hand, 100 with its request.
    assert!(floor::command(12, 10).abs_diff(89) <= 1);
    assert_eq!(floor::flow([(12, 10)]), 100);
}

#[test]
fn a_byte_over_a_piece_costs_another_piece() {
    assert_eq!(floor::command(65, 10) - floor::command(64, 10), 1 + 12);
    assert_eq!(floor::command(64, 75) - floor::command(64, 74), 1 + 12);
}

fn spi_bytes_of_a_cold_login(config: Config) -> (Stats, u64) {
    let (folder, tpm) = tpm(&Recipe::with([EkKind::P256]));
    let loopback = loopback(&tpm, &folder, config, true);
    loopback.login().unwrap();
    let stats = loopback.tpm.with(|model| model.stats().snapshot());
    let lengths = stats
        .commands
        .iter()
        .map(|c| (c.command_len as u64, c.response_len as u64));
    let floor = floor::flow(lengths);
    (stats, floor)
}

#[test]
fn a_cold_login_takes_at_most_a_twentieth_more_spi_bytes_than_the_floor() {
    let config = Config {
        busy_polls: Some(0),
        ..Config::chip(Personality::SLB9672)
    };
    let (stats, floor) = spi_bytes_of_a_cold_login(config);
    let bytes = stats.totals.bytes;
    assert!(stats.commands.len() > 10, "{:?}", stats.commands);
    assert!(bytes * 100 <= floor * 105, "{bytes} bytes, floor {floor}");
}

#[test]
fn a_chip_with_small_bursts_misses_the_floor_so_the_ratio_can_fail() {
    let config = Config {
        busy_polls: Some(0),
        ..Config::chip(Personality::NUVOTON)
    };
    let (stats, floor) = spi_bytes_of_a_cold_login(config);
    assert!(
        stats.totals.bytes * 100 > floor * 105,
        "{} bytes, floor {floor}",
        stats.totals.bytes
    );
}

/// Three lines as the overlay writes them.
const EVENTS: &str = r#"
{"event":"command","n":1,"name":"Startup","code":324,"rc":0,"command_len":12,"response_len":10,"bytes":122,"chip_selects":15,"polls":8,"aborts":0,"retries":0,"tpm_us":5022,"at_ns":1000,"total_bytes":122,"total_chip_selects":15,"instructions":20000,"stack_lowest":536891392}
{"event":"command","n":2,"name":"GetRandom","code":379,"rc":0,"command_len":12,"response_len":44,"bytes":130,"chip_selects":12,"polls":5,"aborts":0,"retries":0,"tpm_us":40,"at_ns":2000,"total_bytes":252,"total_chip_selects":27,"instructions":50000,"stack_lowest":536891392}
{"event":"command","n":3,"name":"CreatePrimary","code":305,"rc":0,"command_len":163,"response_len":346,"bytes":650,"chip_selects":20,"polls":9,"aborts":0,"retries":0,"tpm_us":900,"at_ns":3000,"total_bytes":902,"total_chip_selects":47,"instructions":9050000,"stack_lowest":536891392}
{"event":"command","n":4,"name":"StartAuthSession","code":374,"rc":0,"command_len":43,"response_len":32,"bytes":150,"chip_selects":12,"polls":5,"aborts":0,"retries":0,"tpm_us":90,"at_ns":4000,"total_bytes":1052,"total_chip_selects":59,"instructions":9100000,"stack_lowest":536891392}
{"event":"command","n":5,"name":"FlushContext","code":357,"rc":0,"command_len":14,"response_len":10,"bytes":90,"chip_selects":10,"polls":5,"aborts":0,"retries":0,"tpm_us":30,"at_ns":5000,"total_bytes":1142,"total_chip_selects":69,"instructions":12000000,"stack_lowest":536891392}
"#;

fn recorded_login() -> LoginCost {
    let events = EVENTS
        .trim()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let commands: Vec<CommandEvent> = events
        .map(|event| match event {
            Event::Command(command) => command,
            other => panic!("{other:?}"),
        })
        .collect();
    LoginCost::of(&commands, 1_150, 70)
}

#[test]
fn a_recorded_login_is_summed_up_by_step() {
    let login = recorded_login();
    let floor = floor::flow([(12, 10), (12, 44), (163, 346), (43, 32), (14, 10)]);
    assert_eq!(
        (login.spi_bytes, login.spi_bytes_floor, login.chip_selects),
        (1_150, floor, 70)
    );
    assert_eq!(
        (login.tpm_commands, login.tpm_bytes, login.instructions),
        (5, 686, 12_000_000)
    );
    let steps = [
        ("boot", 50_000),
        ("identity", 9_000_000),
        ("proof", 2_950_000),
    ];
    assert_eq!(
        login.instructions_by_step,
        steps.map(|(name, count)| (name.to_owned(), count)).into()
    );
}

#[test]
fn a_login_without_commands_has_no_instructions() {
    assert_eq!(LoginCost::of(&[], 0, 0).instructions, 0);
}

/// What the verifier's benchmark printed.
const CRYPTO: &str = r#"{
  "verify_ratio": { "rsa2048": 0.962, "p256": 0.974 },
  "verify_per_second": { "rsa2048": 50432.1, "p256": 19000.0 },
  "bare_verify_per_second": { "rsa2048": 52400.5, "p256": 19500.0 },
  "make_credential_ratio": { "rsa2048": 0.955, "p256": 0.981 },
  "make_credential_per_second": { "rsa2048": 30100.0, "p256": 14200.0 },
  "bare_make_credential_per_second": { "rsa2048": 31500.0, "p256": 14500.0 }
}"#;

/// What `hil service` printed.
fn service() -> ServiceReport {
    serde_json::from_str(
        r#"{
  "logins_per_cpu_second": { "rsa2048": 1200.0, "p256": 1000.0 },
  "logins_per_second": { "rsa2048": 300.0, "p256": 900.0 },
  "renewals_per_cpu_second": { "rsa2048": 2400.0, "p256": 2000.0 },
  "renewals_per_second": { "rsa2048": 700.0, "p256": 1900.0 },
  "cpu_us_per_login": {
    "crypto": 300.0, "tls": 10.0, "http": 90.0, "store": 200.0, "audit": 50.0, "rest": 350.0, "all": 1000.0
  },
  "login_ms_at_half_load": { "p50": 4.5, "p99": 9.5 },
  "memory_per_session_bytes": 150.0,
  "memory_at_sessions": 100000,
  "store_rows_per_login": 4.0,
  "disk_bytes_per_login": 9000.0,
  "processors": 2
}"#,
    )
    .unwrap()
}

/// What the benchmark of the clouds printed.
const CLOUDS: &str = r#"{
  "instances": 1000, "accounts": 50, "logins": 20000, "ratio": 0.994,
  "slow": {"call_ms": 150, "calls": 1100, "calls_predicted": 1100, "cold_seconds": 5.1, "per_second": 2401.0},
  "fast": {"call_ms": 0, "calls": 1100, "calls_predicted": 1100, "cold_seconds": 0.9, "per_second": 2415.0}
}"#;

/// What the benchmark of the methods printed.
const METHODS: &str = r#"{
  "x509pop": { "p256": {
    "warm": { "signatures": 1, "per_second": 16000.0, "bare_per_second": 19000.0, "ratio": 0.842 },
    "cold": { "signatures": 3, "per_second": 5000.0, "bare_per_second": 6300.0, "ratio": 0.794 } } },
  "http_dns": { "none": {
    "warm": { "signatures": 0, "per_second": 400000.0 },
    "cold": { "signatures": 0, "per_second": 300000.0 } } }
}"#;

/// What was measured of the agent.
fn agent() -> HostAgentReport {
    serde_json::from_str(
        r#"{
  "agent_memory": { "resident": 9000000, "anonymous": 2000000, "file": 7000000, "peak": 9100000 },
  "agent_first_svid_ms": { "median": 60.5, "least": 40.1, "most": 99.9 },
  "agent_first_svid_cpu_ms": { "median": 12.5, "least": 12.1, "most": 14.0 },
  "agent_login_ms": { "median": 55.0, "least": 38.0, "most": 90.0 },
  "agent_starts": 15
}"#,
    )
    .unwrap()
}

fn bus() -> BusFlows {
    let flow = |spi_bytes| Flow {
        spi_bytes,
        spi_bytes_floor: spi_bytes,
        tpm_commands: 17,
        instructions: 1_000_000,
        virtual_ms: 8.0,
        estimated_seconds: [("SLB9672".to_owned(), 0.4)].into(),
        wolftpm: None,
        commands: Vec::new(),
    };
    let flows = |cold, warm| Flows {
        cold_login: flow(cold),
        renewal: flow(warm),
        warm_quote: flow(500),
    };
    BusFlows {
        board: "stm32f405".to_owned(),
        secure: flows(9_000, 1_000),
        plain: flows(6_000, 700),
    }
}

fn hosts() -> OfHosts {
    OfHosts {
        crypto: crypto::parse(CRYPTO).unwrap(),
        methods: methods::parse(METHODS).unwrap(),
        clouds: clouds::parse(CLOUDS).unwrap(),
        agent: agent(),
        bus: bus(),
        service: service(),
    }
}

#[test]
fn the_bench_document_has_its_keys_at_the_top() {
    let logins = [3, 1, 2].map(|extra| {
        let mut login = recorded_login();
        login.instructions += extra * 100_000;
        login.spi_bytes += extra;
        login
    });
    let report = BenchReport::of("stm32f405", &logins, hosts()).unwrap();
    let document = serde_json::to_value(&report).unwrap();
    assert_eq!(document["spi_bytes"], 1_153, "the worst");
    // 100 + 136 + 673 + 155 + 92
    assert_eq!(document["spi_bytes_floor"], 1_156);
    assert_eq!(document["spi_bytes_ratio"], 0.9974);
    assert_eq!(document["instructions"], 12_200_000, "the mean");
    // 100,000 / sqrt(3) / 12,200,000
    assert_eq!(document["instructions_error"], 0.0047);
    assert_eq!(
        (
            &document["instructions_least"],
            &document["instructions_most"]
        ),
        (&12_100_000.into(), &12_300_000.into())
    );
    assert_eq!(document["verify_ratio"]["rsa2048"], 0.962);
    assert_eq!(document["make_credential_ratio"]["p256"], 0.981);
    assert_eq!(document["bare_verify_per_second"]["p256"], 19_500.0);
    assert_eq!(document["logins_per_cpu_second"]["rsa2048"], 1_200.0);
    assert_eq!(document["login_ms_at_half_load"]["p99"], 9.5);
    assert_eq!(
        document["methods"]["x509pop"]["p256"]["warm"]["ratio"],
        0.842
    );
    assert_eq!(document["clouds"]["slow"]["calls"], 1100);
    assert_eq!(document["bus"]["secure"]["cold_login"]["spi_bytes"], 9_000);
    assert!(
        document["methods"]["http_dns"]["none"]["warm"]
            .get("ratio")
            .is_none()
    );
    assert_eq!(document["agent_memory"]["resident"], 9_000_000);
    assert_eq!(document["agent_first_svid_ms"]["median"], 60.5);
    assert_eq!(
        serde_json::from_value::<BenchReport>(document).unwrap(),
        report
    );
}

#[test]
fn figures_of_the_benchmark_that_are_missing_or_zero_are_refused() {
    assert!(crypto::parse(&CRYPTO.replace("\"verify_ratio\"", "\"verified\"")).is_err());
    assert!(crypto::parse(&CRYPTO.replace("0.962", "0")).is_err());
    assert!(crypto::parse("running 0 tests").is_err());
}

#[test]
fn figures_of_methods_that_are_missing_or_zero_are_refused() {
    assert!(methods::parse("{}").is_err());
    assert!(methods::parse(&METHODS.replace("\"ratio\": 0.794", "\"ratio\": 0")).is_err());
    assert!(methods::parse(&METHODS.replace(", \"ratio\": 0.794", "")).is_err());
    assert!(methods::parse(&METHODS.replace("400000.0", "0")).is_err());
}

#[test]
fn a_bench_without_a_login_is_refused() {
    assert!(BenchReport::of("stm32f405", &[], hosts()).is_err());
}

const BUDGET: Budget = Budget {
    flash: 49_152,
    ram: 16_384,
    stack: 10_240,
};

fn board(flash: u64, static_ram: u64, stacks: &[u64]) -> BoardSize {
    let scenarios = stacks.iter().map(|stack| Deepest {
        scenario: format!("{stack}"),
        stack: *stack,
    });
    BoardSize::of(
        ImageSize {
            flash,
            ram: static_ram,
        },
        ImageSize {
            flash: flash / 2,
            ram: static_ram / 2,
        },
        scenarios.collect(),
        BUDGET,
    )
}

#[test]
fn a_board_within_its_budgets_is_ok() {
    let size = board(49_152, 6_144, &[9_000, 10_240, 8_000]);
    assert_eq!((size.stack, size.ram), (Some(10_240), Some(16_384)));
    assert!(size.ok && size.over.is_empty(), "{size:?}");
}

#[test]
fn a_byte_over_any_budget_is_reported_by_name() {
    assert_eq!(board(49_153, 6_000, &[10_000]).over, ["flash"]);
    assert_eq!(board(40_000, 6_385, &[10_000]).over, ["ram"]);
    assert_eq!(board(40_000, 6_000, &[10_241, 9_000]).over, ["stack"]);
    assert!(!board(40_000, 6_000, &[10_241]).ok);
}

#[test]
fn a_board_that_nothing_can_run_has_no_stack_but_its_static_data_counts() {
    let size = board(40_000, 16_385, &[]);
    assert_eq!(
        (size.stack, size.ram, size.over),
        (None, None, vec!["ram".to_owned()])
    );
}

#[test]
fn the_image_under_embassy_has_a_budget_of_its_own() {
    let with = |flash, ram| {
        let budget = EmbassyImage {
            flash_max: 30_000,
            static_ram_max: 4_000,
        };
        board(40_000, 6_000, &[9_000]).with_embassy(ImageSize { flash, ram }, budget)
    };
    let size = with(30_000, 4_000);
    assert!(size.ok && size.over.is_empty(), "{size:?}");
    assert_eq!(
        serde_json::to_value(&size).unwrap()["embassy"]["budget"]["static_ram"],
        4_000
    );
    assert_eq!(with(30_001, 4_000).over, ["embassy flash"]);
    assert_eq!(with(30_000, 4_001).over, ["embassy static_ram"]);
    assert!(!with(30_000, 4_001).ok);
}

fn report(board: BoardSize, part: u64, builds: bool) -> SizeReport {
    let boards = BTreeMap::from([("stm32f405".to_owned(), board)]);
    SizeReport::of(
        boards,
        TpmPart::of(part),
        [("thumbv6m-none-eabi".to_owned(), builds)].into(),
    )
}

#[test]
fn the_size_document_has_each_board_twice_and_reads_back() {
    let report = report(board(45_000, 6_000, &[9_000]), 8_192, true);
    let document = report.to_json().unwrap();
    assert_eq!(document["boards"]["stm32f405"]["flash"], 45_000);
    assert_eq!(document["stm32f405"], document["boards"]["stm32f405"]);
    assert_eq!(document["stm32f405"]["budget"]["stack"], 10_240);
    assert_eq!(
        (&document["tpm_part"]["flash"], &document["tpm_part"]["ok"]),
        (&8_192.into(), &true.into())
    );
    assert_eq!(
        serde_json::from_value::<SizeReport>(document).unwrap(),
        report
    );
    assert!(report.ok);
}

#[test]
fn anything_over_makes_the_whole_report_fail() {
    let good = || board(45_000, 6_000, &[9_000]);
    assert!(!report(board(50_000, 6_000, &[9_000]), 8_192, true).ok);
    assert!(!report(good(), 8_193, true).ok);
    assert!(!report(good(), 8_192, false).ok);
}

const REGION: Region = Region {
    low: 0x2000_0000,
    high: 0x2000_1000,
};

#[test]
fn an_untouched_stack_counts_as_none_and_the_deepest_change_counts() {
    let mut memory = REGION.paint();
    assert_eq!(REGION.used(&memory).unwrap(), 0);
    memory[4_000] ^= 1;
    assert_eq!(REGION.used(&memory).unwrap(), 96);
    // A hole above the deepest byte changes nothing.
    memory[1_000] ^= 1;
    assert_eq!(REGION.used(&memory).unwrap(), 3_096);
    memory[0] ^= 1;
    assert_eq!(REGION.used(&memory).unwrap(), 4_096);
}

#[test]
fn zeroed_memory_counts_as_used() {
    assert_eq!(REGION.used(&vec![0; 4_096]).unwrap(), 4_096);
}

#[test]
fn a_stack_that_was_not_read_whole_is_refused() {
    assert!(REGION.used(&REGION.paint()[1..]).is_err());
}
