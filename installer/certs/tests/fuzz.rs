//! The fuzz targets on a stable toolchain: seeded mutations of their corpus.
//!
//! `cargo xtask fuzz TARGET` searches on with coverage. What it finds goes into
//! `fuzz/corpus/TARGET`, and from then on is tried here.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo fuzz")]
mod targets;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Mutations of a run, shared by the targets.
const MUTATIONS: usize = 20_000;
/// What one input may take, on a busy machine.
const SLOWEST: Duration = Duration::from_secs(5);
/// By how much the process may grow over all inputs.
const MEMORY_MAX: usize = 64 << 20;
/// Inputs do not grow without end.
const LENGTH_MAX: usize = 64 << 10;

/// Takes any bytes.
type Target = fn(&[u8]);

/// A small generator (xorshift64*): the same inputs in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below the limit, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// Bytes that mean something in DER or PEM.
const TELLING: [u8; 16] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x13, 0x17, 0x30, 0x31, 0x7f, 0x80, 0x84, 0xff,
];

fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        if data.is_empty() {
            data.push(random.byte());
        }
        let at = random.below(data.len());
        let end = (at + 1 + random.below(32)).min(data.len());
        match random.below(9) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.byte(),
            2 => data[at] = TELLING[random.below(TELLING.len())],
            3 => data[at] = data[at].wrapping_add(1),
            4 => data.truncate(at),
            5 => drop(data.drain(at..end)),
            6 => {
                let copy = data[at..end].to_vec();
                let to = random.below(data.len());
                data.splice(to..to, copy);
            }
            7 => data.insert(at, random.byte()),
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len().max(1)).min(other.len());
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
        }
        data.truncate(LENGTH_MAX);
    }
    data
}

/// Wraps bytes into PEM, so that what is damaged is not the base64.
fn wrap(data: &[u8], random: &mut Random) -> Vec<u8> {
    let labels = [
        "CERTIFICATE",
        "PRIVATE KEY",
        "EC PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PARAMETERS",
        "X",
    ];
    let label = labels[random.below(labels.len())];
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(data)
    )
    .into_bytes()
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Most memory that this process ever had, in bytes.
fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kibibytes.unwrap_or(0) << 10
}

#[test]
fn nothing_that_is_read_makes_it_panic_or_hang() {
    let targets: [(&str, Target); 6] = [
        ("text", targets::text),
        ("certificate", targets::certificate),
        ("chain", targets::chain),
        ("key", targets::key),
        ("authority", targets::authority),
        ("sealed", targets::sealed),
    ];
    for (name, target) in targets {
        let seeds = corpus(name);
        for seed in &seeds {
            target(seed);
        }
        let before = peak_memory();
        let mut random = Random(0x5111_ca00 + name.len() as u64);
        let began = Instant::now();
        let mut slowest = Duration::ZERO;
        for round in 0..MUTATIONS / targets.len() {
            let mut input = mutate(&seeds, &mut random);
            if name == "text" && round % 2 == 0 {
                input = wrap(&input, &mut random);
            }
            let start = Instant::now();
            let done = panic::catch_unwind(AssertUnwindSafe(|| target(&input)));
            slowest = slowest.max(start.elapsed());
            assert!(
                done.is_ok() && start.elapsed() < SLOWEST,
                "{name}, round {round}, {:?}: {}",
                start.elapsed(),
                STANDARD.encode(&input)
            );
        }
        let grown = peak_memory().saturating_sub(before);
        println!(
            "{name:<12} {:>6} inputs in {:.1?}, slowest {slowest:.1?}, {} KiB more memory",
            MUTATIONS / targets.len(),
            began.elapsed(),
            grown >> 10
        );
        assert!(grown < MEMORY_MAX, "{name}: {grown} bytes more");
    }
}

/// Repairing an order compares certificates with each other: many of them must
/// not take forever.
#[test]
fn many_certificates_are_refused_or_quickly_done() {
    let began = Instant::now();
    let one = &corpus("certificate")[0];
    let many = one.repeat(3000);
    targets::chain(&many);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
