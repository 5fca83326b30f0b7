//! Planning over views: what is answered, what is refused, and what refusals say.

use super::super::testing::{answer, jobs, planned, refusal, sites, sorted};
use super::*;

fn rows() -> Vec<Table> {
    vec![jobs("access: rows"), sites()]
}

#[test]
fn debug_long() {
    let long = [
        format!("SELECT pk IN ({}1) FROM jobs", "1, ".repeat(1_000)),
        format!("SELECT 1 FROM jobs WHERE pk IN ({}1)", "1, ".repeat(5_000)),
        format!("SELECT pk IN ({}1) FROM jobs", "1, ".repeat(5_000)),
        format!("SELECT 1 FROM jobs{}", " NATURAL JOIN jobs".repeat(60)),
        format!(
            "SELECT count(*) FROM jobs a0{}",
            (1..60)
                .map(|n| format!(" JOIN jobs a{n} ON a{n}.pk = a{}.pk", n - 1))
                .collect::<String>()
        ),
        format!("SELECT pk IN ({}1) FROM jobs", "1, ".repeat(20_000)),
    ];
    std::thread::Builder::new()
        .stack_size(16 << 20)
        .spawn(move || {
            for sql in long {
                let start = std::time::Instant::now();
                eprintln!("{:.60}", sql);
                let out = planned(&sql, &rows());
                eprintln!(
                    "{:?} {:?}",
                    out.map(|_| ()).map_err(|e| e.chain().chars().take(200).collect::<String>()),
                    start.elapsed()
                );
            }
        })
        .unwrap()
        .join()
        .unwrap();
}
#[tokio::test]
async fn debug_some() {
    for sql in [
        "SELECT user_id FROM jobs",
        "select count(USER) n, dept d from Jobs group by D order by N desc, d",
        "SELECT * FROM information_schema.columns where table_name='jobs'",
        "SELECT ssn FROM jobs",
        "SELECT user_i FROM jobs",
        "SELECT xyz FROM jobs",
        "SELECT dept FROM jobs WHERE salary > 100000",
        "SELECT a.dept FROM jobs a JOIN jobs b ON a.salary = b.wait_s",
        "SELECT dept, pk FROM jobs GROUP BY dept",
        "SELECT substr(pk, 1, 2, 3) FROM jobs",
        "SELECT dept + 1 FROM jobs",
        "SELECT abs(dept) FROM jobs",
        "SELECT CAST(notes AS INT) FROM jobs",
        "SELECT dept, site from jobs join \"grid-sites\" using (DEPT)",
        "SELECT pk, pk FROM jobs",
        "SELECT sum(dept) from jobs",
        "select 1/0",
        "select cast('alice' as int)",
        "select dept from jobs, \"grid-sites\"",
        "select count(1,2) from jobs",
        "select dept union select 1,2",
        "select * from jobs where dept",
        "select x -> 1",
        "select case when 1 then 2 end",
        "select interval 'foo'",
        "select date_trunc('foo', opened) from \"grid-sites\"",
        "select lag(pk) from jobs",
        "select jobs.nope from jobs",
        "select now() is null, wait_s/0 from jobs limit 1",
        "select sum(pk) over (partition by dept order by pk rows between 1 preceding and current row) from jobs limit 1",
        "select exists(select 1 from jobs where 1=2)",
        "select (select dept from jobs)",
        "SELECT input_file_name(), _rowid FROM jobs",
        "select [1,2][1], {a: 1}",
        "select array_transform([1,2], X -> X+1)",
        "select extract(year from opened), opened at time zone 'UTC' from \"grid-sites\" limit 1",
    ] {
        match answer(sql, &rows()).await {
            Ok(lines) => eprintln!("{sql}\n   OK {:?}", &lines[..lines.len().min(3)]),
            Err(e) => eprintln!(
                "{sql}\n   {:?} {:?}\n        {}",
                e.code(),
                e.hint(),
                e.chain().chars().take(160).collect::<String>()
            ),
        }
    }
}
