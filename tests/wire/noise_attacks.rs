//! What a partner who is granted noise may try: averages of many answers, differences about one person, groups that
//! few are in, conditions and orders on true values, sums that are too large.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use futures::TryStreamExt;

use super::noise::{
    PER_SITE, QUICK, VISITS, Visit, column, folder_of, privacy, site, spent, visits, write_visits,
};
use super::sql::Asker;
use crate::site::{CANARY, Site, code, ticket, with_token};

/// [`VISITS`] with a budget for 40 answers.
fn rich() -> String {
    VISITS.replacen("epsilon: 3,", "epsilon: 20,", 1).replacen("delta: 1e-6", "delta: 2e-7", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_and_rewriting_a_question_averages_nothing_out() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        for sql in [
            "SELECT count(*) AS n FROM visits WHERE Site = 'A' AND Hours > 3",
            "SELECT count(*) AS n FROM visits WHERE Hours > 3 AND Site = 'A'",
            "SELECT count(*) AS n FROM visits WHERE 'A' = Site AND 3 < Hours",
            "SELECT count(*) AS m, count(*) AS n FROM visits WHERE Site = 'A' AND Hours > 3",
            "SELECT x.n FROM (SELECT count(*) AS n FROM visits v WHERE v.Site = 'A' AND v.Hours > 3) x",
            "select COUNT(*) as n from Visits where site = 'A' and hours > 3 limit 7",
        ] {
            seen.insert(column(&cern.all(sql).await.unwrap(), "n")[0]);
        }
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(spent(&mut cern).await.0, "0.5");
    // What is written in another way after all is another question, and costs.
    cern.all("SELECT count(*) AS n FROM visits WHERE Site = 'A' AND NOT Hours <= 3").await.unwrap();
    let (epsilon, _) = spent(&mut cern).await;
    assert!(epsilon == "0.5" || epsilon == "1", "{epsilon}");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_difference_of_two_answers_tells_nobody_apart_and_costs_twice() {
    let site = Site::start_with(folder_of(&rich()), &[QUICK]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let last = visits().len() - 1;
    let mut differences = Vec::new();
    for round in 0..20 {
        // The one person who was there 99 hours: by whoever has that row, and by all others.
        let all = format!("SELECT count(*) AS n FROM visits WHERE Id > -{round}");
        let others =
            format!("SELECT count(*) AS n FROM visits WHERE Id > -{round} AND Id <> {last}");
        let (all, others) = (cern.all(&all).await.unwrap(), cern.all(&others).await.unwrap());
        differences.push(column(&all, "n")[0] - column(&others, "n")[0]);
    }
    // Two noises of scale 4 / 0.5: a difference of 1 is nothing beside it.
    let spread: f64 = differences.iter().map(|it| (it * it) as f64).sum::<f64>() / 20.0;
    assert!(spread > 25.0, "{differences:?}");
    assert!(differences.iter().collect::<BTreeSet<_>>().len() > 5, "{differences:?}");
    assert_eq!(spent(&mut cern).await.0, "20");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_one_person_is_in_does_not_show() {
    let site = Site::start_with(folder_of(&rich()), &[QUICK]).await;
    let mut cern = Asker::new(&site, "cern").await;
    for round in 0..20 {
        let sql = format!(
            "SELECT Queue, count(*) AS n FROM visits WHERE Id > -{round} GROUP BY Queue HAVING count(*) > -1000000"
        );
        let info = cern.info(&sql).await.unwrap();
        assert_eq!(privacy(&info)["delta"], "0.0000002");
        let answer = cern.pull(&info).await.unwrap();
        let queues: Vec<_> = answer["Queue"].as_string::<i32>().iter().flatten().collect();
        // Threshold and noise are such that a person alone shows once in five million times.
        assert!(!queues.iter().any(|queue| queue.contains(CANARY)), "{queues:?}");
        assert!(queues.iter().all(|queue| ["queue-0", "queue-1"].contains(queue)));
    }
    // A public key shows whether there are rows or not.
    let sql = "SELECT Site, count(*) AS n FROM visits WHERE Hours = 99 GROUP BY Site";
    assert_eq!(cern.all(sql).await.unwrap().num_rows(), 3);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_and_orders_on_groups_see_noisy_numbers() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let all = cern.all(PER_SITE).await.unwrap();
    let counts = column(&all, "n").to_vec();
    let sites: Vec<_> =
        all["Site"].as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    let (least, most) = (*counts.iter().min().unwrap(), *counts.iter().max().unwrap());
    // The bound is between noisy numbers, wherever the true ones lie (they are all alike).
    for (bound, expected) in
        [(least - 1, 3), (most, 0), (most - 1, counts.iter().filter(|n| **n == most).count())]
    {
        let sql = format!("{PER_SITE} HAVING count(*) > {bound}");
        assert_eq!(cern.all(&sql).await.unwrap().num_rows(), expected, "{counts:?} > {bound}");
    }
    let sorted = cern.all(&format!("{PER_SITE} ORDER BY n DESC, Site")).await.unwrap();
    let mut expected: Vec<_> = counts.iter().copied().zip(sites).collect();
    expected.sort_by_key(|(count, site)| (-count, site.clone()));
    assert_eq!(column(&sorted, "n"), expected.iter().map(|(count, _)| *count).collect::<Vec<_>>());
    let first = cern.all(&format!("{PER_SITE} ORDER BY n DESC, Site LIMIT 1")).await.unwrap();
    assert_eq!(first["Site"].as_string::<i32>().value(0), expected[0].1);
    assert_eq!(spent(&mut cern).await.0, "0.5");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_beyond_all_bounds_change_an_answer_by_what_a_person_may() {
    let folder = folder_of(&VISITS.replace("query: {epsilon: 0.5", "query: {epsilon: 2.5"));
    let mut with: Vec<Visit> = visits();
    for (at, hours) in [i64::MAX, i64::MIN, i64::MAX, 1 << 62].into_iter().enumerate() {
        with.push((Some(format!("{CANARY}-large-{at}")), "B", "queue-0".to_owned(), Some(hours)));
    }
    write_visits(&folder.path().join("policies/visits.parquet"), &with);
    let site = Site::start_with(folder, &[QUICK]).await;
    let mut cern = Asker::new(&site, "cern").await;
    let answer = cern.all("SELECT Site, sum(Hours) AS h FROM visits GROUP BY Site").await.unwrap();
    let hours = answer["h"].as_primitive::<Int64Type>();
    // 400 visits a site that last under 50 hours, and four of at most 100.
    for at in 0..hours.len() {
        assert!((0..30_000).contains(&hours.value(at)), "{hours:?}");
    }
    let mut desy = Asker::new(&site, "desy").await;
    let answer = desy.all("SELECT avg(Hours) AS h FROM visits WHERE Hours > 1000").await;
    // Few rows, much noise: a number, or null where the noisy count is not above zero; never an error.
    let answer = answer.unwrap();
    assert_eq!(answer["h"].as_primitive::<Float64Type>().len(), 1);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_is_not_seen_around() {
    // Answers are ready after some milliseconds, and nothing shows that before the first tick.
    let settings = [("noise_tick_ms", "2500"), ("queries_partner_max", "1")];
    let site = Site::start_with(folder_of(&rich()), &settings).await;
    let mut cern = Asker::new(&site, "cern").await;
    for hangs_up in [false, true] {
        let sql = format!("SELECT count(*) AS n FROM visits WHERE Id > -{}", u8::from(hangs_up));
        let info = cern.info(&sql).await.unwrap();
        let begun = Instant::now();
        let request = with_token(&cern.token, ticket(&info, 0));
        let answer = cern.client.do_get(request).await.unwrap().into_inner();
        let answer = if hangs_up {
            drop(answer);
            None
        } else {
            Some(tokio::spawn(answer.try_collect::<Vec<_>>()))
        };
        // The same question is told to be under way, or free, or waits for the turn; and the turn itself.
        let again = cern.info(&sql).await.unwrap();
        let other = cern.info("SELECT count(*) AS n FROM visits WHERE Id > 7").await.unwrap();
        let token = cern.token.clone();
        let mut second = Asker::with(&site, &token, &[]).await;
        let turn = tokio::spawn(async move {
            let _ = second.pull(&other).await;
            Instant::now()
        });
        let mut stored = privacy(&again)["stored"] == true;
        while !stored {
            assert!(begun.elapsed() < Duration::from_secs(30));
            tokio::time::sleep(Duration::from_millis(20)).await;
            stored = privacy(&cern.info(&sql).await.unwrap())["stored"] == true;
        }
        assert!(begun.elapsed() >= Duration::from_millis(2_400), "{:?}", begun.elapsed());
        if let Some(answer) = answer {
            answer.await.unwrap().unwrap();
        }
        // The other answer had its turn after the first, and then a tick of its own; once it is stored, a tick.
        let done = turn.await.unwrap() - begun;
        assert!(done >= Duration::from_millis(4_800), "hangs up: {hangs_up}, {done:?}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_the_clock_back_gives_no_budget_back() {
    let site = site().await;
    let mut cern = Asker::new(&site, "cern").await;
    let question =
        |least: usize| format!("SELECT count(*) AS n FROM visits WHERE Hours >= {least}");
    for least in 0..3 {
        cern.all(&question(least)).await.unwrap();
    }
    let first = cern.all(&question(0)).await.unwrap();
    for days in [-400_i64, 800] {
        site.clock.advance_seconds(days * 24 * 3600);
        assert_eq!(spent(&mut cern).await.0, "1.5");
        assert_eq!(cern.all(&question(0)).await.unwrap(), first);
    }
    for least in 3..6 {
        cern.all(&question(least)).await.unwrap();
    }
    assert_eq!(code(&cern.all(&question(6)).await.unwrap_err()), "L012");
    site.stop().await;
}
