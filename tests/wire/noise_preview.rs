//! What is told of an answer with noise before it is paid: thresholds, ranks, and what bounding leaves out by the
//! policy's public numbers. That all of it is the same whatever the data are, and near what they do.

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Float64Type;
use arrow_flight::FlightInfo;
use serde_json::Value;

use super::noise::{
    PER_SITE, QUICK, VISITS, Visit, column, folder_of, privacy, write_visits, write_visits_as,
};
use super::sql::Asker;
use crate::site::{CANARY, Site};

/// What the policy declares of skewed visits: 500 persons, and the heaviest has every tenth of 20,000 rows.
const NUMBERS: &str = "public_numbers: {units: 500, rows: 20000, largest: 2000}\n";

/// [`VISITS`] with public numbers, and a statement that one person gives twelve rows to.
fn declared(numbers: &str) -> String {
    let policy = VISITS.replace("unit: User\n", &format!("unit: User\n{numbers}"));
    policy.replace("rows_max: 4", "rows_max: 12").replace("epsilon: 0.5", "epsilon: 3")
}

/// Visits as sites have them: rows of persons by a law that is not quite the model's, in places of chance.
fn skewed(persons: u64, rows: u64) -> Vec<Visit> {
    let weights: Vec<f64> = (1..=persons).map(|rank| 1.0 / (rank as f64 + 1.5)).collect();
    let all: f64 = weights.iter().sum();
    let mut visits = Vec::new();
    for (person, weight) in weights.iter().enumerate() {
        let share = (weight / all * rows as f64).round().max(1.0) as u64;
        for row in 0..share {
            let chance = (person as u64 * 7_919 + row * 104_729) % 1_000;
            let site = ["A", "B", "C"][(chance % 3) as usize];
            let queue = format!("queue-{}", chance % 2);
            let user = Some(format!("{CANARY}-{person}"));
            visits.push((user, site, queue, Some((chance % 50) as i64)));
        }
    }
    visits
}

/// A server over a policy and visits.
async fn site_of(policy: &str, visits: &[Visit]) -> Site {
    let folder = folder_of(policy);
    write_visits(&folder.path().join("policies/visits.parquet"), visits);
    Site::start_with(folder, &[QUICK]).await
}

async fn cost(asker: &mut Asker, sql: &str) -> Value {
    let body = sql.as_bytes().to_vec();
    let results = asker.act("veilflight.privacy_cost", body).await.unwrap();
    let told: Value = serde_json::from_slice(&results[0]).unwrap();
    told["privacy"].clone()
}

