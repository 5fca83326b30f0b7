//! How many distinct values a second one core transforms, each beside the cost of the bare primitive
//! in the same run. No cache can help: every value is new. Measures kernels alone, neither reading nor
//! sending; `make bench` does that.
//!
//! Run it with `cargo bench --bench kernels --no-default-features`.

#![expect(clippy::expect_used, reason = "a measurement that cannot start has nothing to say")]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use arrow::array::{ArrayRef, StringArray, UInt32Array};
use fpe::ff1::{FF1, FlexibleNumeralString};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use veilflight::error::Result;
use veilflight::keys::{ColumnKeys, KeyRing, Secret};
use veilflight::pipeline::transform::{Bind, Counted, TokenMap, Transform, find};
use veilflight::policy::args::{self, Args, Value};

/// Values in a batch, as the scan delivers them.
const BATCH: usize = 65_536;
/// How long each figure is measured.
const SECONDS: f64 = 0.6;

fn main() {
    let texts = |value: &dyn Fn(u32) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..BATCH as u32).map(|n| value(scattered(n)))))
    };
    // Twenty bytes, as in the figure for the bare primitive.
    let names = texts(&|n| format!("user{n:010}@a.org"));
    let v4_text = texts(&|n| std::net::Ipv4Addr::from(n).to_string());
    let v4_numbers: ArrayRef =
        Arc::new(UInt32Array::from_iter_values((0..BATCH as u32).map(scattered)));
    let v6_text = texts(&|n| {
        let bits = (u128::from(n) << 96) | (u128::from(scattered(!n)) << 40) | u128::from(n);
        std::net::Ipv6Addr::from(bits).to_string()
    });
    let digits = texts(&|n| format!("{n:010}"));

    println!("{:<34} {:>10}   beside the bare primitive", "one core, distinct values", "M/s");
    let bare = bare_hmac();
    line("bare hmac, 20 bytes", bare, None);
    line("pseudonym.hmac", kernel("pseudonym", "hmac", &[], &names), Some((bare, "hmac")));
    let keep = [("keep", Value::Text("email_domain".to_owned()))];
    line(
        "pseudonym.hmac, e-mail domain",
        kernel("pseudonym", "hmac", &keep, &names),
        Some((bare, "hmac")),
    );

    let block = bare_aes();
    line("bare AES-128, one block at a time", block, None);
    let blocks = bare_aes_batch();
    line("bare AES-128, 512 blocks at a time", blocks, None);
    for method in ["crypto_pan", "ipcrypt_pfx"] {
        // A plain program spends this many blocks an address.
        let (v4, v6) = if method == "crypto_pan" { (32.0, 128.0) } else { (64.0, 256.0) };
        for (words, input, blocks) in
            [("v4 text", &v4_text, v4), ("v4 u32", &v4_numbers, v4), ("v6 text", &v6_text, v6)]
        {
            line(
                &format!("ip.{method}, {words}"),
                kernel("ip", method, &[], input),
                Some((block / blocks, "an AES block a bit")),
            );
        }
    }
    let library = bare_ipcrypt();
    line("ipcrypt-rs, pfx, v4", library, None);

    let bare = bare_ff1();
    line("bare fpe, 10 digits", bare, None);
    line("pseudonym.ff1", kernel("pseudonym", "ff1", &[], &digits), Some((bare, "fpe")));
    line("pseudonym.aes_siv", kernel("pseudonym", "aes_siv", &[], &names), None);
    line("pseudonym.token, known values", kernel("pseudonym", "token", &[], &names), None);
    scrub();
}

/// Names in the dictionary of [`scrub`].
const NAMES: usize = 10_000;

