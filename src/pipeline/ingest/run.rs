//! One run: what is asked for meets what the folder already holds, then one thread cuts text into chunks,
//! some encode them, and one writes them in order. Knows no formats.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Schema, SchemaRef};

use super::chunk::{Chunk, Chunks, Mark, Spare};
use super::column::Column;
use super::encode::{Counts, Encoder, Group};
use super::format::{Format, Options, Plan, Reader};
use super::input::Input;
use super::manifest::{MANIFEST, Manifest, Progress};
use super::normalize;
use super::output::{Output, remove};
use crate::error::{Code, Context, Error, Result};

/// The schema metadata that names the format.
pub const FORMAT: &str = "veilflight.format";

/// What to bring in, and where to.
#[derive(Debug, Clone)]
pub struct Request {
    /// The format of all inputs.
    pub format: &'static dyn Format,
    /// The files.
    pub inputs: Vec<PathBuf>,
    /// The folder of the output.
    pub out: PathBuf,
    /// Where rejects go; none for `rejects.csv` in the folder.
    pub rejects: Option<PathBuf>,
    /// How inputs are read.
    pub options: Options,
    /// Whether columns get the names that all schedulers share.
    pub normalize: bool,
    /// What becomes of earlier output.
    pub earlier: Earlier,
    /// How much at once.
    pub limits: Limits,
}

/// What becomes of output that the folder already holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Earlier {
    /// A run that was stopped goes on; anything else is an error.
    #[default]
    Resume,
    /// The inputs are added to it.
    Append,
    /// It goes.
    Overwrite,
}

/// How much at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// About how many rows a row group has.
    pub rows_per_group: usize,
    /// At about how many rows a file ends.
    pub rows_per_file: u64,
    /// How many threads encode.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { rows_per_group: 1 << 17, rows_per_file: 1 << 20, threads: cores.min(16) }
    }
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What became of the records of all inputs of this run, work before a stop included.
    pub counts: Counts,
    /// What of it was done before this run went on.
    pub earlier: Counts,
    /// How many files hold it.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// How many columns there are.
    pub columns: usize,
    /// How many inputs there were.
    pub inputs: usize,
    /// Where rejects are.
    pub rejects: PathBuf,
}

/// Hears how far a run is, from several threads.
pub trait Observer: Send + Sync {
    /// So many bytes of the inputs' files will be read.
    fn begin(&self, bytes: u64);
    /// So many more were read.
    fn read(&self, bytes: u64);
}

/// Brings data in.
///
/// # Errors
/// When inputs cannot be read or do not fit the format, or the folder holds something else.
pub fn run(request: &Request, observer: &Arc<dyn Observer>) -> Result<Summary> {
    let inputs =
        request.inputs.iter().map(|path| Input::look(path)).collect::<Result<Vec<Input>>>()?;
    let distinct: BTreeSet<&Path> = inputs.iter().map(Input::path).collect();
    if distinct.len() < inputs.len() {
        return Err(Error::new(Code::Usage, "one file is named twice"));
    }
    if !request.options.records.is_empty() && !request.format.has_records() {
        let text = format!("`--records` says nothing of `{}`; leave it out", request.format.name());
        return Err(Error::new(Code::Usage, text));
    }
    let plan = request.format.plan(&inputs, &request.options)?;
    let columns = named(request, plan.columns())?;
    let schema = schema(request.format, &columns, plan.notes());
    let manifest = prepare(request, &inputs, &schema)?;
    let first = manifest.inputs.len() - inputs.len();
    let earlier = sum(&manifest, first);
    let mut output =
        Output::open(&request.out, manifest, Arc::clone(&schema), request.limits.rows_per_file)?;
    let encoder = Encoder { columns, zone: request.options.zone, schema };
    let spare = Spare::default();
    let (plan, encoder) = (&*plan, &encoder);
    let work = Work { request, inputs: &inputs, plan, encoder, first, observer, spare };
    observer.begin(inputs.iter().map(|input| input.stamp().bytes).sum());
    work.run(&mut output)?;
    let manifest = output.manifest();
    let files = || manifest.inputs.iter().skip(first).flat_map(|input| &input.parts);
    Ok(Summary {
        counts: sum(manifest, first),
        earlier,
        files: files().count(),
        bytes: files().map(|part| part.bytes).sum(),
        columns: encoder.columns.len(),
        inputs: inputs.len(),
        rejects: manifest.rejects.clone(),
    })
}

fn sum(manifest: &Manifest, first: usize) -> Counts {
    let mut counts = Counts::default();
    manifest.inputs.iter().skip(first).for_each(|input| counts += input.counts);
    counts
}

/// The columns under the names that they get.
fn named(request: &Request, columns: &[Column]) -> Result<Vec<Column>> {
    let columns = if request.normalize {
        normalize::columns(request.format.name(), columns)
    } else {
        columns.to_vec()
    };
    let mut names = BTreeSet::new();
    for column in &columns {
        if !names.insert(column.name.as_str()) {
            let text = format!("there are two columns named `{}`", column.name);
            return Err(Error::new(Code::Usage, text));
        }
    }
    if columns.is_empty() {
        return Err(Error::new(Code::Usage, "the inputs have no columns"));
    }
    Ok(columns)
}

