//! How much two tables that differ by one person can be told apart by answers over the wire, measured: two servers,
//! parquet files without and with a person, and the same questions.
//!
//! Part of the crate's own tests, and not of the integration binary: there alone bounding can be switched off.
//!
//! What is measured is a lower bound of epsilon that holds with near certainty (Jagielski, Ullman and Oprea 2020,
//! arXiv 2006.07709): the chance of an event with the person, from below, over its chance without, from above, both by
//! Clopper and Pearson. The event is the one where the ratio of the mechanism's own chances is greatest. Each
//! group has a person of its own, and each person is a trial (Steinke, Nasr and Jagielski 2023, arXiv 2305.08846): 600
//! trials an answer. They are independent: nobody is in two groups' trials, and each group has noise of its own.
//! Gaussian noise has no epsilon; there the least distance of two normal distributions is measured that tells the
//! events as well apart (Nasr and others 2023, arXiv 2302.07956), which is epsilon for rho = epsilon^2 / 2.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type};
use arrow_flight::FlightDescriptor;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ArrowWriter;
use prost::Message;

use crate::shared::every_case;
use crate::site::{Client, Site, ticket, with_token, write_policy};

/// Groups of which each has a person of its own.
const GROUPS: usize = 600;

/// How unlikely each bound is wrong. A measurement has four; of all below fewer than fifty are held against epsilon, so
/// that by this alone a right server fails these tests once in two million times. By the chances of the events, which
/// are known, it is less: what is measured lies seven and more standard deviations below 1 where hundreds of answers
/// have 600 trials (2.5e-14 each), and 5.9 where 120 answers are one trial each (1.9e-9).
const ALPHA: f64 = 1e-8;

/// A row: who, site, queue, hours, load.
type Job = (String, String, String, i64, i64);

/// In each group eight rows of two others, in each of its three queues some of the person's, if they are there.
fn groups(with: bool) -> Vec<Job> {
    let mut all = Vec::new();
    for group in 0..GROUPS {
        let site = format!("s{group:04}");
        let queue = |at: usize| format!("q{group:04}-{at}");
        for row in 0..8 {
            all.push((format!("other-{group}-{}", row % 2), site.clone(), queue(0), 0, 0));
        }
        for row in 0..if with { 24 } else { 0 } {
            all.push((format!("person-{group}"), site.clone(), queue(row % 3), 5, 100));
        }
    }
    all
}

/// Three hundred persons with six rows each, in one queue each, and one person with thousands in forty queues.
fn one_among_many(with: bool) -> Vec<Job> {
    let queue = |at: usize| format!("q{at:02}");
    let job = |who: String, at: usize| (who, "s".to_owned(), queue(at), 1, 1);
    let mut all: Vec<Job> =
        (0..1_800).map(|row| job(format!("other-{}", row % 300), row % 300 % 40)).collect();
    all.extend((0..if with { 6_000 } else { 0 }).map(|row| job("person".to_owned(), row % 40)));
    all
}

fn write(path: &Path, jobs: &[Job]) {
    let text = |of: fn(&Job) -> &String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(jobs.iter().map(of)))
    };
    let number = |of: fn(&Job) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(jobs.iter().map(of)))
    };
    let batch = RecordBatch::try_from_iter([
        ("User", text(|job| &job.0)),
        ("Site", text(|job| &job.1)),
        ("Queue", text(|job| &job.2)),
        ("Hours", number(|job| job.3)),
        ("Load", number(|job| job.4)),
    ])
    .unwrap();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// How many datasets with zero-concentrated accounting there are; the cap of one is soon spent.
const GAUSSIAN: usize = 16;