/// A kind of text: what it is called, and how one of them is made from a number and a user.
type KindOfText = (&'static str, fn(u32, &str) -> String);

/// What columns of job records hold, about as long as there.
const TEXTS: [KindOfText; 4] = [
    ("command lines", |n, user| {
        format!(
            "srun --mpi=pmix -n {} ./run_sim.sh --input=/scratch/{user}/case_{n}/mesh.h5 --steps {} \
             --restart=auto -o out.{n}.log",
            n % 512,
            n % 100_000
        )
    }),
    ("environments", |n, user| {
        format!(
            "POMS_TASK_ID={n} GRID_USER={user} EXPERIMENT=gm2 JOBSUBJOBID={n}.0@jobsub05.fnal.gov \
             RFCLNAME=prod_gm2_v09_{}.fcl,reco_{}.fcl PATH=/cvmfs/gm2.opensciencegrid.org/prod/bin:/usr/bin:/bin \
             OUT=/pnfs/gm2/scratch/users/{user}/out/run_{n}.root LANG=en_US.UTF-8",
            n % 40,
            n % 17
        )
    }),
    ("log lines", |n, user| {
        format!(
            "2024-01-15T08:{:02}:{:02} node{:04} slurmd[{}]: job {n}: user {user} exceeded memory limit \
             ({n} > 16384 kB), being killed; peer 10.{}.{}.{}",
            n % 60,
            n / 60 % 60,
            n % 4_000,
            n % 32_768,
            n >> 24,
            n >> 16 & 255,
            n >> 8 & 255
        )
    }),
    ("paths", |n, user| {
        format!("/gpfs/projects/climate/users/{user}/cmip6/r{}i1p1f1/tas_day_{n}.nc", n % 40)
    }),
];

/// Texts of a column.
const LINES: u32 = 8_192;

/// `scrub` by kind of text and by what is looked for, and beside it one alternation of the `regex` crate that
/// replaces the same names as words and does nothing else: megabytes a second of one core.
fn scrub() {
    let name = |n: u32| format!("user{:07}", n * 7919);
    // Half of the users of a text are in the dictionary.
    let line = |make: fn(u32, &str) -> String, n: u32| {
        let n = scattered(n);
        make(n, &name(n % (2 * NAMES as u32)))
    };
    let names: Vec<String> = (0..NAMES as u32).map(name).collect();
    let peer = regex::RegexBuilder::new(&format!(r"(?i-u:\b(?:{})\b)", names.join("|")))
        .size_limit(1 << 30)
        .dfa_size_limit(1 << 30)
        .build()
        .expect("an alternation");
    let none = Value::Texts(Vec::new());
    let plain = ("format", Value::Text("text".to_owned()));
    let words = ("words", Value::Texts(names));
    let columns: Vec<(&str, Vec<String>, ArrayRef)> = TEXTS
        .iter()
        .map(|(kind, make)| {
            let texts: Vec<String> = (0..LINES).map(|n| line(*make, n)).collect();
            let array: ArrayRef = Arc::new(StringArray::from_iter_values(&texts));
            (*kind, texts, array)
        })
        .collect();
    let mega = |texts: &[String], rate: f64| {
        let bytes = texts.iter().map(String::len).sum::<usize>() as f64;
        rate / texts.len() as f64 * bytes / 1e6
    };
    let head: String = columns.iter().map(|(kind, ..)| format!(" {kind:>14}")).collect();
    println!("\n{:<40}{head}", "scrub: MB/s of one core, distinct texts");
    let row = |label: &str, figure: &dyn Fn(&[String], &ArrayRef) -> f64| {
        let cells: String = columns
            .iter()
            .map(|(_, texts, array)| format!(" {:>14.1}", figure(texts, array)))
            .collect();
        println!("{label:<40}{cells}");
    };
    row("regex crate, 10,000 names and no more", &|texts, _| {
        let rate = rate(texts.len(), || {
            for text in texts {
                black_box(peer.replace_all(black_box(text), "x"));
            }
        });
        mega(texts, rate)
    });
    let transform = find("scrub", None).expect("a registered transform");
    let scrubbed = |label: &str, set: Vec<(&str, Value)>| {
        row(label, &|texts, array| mega(texts, bound(transform, &set, array)));
    };
    scrubbed("10,000 names", vec![words.clone(), plain.clone(), ("detect", none)]);
    scrubbed("10,000 names, all detectors", vec![words.clone(), plain.clone()]);
    scrubbed("the same, by key (format: auto)", vec![words]);
    // As the transform lists them.
    let detect = transform.spec().params.iter().find(|param| param.name == "detect");
    let kinds = match detect.and_then(|param| param.default) {
        Some(args::Default::Texts(kinds)) => kinds,
        _ => &[],
    };
    assert!(!kinds.is_empty(), "`scrub` has a list of what it detects");
    for kind in kinds {
        let detect = ("detect", Value::Texts(vec![(*kind).to_owned()]));
        scrubbed(&format!("{kind} alone, no names"), vec![detect, plain.clone()]);
    }
}

/// A permutation of all 32-bit numbers, so that every value is new and no prefix is favoured.
fn scattered(number: u32) -> u32 {
    let mixed = number.wrapping_mul(0x9e37_79b1);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b);
    mixed ^ (mixed >> 13)
}

