//! `release build`: makes a release and serves it. Shows how far it is; Ctrl-C ends it and leaves nothing.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use indicatif::{HumanBytes, HumanCount};
use tokio::signal::unix::{SignalKind, signal};

use super::{About, Hand, closing, reason};
use crate::cli::progress::{Progress, Unit};
use crate::error::{Code, Context, Result};
use crate::pipeline::release::build::{Built, Job, Watch, build};
use crate::pipeline::release::manifest::{Manifest, RANK};
use crate::pipeline::release::progress::Progress as Watched;
use crate::policy::{Policy, Source};
use crate::report::page::decimal;

const LONG: &str = "\
Build the release that a policy asks for, and serve it from then on.

The rows that the policy lets in are counted by their quasi-identifiers, the method decides what these \
become, and rows are rewritten by it into parquet files below the folder of state (mode 0600). The files are \
measured again by code of its own; a release that does not give what the policy asks is not served. Until \
the new release is complete, the old one is served, or nothing.

The same data and rules are built once: asking again says that the release is there. Another generalization \
of the same data is refused, and new data are built at the levels of the old: two versions can be held \
against each other. `dangerous_rerelease: true` in the policy allows both.

Ctrl-C ends a build and leaves nothing of it. One that was killed goes on where it had counted.

Exit codes: 0 built, or there already; 3 the rules must not, or cannot, be met; 1 anything else.";

const EXAMPLES: &str = "\
Examples:
  veilflight release build adult
  veilflight release build slurm_jobs --reason 'data of October' --json
  veilflight release build slurm_jobs --threads 8 --keep-old";

/// Build a release and serve it
#[derive(Debug, clap::Args)]
#[command(long_about = LONG, after_help = EXAMPLES)]
pub(super) struct Build {
    /// The dataset
    dataset: String,
    /// Why; it stands in the manifest and in the audit log
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    /// Keep the files of the release that this one replaces
    #[arg(long)]
    keep_old: bool,
    /// How many threads work [default: as many as processors]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Memory that counting may take, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    memory: usize,
    /// Print the manifest as JSON
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(super) fn run(&self, hand: &Hand, out: &mut dyn Write) -> anyhow::Result<u8> {
        let policy = hand.policy(&self.dataset)?;
        let lock = hand.releases.lock(&self.dataset)?;
        let reason = self.reason.as_deref();
        let about = About { dataset: &self.dataset, policy: Some(&policy), id: None, reason };
        let entry = hand.entry("ReleaseBuild", about)?;
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let shown = Shown::start(&policy);
        let job = Job {
            policy: &policy,
            releases: &hand.releases,
            lock: &lock,
            clock: &*hand.clock,
            reason: self.reason.clone(),
            keep: self.keep_old,
            threads: self.threads.unwrap_or_else(processors),
            memory_bytes: self.memory.max(16) << 20,
            watch: &shown,
        };
        let done = shown.until_interrupted().and_then(|()| build(&job));
        let built = closing(entry, done, |built| match built {
            Built::Made(manifest) => (manifest.rows.released, bytes(manifest)),
            Built::Exists(_) => (0, 0),
        })?;
        drop(shown);
        let (word, manifest) = match &built {
            Built::Made(manifest) => ("built", manifest),
            Built::Exists(manifest) => ("there already:", manifest),
        };
        if self.json {
            serde_json::to_writer_pretty(&mut *out, manifest)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{word} release {} of {}", manifest.id, manifest.dataset)?;
            tell(manifest, out)?;
        }
        Ok(0)
    }
}

fn bytes(manifest: &Manifest) -> u64 {
    manifest.files.iter().map(|part| part.bytes).sum()
}