/// A server with the persons or without them.
async fn served(with: bool) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let policies = folder.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    write(&policies.join("groups.parquet"), &groups(with));
    write(&policies.join("one.parquet"), &one_among_many(with));
    let lines = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join("\n");
    let sites = lines(&mut (0..GROUPS).map(|group| format!("s{group:04}")));
    let queues = lines(&mut (0..3 * GROUPS).map(|at| format!("q{:04}-{}", at / 3, at % 3)));
    std::fs::write(policies.join("sites.txt"), sites).unwrap();
    std::fs::write(policies.join("queues.txt"), queues).unwrap();
    std::fs::write(policies.join("few.txt"), lines(&mut (0..40).map(|at| format!("q{at:02}"))))
        .unwrap();
    let mut datasets = vec![
        ("laplace".to_owned(), "groups", "", "0", "queues.txt"),
        ("single".to_owned(), "one", "", "0", "few.txt"),
        // In the test build this name switches bounding off.
        ("unbounded".to_owned(), "one", "", "0", "few.txt"),
    ];
    let zcdp = "privacy: {epsilon: 20, delta: 1e-5, accounting: zcdp}\n";
    let gaussian = |at| (format!("gaussian{at}"), "groups", zcdp, "1e-5", "queues.txt");
    datasets.extend((0..GAUSSIAN).map(gaussian));
    for (dataset, file, privacy, delta, queues) in datasets {
        let mut policy = format!(
            "version: 1\ndataset: {dataset}\nsource: {{parquet: {file}.parquet}}\nunit: User\n\
             columns: {{User: drop, Site: keep, Queue: keep, Hours: keep, Load: keep}}\n{privacy}grants:\n"
        );
        let keys = if file == "one" { "" } else { "Site: {file: sites.txt}, " };
        for partner in PARTNERS {
            let groups_max = if partner.starts_with("one") { 1 } else { 3 };
            policy.push_str(&format!(
                "  - {{partner: {partner}, access: dp, epsilon: 20, delta: {delta}, groups_max: {groups_max}, \
                 rows_max: 4, bounds: {{Hours: [0, 100], Load: [0, 100]}}, \
                 keys: {{{keys}Queue: {{file: {queues}}}}}, query: {{epsilon: 1}}}}\n"
            ));
        }
        write_policy(folder.path(), &format!("{dataset}.yaml"), &policy);
    }
    Site::start_with(folder, &[("noise_tick_ms", "1")]).await
}

/// Partners, by how many groups a person is in for them; a budget is good for twenty answers of epsilon 1.
const PARTNERS: [&str; 20] = [
    "one-0", "one-1", "one-2", "one-3", "one-4", "one-5", "one-6", "one-7", "one-8", "one-9",
    "one-10", "one-11", "three-0", "three-1", "three-2", "three-3", "three-4", "three-5",
    "three-6", "three-7",
];

/// Two servers, and clients of both.
struct Sides {
    sites: [Site; 2],
    clients: [Client; 2],
    tokens: [Vec<(String, String)>; 2],
}

/// Answers without the person and with them: of each the named columns, as numbers.
type Answers = [Vec<Vec<Vec<f64>>>; 2];

impl Sides {
    async fn new() -> Self {
        let (without, with) = tokio::join!(served(false), served(true));
        let tokens = [&without, &with].map(|site| {
            PARTNERS.iter().map(|name| ((*name).to_owned(), site.partner(name))).collect()
        });
        let clients = [without.client().await, with.client().await];
        Self { sites: [without, with], clients, tokens }
    }

    /// Asks both the same, as one partner, `times` times. Epsilons differ by millionths, so that no answer is one
    /// that was stored.
    async fn ask(
        &self,
        partner: &str,
        sql: &str,
        columns: &[&str],
        epsilon: f64,
        times: usize,
    ) -> Answers {
        let side = |at: usize| {
            let (_, token) = self.tokens[at].iter().find(|(name, _)| name == partner).unwrap();
            let client = self.clients[at].clone();
            async move {
                let mut seen = Vec::new();
                for number in 0..times {
                    let epsilon = format!("{:.6}", epsilon - number as f64 * 1e-6);
                    seen.push(answer(&client, token, sql, &epsilon, columns).await);
                }
                seen
            }
        };
        let (without, with) = tokio::join!(side(0), side(1));
        [without, with]
    }

    async fn stop(self) {
        for site in self.sites {
            site.stop().await;
        }
    }
}