fn line(name: &str, rate: f64, peer: Option<(f64, &str)>) {
    match peer {
        Some((peer, words)) => {
            println!("{name:<34} {:>10.3}   {:.2} x {words}", rate / 1e6, rate / peer);
        }
        None => println!("{name:<34} {:>10.3}", rate / 1e6),
    }
}

/// Values a second: the best of several short runs, which disturbs least on a shared machine.
fn rate(values: usize, mut work: impl FnMut()) -> f64 {
    work();
    let begin = std::time::Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed().as_secs_f64() < SECONDS {
        let start = std::time::Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
    }
    values as f64 / best
}

fn kernel(verb: &str, method: &str, set: &[(&str, Value)], input: &ArrayRef) -> f64 {
    let transform = find(verb, Some(method)).expect("a registered transform");
    bound(transform, set, input)
}

/// Values a second of one transform.
fn bound(transform: &dyn Transform, set: &[(&str, Value)], input: &ArrayRef) -> f64 {
    let args = set.iter().fold(Args::defaults(transform.spec().params), |args, (name, value)| {
        args.with(name, value.clone())
    });
    let ring = KeyRing::new(vec![(1, Secret::new([42; 32]))]).expect("a key ring");
    let keys = ColumnKeys::new(Arc::new(ring), "domain:bench", None, 1);
    let tokens: Arc<dyn TokenMap> = Arc::new(Counting);
    let bind = Bind {
        column: "bench",
        input: input.data_type(),
        reads: &[],
        keys: &keys,
        tokens: &tokens,
        learned: None,
        neighbours: &[],
        folder: Path::new("."),
    };
    let mut kernel = transform.kernel(&args, &bind).expect("a kernel");
    rate(input.len(), || {
        black_box(kernel.apply(black_box(input), &[]).expect("a transformed batch"));
    })
}

/// Numbers values in the order given; the figure for tokens is about values that are known already.
#[derive(Debug)]
struct Counting;

impl TokenMap for Counting {
    fn numbers(&self, _scope: &str, values: &[&str]) -> Result<Vec<u64>> {
        Ok((1..=values.len() as u64).collect())
    }

    fn count(&self, _scope: &str, _of: Counted<'_>, _rows: &[(u64, u64)]) -> Result<()> {
        Ok(())
    }
}

fn bare_hmac() -> f64 {
    let mac = Hmac::<Sha256>::new_from_slice(&[42; 32]).expect("a key");
    let messages: Vec<[u8; 20]> = (0..BATCH as u32)
        .map(|number| {
            let mut message = [b'x'; 20];
            message[..4].copy_from_slice(&number.to_le_bytes());
            message
        })
        .collect();
    rate(BATCH, || {
        for message in &messages {
            let mut mac = mac.clone();
            mac.update(message);
            black_box(mac.finalize().into_bytes());
        }
    })
}

fn bare_aes() -> f64 {
    let cipher = Aes128::new_from_slice(&[42; 16]).expect("a key");
    let mut blocks = vec![aes::Block::default(); BATCH];
    rate(BATCH, || {
        for block in &mut blocks {
            cipher.encrypt_block(block);
        }
        black_box(&mut blocks);
    })
}

fn bare_aes_batch() -> f64 {
    let cipher = Aes128::new_from_slice(&[42; 16]).expect("a key");
    let mut blocks = vec![aes::Block::default(); BATCH];
    rate(BATCH, || {
        for blocks in blocks.chunks_mut(512) {
            cipher.encrypt_blocks(blocks);
        }
        black_box(&mut blocks);
    })
}

fn bare_ipcrypt() -> f64 {
    let cipher = ipcrypt::IpcryptPfx::new(std::array::from_fn(|index| index as u8));
    rate(1024, || {
        for number in 0..1024 {
            let address = std::net::Ipv4Addr::from(scattered(number));
            black_box(cipher.encrypt_ipaddr(address.into()));
        }
    })
}

fn bare_ff1() -> f64 {
    let cipher = FF1::<aes::Aes256>::new(&[42; 32], 10).expect("a key");
    rate(1024, || {
        for number in 0..1024_u16 {
            let digits =
                vec![1, 2, 3, 4, 5, 6, number / 100 % 10, number / 10 % 10, number % 10, 0];
            let text = FlexibleNumeralString::from(digits);
            black_box(cipher.encrypt(&[], &text).expect("ten digits"));
        }
    })
}
