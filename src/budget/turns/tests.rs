//! Wake-ups: that none is lost, whoever walks away and when.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::budget::tests::quotas;

fn turns(change: impl FnOnce(&mut Quotas)) -> Arc<Turns> {
    let mut quotas = quotas();
    change(&mut quotas);
    Turns::new(&quotas)
}

/// Polls once, as a runtime that has other things to do.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn who_may_run_runs_at_once_and_the_next_one_when_that_one_ends() {
    let turns = turns(|_| {});
    let first = turns.wait("cern", None).await.unwrap();
    let mut second = pin!(turns.wait("cern", None));
    assert!(poll(second.as_mut()).is_pending());
    let other = turns.wait("lab", None).await.unwrap();
    assert_eq!(turns.counts(), (2, 1));
    drop(first);
    let second = second.await.unwrap();
    assert_eq!(turns.counts(), (2, 0));
    drop((second, other));
    assert_eq!(turns.counts(), (0, 0));
}

#[tokio::test]
async fn a_grant_of_fewer_statements_lowers_what_the_settings_give() {
    let turns = turns(|quotas| {
        quotas.queries_max = 8;
        quotas.queries_partner_max = 4;
    });
    let _three = [
        turns.wait("cern", None).await,
        turns.wait("cern", None).await,
        turns.wait("cern", None).await,
    ];
    let mut under_grant = pin!(turns.wait("cern", Some(3)));
    assert!(poll(under_grant.as_mut()).is_pending());
    // The grant does not raise it either.
    let mut generous = pin!(turns.wait("lab", Some(100)));
    assert!(poll(generous.as_mut()).is_ready());
}

#[tokio::test]
async fn who_waits_in_vain_is_told_and_leaves_the_line() {
    let turns = turns(|quotas| quotas.queue = Duration::from_millis(20));
    let running = turns.wait("cern", None).await.unwrap();
    let error = turns.wait("cern", None).await.unwrap_err();
    assert_eq!(error.code(), Code::QueryQueue);
    assert_eq!(turns.counts(), (1, 0));
    drop(running);
    assert!(turns.wait("cern", None).await.is_ok());
}

#[tokio::test]
async fn only_so_many_of_a_partner_wait() {
    let turns = turns(|quotas| quotas.queries_waiting_partner_max = 2);
    let _running = turns.wait("cern", None).await.unwrap();
    let mut one = pin!(turns.wait("cern", None));
    let mut two = pin!(turns.wait("cern", None));
    assert!(poll(one.as_mut()).is_pending());
    assert!(poll(two.as_mut()).is_pending());
    let error = turns.wait("cern", None).await.unwrap_err();
    assert_eq!(error.code(), Code::QueriesPartner);
    // Another partner is not turned away for it.
    assert!(turns.wait("lab", None).await.is_ok());
}

#[tokio::test]
async fn a_turn_that_comes_to_one_who_walks_away_goes_to_the_next() {
    let turns = turns(|_| {});
    let running = turns.wait("cern", None).await.unwrap();
    let mut next = pin!(turns.wait("cern", None));
    {
        let mut gone = pin!(turns.wait("cern", None));
        assert!(poll(gone.as_mut()).is_pending());
        assert!(poll(next.as_mut()).is_pending());
        drop(running);
        // The turn is that of `gone` now, which is dropped before it hears of it.
        assert_eq!(turns.counts(), (1, 1));
    }
    assert_eq!(turns.counts(), (1, 0));
    assert!(next.await.is_ok());
    assert_eq!(turns.counts(), (0, 0));
}

#[tokio::test]
async fn who_leaves_lets_the_one_behind_run_where_that_one_may() {
    let turns = turns(|quotas| {
        quotas.queries_max = 4;
        quotas.queries_partner_max = 4;
    });
    let _running = turns.wait("cern", None).await.unwrap();
    let mut behind = pin!(turns.wait("cern", Some(2)));
    {
        let mut strict = pin!(turns.wait("cern", Some(1)));
        assert!(poll(strict.as_mut()).is_pending());
        assert!(poll(behind.as_mut()).is_pending());
    }
    assert!(poll(behind.as_mut()).is_ready());
}

#[tokio::test]
async fn one_that_rests_lets_others_run_and_is_the_first_to_go_on() {
    let turns = turns(|_| {});
    let first = turns.wait("cern", None).await.unwrap();
    let mut second = pin!(turns.wait("cern", None));
    let mut third = pin!(turns.wait("cern", None));
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    first.rest();
    first.rest();
    let second = second.await.unwrap();
    assert_eq!(turns.counts(), (1, 1));
    {
        // Who stops waiting to go on leaves the line as well.
        let mut gives_up = pin!(first.resume());
        assert!(poll(gives_up.as_mut()).is_pending());
        assert_eq!(turns.counts(), (1, 2));
    }
    assert_eq!(turns.counts(), (1, 1));
    {
        let mut again = pin!(first.resume());
        assert!(poll(again.as_mut()).is_pending());
        drop(second);
        again.await;
    }
    assert!(poll(third.as_mut()).is_pending());
    first.resume().await;
    assert_eq!(turns.counts(), (1, 1));
    drop(first);
    assert!(third.await.is_ok());
    assert_eq!(turns.counts(), (0, 0));
}

/// Tasks on several threads, of which every third is aborted at some moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_turn_is_lost_or_given_twice_when_many_come_and_go() {
    let turns = turns(|quotas| {
        quotas.queries_max = 3;
        quotas.queries_partner_max = 2;
        quotas.queries_waiting_partner_max = 1000;
    });
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..300_u64)
        .map(|number| {
            let (turns, now, most) = (Arc::clone(&turns), Arc::clone(&now), Arc::clone(&most));
            tokio::spawn(async move {
                let partner = ["a", "b", "c"][(number % 3) as usize];
                let turn = turns.wait(partner, None).await.unwrap();
                let running = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(running, Ordering::SeqCst);
                now.fetch_sub(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_micros(number % 7 * 300)).await;
                if number % 5 == 0 {
                    turn.rest();
                    tokio::task::yield_now().await;
                    turn.resume().await;
                }
            })
        })
        .collect();
    for (number, task) in tasks.iter().enumerate() {
        if number % 4 == 0 {
            tokio::time::sleep(Duration::from_micros(150)).await;
            task.abort();
        }
    }
    let mut aborted = 0;
    for task in tasks {
        match tokio::time::timeout(Duration::from_secs(20), task).await.expect("one waits for ever")
        {
            Ok(()) => {}
            Err(error) if error.is_cancelled() => aborted += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(aborted > 0);
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(turns.counts(), (0, 0));
}