/// One answer over the wire: an info, its ticket, the rows.
async fn answer(
    client: &Client,
    token: &str,
    sql: &str,
    epsilon: &str,
    columns: &[&str],
) -> Vec<Vec<f64>> {
    let mut client = client.clone();
    let command = CommandStatementQuery { query: sql.to_owned(), transaction_id: None };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let mut request = with_token(token, descriptor);
    request.metadata_mut().insert("veilflight-epsilon", epsilon.parse().unwrap());
    let info = client.get_flight_info(request).await.unwrap().into_inner();
    let messages = client.do_get(with_token(token, ticket(&info, 0))).await.unwrap().into_inner();
    let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status))).boxed();
    let batches: Vec<RecordBatch> =
        FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap();
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    let numbers = |name: &&str| {
        let column = cast(&all[*name], &DataType::Float64).unwrap();
        column.as_primitive::<Float64Type>().values().to_vec()
    };
    columns.iter().map(numbers).collect()
}

/// How often an event was seen in so many trials, without the person and with them.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    times: usize,
    without: usize,
    with: usize,
}

impl Seen {
    /// Counts the trials of answers: `event` says what it saw in each trial of one.
    fn count(&mut self, answers: &Answers, event: impl Fn(&[Vec<f64>]) -> Vec<bool>) {
        let hits = |side: &Vec<Vec<Vec<f64>>>| -> (usize, usize) {
            let each = side.iter().map(|answer| event(answer));
            each.fold((0, 0), |(times, hits), trials| {
                (times + trials.len(), hits + trials.iter().filter(|hit| **hit).count())
            })
        };
        let ((times, without), (same, with)) = (hits(&answers[0]), hits(&answers[1]));
        assert_eq!(times, same);
        self.times += times;
        self.without += without;
        self.with += with;
    }

    /// A lower bound of epsilon, from the event and from its contrary.
    fn epsilon(self) -> f64 {
        let ratio = |rare: usize, common: usize| {
            (lower(common, self.times, ALPHA) / upper(rare, self.times, ALPHA)).ln()
        };
        ratio(self.without, self.with).max(ratio(self.times - self.with, self.times - self.without))
    }

    /// A lower bound of the distance, in standard deviations, of two normal distributions.
    fn distance(self) -> f64 {
        quantile(lower(self.with, self.times, ALPHA))
            - quantile(upper(self.without, self.times, ALPHA))
    }
}

/// The chance of at most `hits` of `times`, each with chance `p`.
fn at_most(hits: usize, times: usize, p: f64) -> f64 {
    let (mut term, mut sum) = ((1.0 - p).ln() * times as f64, 0.0);
    let odds = (p / (1.0 - p)).ln();
    for k in 0..=hits {
        sum += term.exp();
        term += ((times - k) as f64 / (k + 1) as f64).ln() + odds;
    }
    sum
}

/// The bound of Clopper and Pearson: the largest chance that gives at most `hits` of `times` with a chance of
/// `alpha`.
fn upper(hits: usize, times: usize, alpha: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0 - 1e-12);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if at_most(hits, times, middle) > alpha { low = middle } else { high = middle }
    }
    high
}

fn lower(hits: usize, times: usize, alpha: f64) -> f64 {
    1.0 - upper(times - hits, times, alpha)
}