fn schema(format: &dyn Format, columns: &[Column], notes: &[(String, String)]) -> SchemaRef {
    let mut metadata: HashMap<String, String> = notes.iter().cloned().collect();
    metadata.insert(FORMAT.to_owned(), format.name().to_owned());
    let fields: Vec<_> = columns.iter().map(Column::field).collect();
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// What the folder holds decides where the run begins.
fn prepare(request: &Request, inputs: &[Input], schema: &Schema) -> Result<Manifest> {
    let out = &request.out;
    let naming = || format!("`{}` cannot be made", out.display());
    // PRIVACY: what goes in is raw.
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(out).context(Code::Usage, naming)?;
    let rejects = match &request.rejects {
        Some(path) => std::path::absolute(path).context(Code::Usage, naming)?,
        None => out.join("rejects.csv"),
    };
    let columns =
        |field: &arrow::datatypes::FieldRef| (field.name().clone(), field.data_type().to_string());
    let mut manifest = Manifest {
        version: 1,
        format: request.format.name().to_owned(),
        options: format!("{:?} normalize: {}", request.options, request.normalize),
        columns: schema.fields().iter().map(columns).collect(),
        rejects,
        rejects_bytes: 0,
        inputs: Vec::new(),
    };
    let mut found = Manifest::read(out)?;
    if let Some(old) = found.take_if(|_| request.earlier == Earlier::Overwrite) {
        remove(out, &old)?;
    }
    let known: Vec<String> = found.iter().flat_map(Manifest::files).map(str::to_owned).collect();
    let told = request.earlier != Earlier::Resume;
    let is_own = |name: &str| known.iter().any(|known| known == name);
    if let Some(name) = foreign(out, &is_own)?.filter(|_| !told) {
        let half = found.is_some().then_some("of a part that was being finished");
        // A part that got its name while its run was stopped is written again.
        if half.is_none() || !found.as_ref().is_some_and(|old| is_next(old, &name)) {
            let text = format!(
                "`{}` holds `{name}`, which is of no run here; name another folder, or write \
                 `--append` to have both in one",
                out.display()
            );
            return Err(Error::new(Code::Usage, text));
        }
    }
    match found {
        None => {
            if manifest.rejects.exists() {
                let text = format!("`{}` is there already", manifest.rejects.display());
                return Err(Error::new(Code::Usage, text));
            }
        }
        Some(old) => {
            let same = old.format == manifest.format
                && old.options == manifest.options
                && old.columns == manifest.columns;
            let add = request.earlier == Earlier::Append;
            if !same {
                let text = format!(
                    "`{}` holds the output of a run with another format, other options or other \
                     columns (see `{MANIFEST}`); name another folder, or write `--overwrite`",
                    out.display()
                );
                return Err(Error::new(Code::Usage, text));
            }
            let stamps: Vec<_> = inputs.iter().map(Input::stamp).collect();
            let tail = old.inputs.len().saturating_sub(stamps.len());
            let goes_on = old.inputs.iter().skip(tail).map(|input| &input.stamp).eq(stamps);
            if goes_on && !old.is_done() {
                return Ok(old);
            }
            if !add || !old.is_done() {
                let what = if old.is_done() {
                    "the output of a run that is finished; write `--append` to add to it"
                } else {
                    "the output of a run that was stopped, with other inputs, or they changed \
                     since; name the same inputs in the same order to go on"
                };
                let text =
                    format!("`{}` holds {what}, or `--overwrite` to begin anew", out.display());
                return Err(Error::new(Code::Usage, text));
            }
            for input in inputs {
                if old.inputs.iter().any(|old| old.stamp.path == input.path()) {
                    let text = format!("`{}` was brought in already", input.path().display());
                    return Err(Error::new(Code::Usage, text));
                }
            }
            manifest = old;
        }
    }
    for input in inputs {
        let stem = unused(&manifest, out, &input.stem());
        manifest.inputs.push(Progress {
            stamp: input.stamp().clone(),
            stem,
            parts: Vec::new(),
            at: None,
            counts: Counts::default(),
            done: false,
        });
    }
    Ok(manifest)
}

/// A parquet file in the folder that is not ours.
fn foreign(folder: &Path, is_own: &dyn Fn(&str) -> bool) -> Result<Option<String>> {
    let naming = || format!("`{}` cannot be listed", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).context(Code::Usage, naming)? {
        let name = entry.context(Code::Usage, naming)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".parquet") && !is_own(&name) {
            names.push(name);
        }
    }
    Ok(names.into_iter().min())
}

/// Whether a file is the next part of an input that is not done.
fn is_next(manifest: &Manifest, name: &str) -> bool {
    manifest.inputs.iter().any(|input| {
        !input.done && name == format!("{}-{:05}.parquet", input.stem, input.parts.len())
    })
}