/// What a release is, in a few lines.
pub(super) fn tell(manifest: &Manifest, out: &mut dyn Write) -> std::io::Result<()> {
    let rows = &manifest.rows;
    writeln!(
        out,
        "rows: {} of {}; {} suppressed ({:.2} %)",
        HumanCount(rows.released),
        HumanCount(rows.read),
        HumanCount(rows.suppressed),
        rows.suppressed_share * 100.0
    )?;
    writeln!(
        out,
        "classes: {}, the smallest of {} rows",
        HumanCount(rows.classes),
        HumanCount(rows.smallest)
    )?;
    let levels: Vec<String> = manifest
        .levels
        .iter()
        .map(|level| format!("{} {} of {}", level.column, level.level, level.last))
        .collect();
    let levels = if levels.is_empty() { String::new() } else { format!("; {}", levels.join(", ")) };
    writeln!(out, "method: {}{levels}", manifest.method)?;
    if let Some(of) = &manifest.levels_of {
        writeln!(out, "levels are those of release {of}")?;
    }
    for guarantee in &manifest.guarantees {
        let found = guarantee.achieved.map_or("no rows".to_owned(), |found| format!("{found}"));
        writeln!(out, "{}: asked {}, measured {found}", guarantee.model, guarantee.asked)?;
    }
    let (ranked, single): (Vec<_>, Vec<_>) =
        manifest.loss.iter().partition(|(name, _)| name.starts_with(RANK));
    for (measure, loss) in single {
        writeln!(out, "{measure}: {loss}")?;
    }
    if !ranked.is_empty() {
        let figures: Vec<String> = ranked.iter().map(|(_, loss)| loss.to_string()).collect();
        writeln!(out, "loss by column, the column that loses most first: {}", figures.join(", "))?;
    }
    for (measure, risk) in &manifest.risk {
        // What a manifest of another version names is told by its name.
        let name = match measure.as_str() {
            "prosecutor_max" => "highest risk that a row is matched with its person",
            "marketer" => {
                "average risk, and share of rows that are matched rightly when all are tried"
            }
            name => name,
        };
        writeln!(out, "{name}: {} %", decimal(risk * 100.0, 4))?;
    }
    let files = manifest.files.len();
    writeln!(
        out,
        "files: {files}, {}; data {}, rules {}",
        HumanBytes(bytes(manifest)),
        short(&manifest.data_version),
        short(&manifest.release_digest)
    )
}

/// What a scan of the source counts: rows where files tell them, else bytes.
pub(in crate::cli) const fn unit_of(policy: &Policy) -> Unit {
    match policy.source {
        Source::Parquet { .. } => Unit::Rows,
        Source::Delimited { .. } => Unit::Bytes,
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Shows how far a build is, and hears when it should end.
struct Shown {
    progress: Progress,
    of: AtomicU64,
    cancelled: Arc<AtomicBool>,
}

impl Shown {
    fn start(policy: &Policy) -> Self {
        let progress = Progress::start("building", unit_of(policy));
        Self { progress, of: AtomicU64::new(0), cancelled: Arc::default() }
    }

    /// From now on Ctrl-C and SIGTERM end the build, which cleans up, and not the process.
    fn until_interrupted(&self) -> Result<()> {
        let failed = || "signals cannot be received".to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context(Code::Config, failed)?;
        let entered = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt()).context(Code::Config, failed)?;
        let mut terminate = signal(SignalKind::terminate()).context(Code::Config, failed)?;
        drop(entered);
        let cancelled = Arc::clone(&self.cancelled);
        let wait = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            cancelled.store(true, Ordering::Relaxed);
        };
        // The thread ends with the process.
        let spawned = std::thread::Builder::new().name("signals".to_owned()).spawn(wait);
        spawned.map(drop).context(Code::Config, failed)
    }
}

impl Watched for Shown {
    fn at(&self, done: u64, of: u64) {
        if self.of.swap(of, Ordering::Relaxed) != of {
            self.progress.expect(of);
        }
        self.progress.position(done);
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl Watch for Shown {
    fn phase(&self, what: &'static str) {
        self.progress.message(what);
        self.progress.position(0);
    }
}