/// The chance that a standard normal number is below, by the series of Marsaglia (2004).
fn below(x: f64) -> f64 {
    let (mut term, mut sum, mut at) = (x, 0.0, 1.0);
    while term.abs() > 1e-18 {
        sum += term;
        at += 2.0;
        term *= x * x / at;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

fn quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-7.0, 7.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if below(middle) < p { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[test]
fn the_bounds_are_those_of_clopper_and_pearson() {
    // Of 10 none: the rule of three's exact form, 1 - alpha^(1/10).
    assert!((upper(0, 10, 0.05) - (1.0 - 0.05_f64.powf(0.1))).abs() < 1e-9);
    assert!((lower(10, 10, 0.05) - 0.05_f64.powf(0.1)).abs() < 1e-9);
    // 3 of 20 at 95 % (two-sided): 0.0321 to 0.3789.
    assert!((lower(3, 20, 0.025) - 0.0321).abs() < 1e-4);
    assert!((upper(3, 20, 0.025) - 0.3789).abs() < 1e-4);
    assert!((quantile(0.975) - 1.959_964).abs() < 1e-6 && quantile(0.5).abs() < 1e-9);
    assert!((below(-3.0) - 0.001_349_898).abs() < 1e-9);
}

const SITES: &str =
    "SELECT Site, count(*) AS n, sum(Load) AS l FROM laplace GROUP BY Site ORDER BY 1";
const COUNTS: &str = "SELECT Site, count(*) AS n FROM laplace GROUP BY Site ORDER BY 1";
const QUEUES: &str = "SELECT Queue, count(*) AS n FROM laplace GROUP BY Queue ORDER BY 1";
const MEDIANS: &str =
    "SELECT Site, approx_percentile_cont(Hours, 0.5) AS m FROM laplace GROUP BY Site ORDER BY 1";

/// What each of four measurements finds at least, eight and more standard deviations below what it should (2e-17 each).
const SHARP: [f64; 4] = [0.75, 0.65, 0.8, 0.4];

/// Rows in the queues of a group without the person.
const OTHERS: [f64; 3] = [8.0, 0.0, 0.0];

/// Both measurements are as far up as the person can take them: there the ratio is greatest.
fn far_up(answer: &[Vec<f64>]) -> Vec<bool> {
    answer[0].iter().zip(&answer[1]).map(|(n, l)| *n >= 12.0 && *l >= 400.0).collect()
}

/// As [`far_up`], of all three queues of a group.
fn far_up_in_all_three(answer: &[Vec<f64>]) -> Vec<bool> {
    let far = |three: &[f64]| three.iter().zip(OTHERS).all(|(n, others)| *n >= others + 4.0);
    answer[0].chunks_exact(3).map(far).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_person_can_be_told_better_than_epsilon_says_and_nearly_as_well() {
    let sides = Sides::new().await;
    let ask =
        |partner: String, sql: &'static str, columns: &'static [&'static str], epsilon, times| {
            let sides = &sides;
            async move { sides.ask(&partner, sql, columns, epsilon, times).await }
        };

    // A count and a sum of one group, which share an epsilon of 1.
    let mut one = Seen::default();
    for partner in 0..4 {
        let answers = ask(format!("one-{partner}"), SITES, &["n", "l"], 1.0, 20).await;
        one.count(&answers, far_up);
    }
    // Each person in three groups.
    let mut three = Seen::default();
    for partner in 0..4 {
        let answers = ask(format!("three-{partner}"), QUEUES, &["n"], 1.0, 20).await;
        three.count(&answers, far_up_in_all_three);
    }
    // Each person in three groups of which one is chosen. An answer of epsilon 5 tells which one.
    let mut chosen = Seen::default();
    for partner in 4..8 {
        let name = format!("one-{partner}");
        let [_, with] = ask(name.clone(), QUEUES, &["n"], 5.0, 1).await;
        let choice = |three: &[f64]| {
            let more = |at: &usize| three[*at] - OTHERS[*at];
            (0..3).max_by(|one, other| more(one).total_cmp(&more(other))).unwrap()
        };
        let choices: Vec<usize> = with[0][0].chunks_exact(3).map(choice).collect();
        assert!((0..3).all(|at| choices.iter().filter(|choice| **choice == at).count() > 100));
        let answers = ask(name, QUEUES, &["n"], 1.0, 15).await;
        chosen.count(&answers, |answer| {
            let groups = answer[0].chunks_exact(3).zip(&choices);
            groups.map(|(three, at)| three[*at] >= OTHERS[*at] + 4.0).collect()
        });
    }
    // Medians: of the grid's points, five are between the others' values and the person's.
    let mut medians = Seen::default();
    for partner in 10..12 {
        let answers = ask(format!("one-{partner}"), MEDIANS, &["m"], 1.0, 20).await;
        medians.count(&answers, |answer| answer[0].iter().map(|m| *m < 5.0).collect());
    }
    // PRIVACY: the same where noise is a fifth too small for what is declared: the measurement sees it.
    let mut too_small = Seen::default();
    for partner in 8..10 {
        let answers = ask(format!("one-{partner}"), COUNTS, &["n"], 1.25, 15).await;
        too_small.count(&answers, |answer| answer[0].iter().map(|n| *n >= 12.0).collect());
    }
    sides.stop().await;

    let measured = [one, three, chosen, medians].map(Seen::epsilon);
    let control = too_small.epsilon();
    println!(
        "epsilon 1 is declared; by {} trials a side it is at least {:.3} (count and sum), by {} {:.3} (three groups), \
         by {} {:.3} (one of three groups), by {} {:.3} (median); with noise a fifth too small by {} {control:.3}",
        one.times,
        measured[0],
        three.times,
        measured[1],
        chosen.times,
        measured[2],
        medians.times,
        measured[3],
        too_small.times
    );
    for (measured, sharp) in measured.into_iter().zip(SHARP) {
        assert!(measured <= 1.0 && measured > sharp, "{measured} of at least {sharp}");
    }
    assert!(control > 1.0, "{control}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gaussian_noise_tells_no_more_than_its_rho_says_and_nearly_as_much() {
    let sides = Sides::new().await;
    let (mut one, mut three, mut too_small) = (Seen::default(), Seen::default(), Seen::default());
    let middle = |answer: &[Vec<f64>]| answer[0].iter().map(|n| *n >= 10.0).collect();
    for at in 0..GAUSSIAN {
        let sites =
            format!("SELECT Site, count(*) AS n FROM gaussian{at} GROUP BY Site ORDER BY 1");
        let queues =
            format!("SELECT Queue, count(*) AS n FROM gaussian{at} GROUP BY Queue ORDER BY 1");
        one.count(&sides.ask("one-0", &sites, &["n"], 1.0, 3).await, middle);
        three.count(&sides.ask("three-0", &queues, &["n"], 1.0, 3).await, |answer| {
            // As far from the others' eight rows as from the twelve more of the person.
            answer[0].chunks_exact(3).map(|three| three.iter().sum::<f64>() >= 14.0).collect()
        });
        too_small.count(&sides.ask("one-1", &sites, &["n"], 1.25, 2).await, middle);
    }
    sides.stop().await;
    let (measured, control) = ([one, three].map(Seen::distance), too_small.distance());
    println!(
        "rho 0.5 is declared, a distance of 1; by {} trials a side it is at least {:.3} (count), by {} {:.3} (three \
         groups); with noise a fifth too small by {} {control:.3}",
        one.times, measured[0], three.times, measured[1], too_small.times
    );
    for measured in measured {
        assert!(measured <= 1.0 && measured > 0.75, "{measured}");
    }
    assert!(control > 1.0, "{control}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_with_thousands_of_rows_cannot_be_told_better_than_epsilon_says() {
    let sides = Sides::new().await;
    // Three hundred persons with six rows count four times each, and so does the one.
    let others = 1_200.0;
    let count = |dataset: &str| format!("SELECT count(*) AS n FROM {dataset}");
    let (mut single, mut unbounded) = (Seen::default(), Seen::default());
    for partner in 0..if every_case() { 12 } else { 6 } {
        let name = format!("one-{partner}");
        let answers = sides.ask(&name, &count("single"), &["n"], 1.0, 20).await;
        single.count(&answers, |answer| vec![answer[0][0] >= others + 4.0]);
        // PRIVACY: the same questions where bounding is switched off, in the test build: the measurement sees it.
        let answers = sides.ask(&name, &count("unbounded"), &["n"], 1.0, 20).await;
        unbounded.count(&answers, |answer| vec![answer[0][0] >= 1_800.0 + 1_000.0]);
    }
    sides.stop().await;
    let (measured, control) = (single.epsilon(), unbounded.epsilon());
    println!(
        "epsilon 1 is declared; by {} answers a side it is at least {measured:.3}, and without bounding by {} {control:.3}",
        single.times, unbounded.times
    );
    assert!(measured <= 1.0, "{measured}");
    assert!(control > 1.0, "{control}");
}