/// A stem that no other input's files begin with.
fn unused(manifest: &Manifest, folder: &Path, stem: &str) -> String {
    let taken = |stem: &str| {
        manifest.inputs.iter().any(|input| input.stem == stem)
            || folder.join(format!("{stem}-00000.parquet")).exists()
    };
    let mut name = stem.to_owned();
    let mut count = 1_u32;
    while taken(&name) {
        count += 1;
        name = format!("{stem}-{count}");
    }
    name
}

/// What threads share.
struct Work<'a> {
    request: &'a Request,
    inputs: &'a [Input],
    plan: &'a dyn Plan,
    encoder: &'a Encoder,
    /// Where this run's inputs begin in the manifest.
    first: usize,
    observer: &'a Arc<dyn Observer>,
    spare: Spare,
}

/// A chunk on its way, with its place in the order.
struct Job {
    place: u64,
    input: usize,
    chunk: Chunk,
    reader: Arc<dyn Reader>,
}

/// What comes back.
enum Done {
    Group(usize, Box<Group>),
    End(usize, Mark),
}

impl Work<'_> {
    fn run(&self, output: &mut Output) -> Result<()> {
        let threads = self.request.limits.threads.max(1);
        let marks: Vec<_> = self
            .inputs
            .iter()
            .zip(output.manifest().inputs.iter().skip(self.first))
            .map(|(input, progress)| (input, progress.at, progress.done))
            .collect();
        std::thread::scope(|scope| {
            let (jobs, todo) = sync_channel::<Job>(1);
            let (results, done) = channel::<(u64, Result<Done>)>();
            // INVARIANT: so many chunks are in memory at once, however long the inputs are.
            let (permit, permits) = channel::<()>();
            for _ in 0..threads + 2 {
                let _ = permit.send(());
            }
            let todo = Arc::new(Mutex::new(todo));
            for _ in 0..threads {
                let (todo, results) = (Arc::clone(&todo), results.clone());
                scope.spawn(move || {
                    self.encode(&todo, |place, done| results.send((place, done)).is_ok())
                });
            }
            scope.spawn(move || {
                let mut place = 0;
                for (at, (input, from, finished)) in marks.into_iter().enumerate() {
                    let cut = if finished {
                        self.observer.read(input.stamp().bytes);
                        Ok(None)
                    } else {
                        self.cut(at, input, from, &mut place, &permits, &jobs)
                    };
                    match cut {
                        Ok(None) => {}
                        Ok(Some(end)) => {
                            let _ = results.send((place, Ok(Done::End(at, end))));
                            place += 1;
                        }
                        Err(error) => {
                            let _ = results.send((place, Err(error)));
                            return;
                        }
                    }
                }
            });
            self.write(output, &done, &permit)
        })
    }

    /// Cuts one input; gives its end, or none when nobody waits for more.
    fn cut(
        &self,
        at: usize,
        input: &Input,
        from: Option<Mark>,
        place: &mut u64,
        permits: &Receiver<()>,
        jobs: &SyncSender<Job>,
    ) -> Result<Option<Mark>> {
        let observer = Arc::clone(self.observer);
        let rows = self.request.limits.rows_per_group;
        let seen = move |bytes| observer.read(bytes);
        let mut chunks = Chunks::open(input, self.plan, rows, from, seen)?.with_spare(&self.spare);
        loop {
            if permits.recv().is_err() {
                return Ok(None);
            }
            let Some(chunk) = chunks.next()? else { break };
            let job = Job { place: *place, input: at, chunk, reader: Arc::clone(chunks.reader()) };
            if jobs.send(job).is_err() {
                return Ok(None);
            }
            *place += 1;
        }
        Ok(Some(chunks.at()))
    }

    /// Encodes chunks until there are no more.
    fn encode(&self, todo: &Mutex<Receiver<Job>>, mut tell: impl FnMut(u64, Result<Done>) -> bool) {
        loop {
            let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let name = self.inputs.get(job.input).map(|input| input.path().display().to_string());
            // A chunk that never comes back would be waited for.
            let group = catch_unwind(AssertUnwindSafe(|| {
                self.encoder.encode(&job.chunk, &*job.reader, &name.unwrap_or_default())
            }));
            let group = group
                .unwrap_or_else(|_| Err(Error::new(Code::Internal, "a reader panicked")))
                .map(|group| Done::Group(job.input, Box::new(group)));
            self.spare.give(job.chunk.text);
            if !tell(job.place, group) {
                return;
            }
        }
    }

    /// Writes what comes back, in order.
    fn write(
        &self,
        output: &mut Output,
        done: &Receiver<(u64, Result<Done>)>,
        permit: &std::sync::mpsc::Sender<()>,
    ) -> Result<()> {
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        for (place, result) in done {
            waiting.insert(place, result);
            while let Some(result) = waiting.remove(&next) {
                next += 1;
                match result? {
                    Done::Group(input, group) => output.add(self.first + input, *group)?,
                    Done::End(input, at) => output.end(self.first + input, at)?,
                }
                // Nobody waits for it after the last chunk.
                let _ = permit.send(());
            }
        }
        // A thread that panicked ends the scope with its panic; this is for one that lost its chunk.
        if output.manifest().inputs.iter().skip(self.first).any(|input| !input.done) {
            return Err(Error::new(Code::Internal, "not all of the inputs was read"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