const ASKED: [&str; 5] = [
    PER_SITE,
    "SELECT count(*) AS n FROM visits",
    "SELECT Queue, count(*) AS n, avg(Hours) AS h FROM visits GROUP BY Queue",
    "SELECT Site, median(Hours) AS m, max(Hours) AS x FROM visits GROUP BY Site",
    "SELECT sum(Hours) AS h, stddev(Hours) AS s, count(DISTINCT \"User\") AS u FROM visits",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_before_is_the_same_for_any_data() {
    let policy = declared(NUMBERS);
    let many = site_of(&policy, &skewed(500, 20_000)).await;
    let few = site_of(&policy, &skewed(3, 40)).await;
    let (mut one, mut other) = (Asker::new(&many, "cern").await, Asker::new(&few, "cern").await);
    for sql in ASKED {
        let info: FlightInfo = one.info(sql).await.unwrap();
        let first = privacy(&info);
        assert_eq!(first, privacy(&other.info(sql).await.unwrap()), "{sql}");
        assert_eq!(first, cost(&mut other, sql).await, "{sql}");
        assert!(first["clipped_expected"]["share_min"].is_number(), "{first}");
    }
    for asker in [&mut one, &mut other] {
        let about = asker.act("veilflight.policy_info", b"visits".to_vec()).await.unwrap();
        let about: Value = serde_json::from_slice(&about[0]).unwrap();
        assert_eq!(about["privacy"]["public_numbers"]["largest"], 2_000, "{about}");
        for column in about["columns"].as_array().unwrap() {
            assert_eq!(column["exposure"], "noisy", "{column}");
            assert!(column["may"].as_str().unwrap().starts_with("May be "));
        }
    }
    many.stop().await;
    few.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_estimated_to_be_left_out_is_near_what_is() {
    let visits = skewed(500, 20_000);
    let site = site_of(&declared(NUMBERS), &visits).await;
    let mut cern = Asker::new(&site, "cern").await;
    let sql = "SELECT count(*) AS n FROM visits";
    let expected = cost(&mut cern, sql).await["clipped_expected"]["share_min"].as_f64().unwrap();
    // The test may count what the server may not.
    let mut rows = std::collections::BTreeMap::<&str, usize>::new();
    for (user, ..) in &visits {
        *rows.entry(user.as_deref().unwrap()).or_default() += 1;
    }
    let over: usize = rows.values().map(|rows| rows.saturating_sub(12)).sum();
    let clipped = over as f64 / visits.len() as f64;
    assert!(clipped > 0.5 && (expected - clipped).abs() < 0.05, "{expected} and {clipped}");
    // And the answer is what is left: of scale 12 / 3 the noise passes 100 once in 10^11 times.
    let answer = column(&cern.all(sql).await.unwrap(), "n")[0] as f64;
    assert!((answer / visits.len() as f64 - (1.0 - expected)).abs() < 0.06, "{answer}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_ranks_and_shares_are_told_before_they_are_paid_for() {
    let site = site_of(&declared(NUMBERS), &skewed(500, 20_000)).await;
    let mut cern = Asker::new(&site, "cern").await;
    let per_site = cost(&mut cern, PER_SITE).await;
    assert_eq!(per_site["threshold"], Value::Null, "{per_site}");
    let rows = &per_site["mechanisms"][0];
    // Scale 2 * 12 / 3 = 8, against 20,000 / 3 rows of a site.
    let width = rows["half_width_95"].as_f64().unwrap();
    assert!((width - 8.0 * 20_f64.ln()).abs() < 1.0, "{width}");
    let share = rows["half_width_share"].as_f64().unwrap();
    assert!((share - width * 3.0 / 20_000.0).abs() < 1e-12, "{share}");
    assert_eq!(rows["rows_off_95"], Value::Null);

    // Units have half of epsilon, 1.5, over two groups: P(X >= k) = e^(-k 1.5 / 2) / (1 + e^-0.75) at most 1e-6 / 2.
    let unknown = cost(&mut cern, ASKED[2]).await;
    let shares = unknown["mechanisms"].as_array().unwrap().len() as f64;
    let scale = 2.0 * shares / 3.0;
    let over = |k: f64| (-k / scale).exp() / (1.0 + (-1.0 / scale).exp()) <= 5e-7;
    let least = (1..1_000).find(|k| over(f64::from(*k))).unwrap();
    assert_eq!(unknown["threshold"], least + 1, "{unknown}");
    assert_eq!(unknown["delta"], "0.000001");
    for mechanism in unknown["mechanisms"].as_array().unwrap() {
        assert_eq!(mechanism["half_width_share"], Value::Null, "how many groups is not known");
    }

    // A median and a maximum: two shares of 1.5 over two groups. Scores of a median change by 2 * 12 a unit and count
    // twice the rows; those of a maximum by 12 and once.
    let ranks = cost(&mut cern, ASKED[3]).await;
    let points = 1_000_f64;
    for mechanism in ranks["mechanisms"].as_array().unwrap() {
        assert_eq!(mechanism["half_width_95"], Value::Null);
        let off = mechanism["rows_off_95"].as_f64().unwrap();
        let (change, whole) = match mechanism["measure"].as_str().unwrap() {
            words if words.contains("1/2") => (24.0, 2.0),
            _ => (12.0, 1.0),
        };
        let expected = change * 2.0 / 1.5 * (points.ln() + 20_f64.ln()) / whole;
        assert!((off / expected - 1.0).abs() < 1e-9, "{off} and {expected}: {mechanism}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_public_numbers_nothing_is_estimated() {
    for numbers in ["", "public_numbers: {units: 500}\n", "public_numbers: {rows: 20000}\n"] {
        let site = site_of(&declared(numbers), &skewed(500, 2_000)).await;
        let mut cern = Asker::new(&site, "cern").await;
        for sql in ASKED {
            let told = cost(&mut cern, sql).await;
            assert_eq!(told["clipped_expected"], Value::Null, "{told}");
            assert!(told["clipped"].as_str().unwrap().contains("not told"));
            for mechanism in told["mechanisms"].as_array().unwrap() {
                assert_eq!(mechanism["half_width_share"], Value::Null, "{mechanism}");
            }
        }
        site.stop().await;
    }
}

/// Some writers of parquet call a column `REQUIRED` where it holds no null: one person's null would show in the number
/// of measures, before anything is paid.
#[tokio::test(flavor = "multi_thread")]
async fn whether_a_column_holds_a_null_is_not_told_before() {
    let policy = declared(NUMBERS);
    let mut visits = skewed(5, 40);
    let mut asked = Vec::new();
    for _ in 0..2 {
        let folder = folder_of(&policy);
        let path = folder.path().join("policies/visits.parquet");
        write_visits_as(&path, &visits, |column| column.null_count() > 0);
        let site = Site::start_with(folder, &[QUICK]).await;
        let mut cern = Asker::new(&site, "cern").await;
        let mut told = Vec::new();
        for sql in [
            "SELECT count(*) AS n, count(Hours) AS h, avg(Hours) AS a FROM visits",
            "SELECT count(*) AS n, avg(CASE WHEN Hours IS NOT NULL THEN 1 END) AS a FROM visits",
            "SELECT Hours IS NULL AS missing, count(Queue) AS q FROM visits GROUP BY 1",
        ] {
            let info = cern.info(sql).await.unwrap();
            told.push((cost(&mut cern, sql).await, info.schema));
        }
        assert_eq!(told[0].0["mechanisms"].as_array().unwrap().len(), 3, "{told:?}");
        let about = cern.act("veilflight.policy_info", b"visits".to_vec()).await.unwrap();
        let columns = "SELECT column_name, is_nullable FROM information_schema.columns ORDER BY 1";
        asked.push((told, about, cern.all(columns).await.unwrap()));
        site.stop().await;
        // One person comes, and one of their values is missing.
        visits.push((Some(format!("{CANARY}-one")), "A", "queue-0".to_owned(), None));
    }
    assert_eq!(asked[0], asked[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nulls_have_a_meaning_a_mean_beside_a_count_costs_two_measures_and_says_so() {
    let policy = declared(NUMBERS);
    let filled = policy.replace("Hours: [0, 100]", "Hours: {low: 0, high: 100, null_as: 40}");
    assert_ne!(policy, filled);
    let mut visits = skewed(2_000, 2_000);
    for (at, visit) in visits.iter_mut().enumerate() {
        visit.3 = (at % 2 == 0).then_some(20);
    }
    let sql = "SELECT count(*) AS n, count(Hours) AS h, avg(Hours) AS a FROM visits";
    let mut widths = Vec::new();
    for (policy, measures, mean) in [(&policy, 3, 20.0), (&filled, 2, 30.0)] {
        let site = site_of(policy, &visits).await;
        let mut cern = Asker::new(&site, "cern").await;
        let told = cost(&mut cern, sql).await;
        let mechanisms = told["mechanisms"].as_array().unwrap();
        assert_eq!(mechanisms.len(), measures, "{told}");
        let width = mechanisms[0]["half_width_95"].as_f64().unwrap();
        assert_eq!(told["means_from_rows"], width, "{told}");
        widths.push(width);
        let null_as =
            if measures == 2 { serde_json::json!({"Hours": 40.0}) } else { serde_json::json!({}) };
        assert_eq!(told["null_as"], null_as);
        assert_eq!(cost(&mut cern, PER_SITE).await["means_from_rows"], Value::Null);
        let about = cern.act("veilflight.policy_info", b"visits".to_vec()).await.unwrap();
        let about: Value = serde_json::from_slice(&about[0]).unwrap();
        assert_eq!(
            about["privacy"]["bounds"]["Hours"]["null_as"].as_f64(),
            null_as["Hours"].as_f64()
        );
        let answer = cern.all(sql).await.unwrap();
        let found = answer.column_by_name("a").unwrap().as_primitive::<Float64Type>().value(0);
        // A sum of scale 12 * 50 over a thousand rows and more is off by 8 a row once in 500,000 times at most.
        assert!((found - mean).abs() < 8.0, "{found} and {mean}");
        let field = answer.schema().field_with_name("h").unwrap().clone();
        let null_as = field.metadata().get("veilflight.dp.null_as").map(String::as_str);
        assert_eq!(null_as, (measures == 2).then_some(r#"{"Hours":40.0}"#));
        site.stop().await;
    }
    // Two shares of epsilon in place of three.
    assert!((widths[1] / widths[0] - 2.0 / 3.0).abs() < 0.05, "{widths:?}");
}
