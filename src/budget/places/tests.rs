//! Wake-ups: that none is lost, whoever walks away and when.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::*;

/// Two places in all, one for a partner.
fn places(change: impl FnOnce(&mut Bounds)) -> Arc<Places> {
    let mut bounds = Bounds {
        all_max: 2,
        partner_max: 1,
        waiting_partner_max: 4,
        patience: Duration::from_secs(120),
    };
    change(&mut bounds);
    Places::new(&bounds)
}

fn counts(places: &Places) -> (usize, usize) {
    (places.taken(), places.waiting())
}

/// Polls once, as a runtime that has other things to do.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn who_may_run_runs_at_once_and_the_next_one_when_that_one_ends() {
    let places = places(|_| {});
    let first = places.wait("cern", None).await.unwrap();
    let mut second = pin!(places.wait("cern", None));
    assert!(poll(second.as_mut()).is_pending());
    let other = places.wait("lab", None).await.unwrap();
    assert_eq!(counts(&places), (2, 1));
    drop(first);
    let second = second.await.unwrap();
    assert_eq!(counts(&places), (2, 0));
    drop((second, other));
    assert_eq!(counts(&places), (0, 0));
}

#[tokio::test]
async fn a_grant_of_fewer_statements_lowers_what_the_settings_give() {
    let places = places(|bounds| {
        bounds.all_max = 8;
        bounds.partner_max = 4;
    });
    let _three = [
        places.wait("cern", None).await,
        places.wait("cern", None).await,
        places.wait("cern", None).await,
    ];
    let mut under_grant = pin!(places.wait("cern", Some(3)));
    assert!(poll(under_grant.as_mut()).is_pending());
    // The grant does not raise it either.
    let mut generous = pin!(places.wait("lab", Some(100)));
    assert!(poll(generous.as_mut()).is_ready());
}

#[tokio::test]
async fn who_waits_in_vain_is_told_and_leaves_the_line() {
    let places = places(|bounds| bounds.patience = Duration::from_millis(20));
    let running = places.wait("cern", None).await.unwrap();
    let error = places.wait("cern", None).await.unwrap_err();
    assert_eq!(error.code(), Code::QueryQueue);
    assert_eq!(counts(&places), (1, 0));
    drop(running);
    assert!(places.wait("cern", None).await.is_ok());
}

#[tokio::test]
async fn only_so_many_of_a_partner_wait() {
    let places = places(|bounds| bounds.waiting_partner_max = 2);
    let _running = places.wait("cern", None).await.unwrap();
    let mut one = pin!(places.wait("cern", None));
    let mut two = pin!(places.wait("cern", None));
    assert!(poll(one.as_mut()).is_pending());
    assert!(poll(two.as_mut()).is_pending());
    let error = places.wait("cern", None).await.unwrap_err();
    assert_eq!(error.code(), Code::QueriesPartner);
    // Another partner is not turned away for it.
    assert!(places.wait("lab", None).await.is_ok());
}

#[tokio::test]
async fn a_turn_that_comes_to_one_who_walks_away_goes_to_the_next() {
    let places = places(|_| {});
    let running = places.wait("cern", None).await.unwrap();
    let mut next = pin!(places.wait("cern", None));
    {
        let mut gone = pin!(places.wait("cern", None));
        assert!(poll(gone.as_mut()).is_pending());
        assert!(poll(next.as_mut()).is_pending());
        drop(running);
        // The turn is that of `gone` now, which is dropped before it hears of it.
        assert_eq!(counts(&places), (1, 1));
    }
    assert_eq!(counts(&places), (1, 0));
    assert!(next.await.is_ok());
    assert_eq!(counts(&places), (0, 0));
}

#[tokio::test]
async fn who_leaves_lets_the_one_behind_run_where_that_one_may() {
    let places = places(|bounds| {
        bounds.all_max = 4;
        bounds.partner_max = 4;
    });
    let _running = places.wait("cern", None).await.unwrap();
    let mut behind = pin!(places.wait("cern", Some(2)));
    {
        let mut strict = pin!(places.wait("cern", Some(1)));
        assert!(poll(strict.as_mut()).is_pending());
        assert!(poll(behind.as_mut()).is_pending());
    }
    assert!(poll(behind.as_mut()).is_ready());
}

#[test]
fn who_does_not_wait_is_told_whose_places_are_taken() {
    let places = places(|bounds| bounds.all_max = 2);
    let first = places.take("cern").unwrap();
    let error = places.take("cern").unwrap_err();
    assert_eq!(error.code(), Code::StreamsPartner);
    let _other = places.take("lab").unwrap();
    assert_eq!(places.take("third").unwrap_err().code(), Code::StreamsTotal);
    drop(first);
    assert!(places.take("third").is_ok());
}

#[tokio::test]
async fn who_does_not_wait_overtakes_nobody_who_does() {
    let places = places(|bounds| {
        bounds.all_max = 1;
        bounds.partner_max = 2;
    });
    let first = places.take("cern").unwrap();
    let mut waits = pin!(places.wait("cern", None));
    assert!(poll(waits.as_mut()).is_pending());
    drop(first);
    // The place is that of the one who waits, who has not heard of it yet.
    assert_eq!(places.take("lab").unwrap_err().code(), Code::StreamsTotal);
    assert!(waits.await.is_ok());
}

/// Tasks on several threads, of which every third is aborted at some moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_turn_is_lost_or_given_twice_when_many_come_and_go() {
    let places = places(|bounds| {
        bounds.all_max = 3;
        bounds.partner_max = 2;
        bounds.waiting_partner_max = 1000;
    });
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Nobody runs before the first of them is gone.
    let running = [places.take("a"), places.take("b"), places.take("c")];
    let tasks: Vec<_> = (0..300_u64)
        .map(|number| {
            let (places, now, most) = (Arc::clone(&places), Arc::clone(&now), Arc::clone(&most));
            tokio::spawn(async move {
                let partner = ["a", "b", "c"][(number % 3) as usize];
                let _place = places.wait(partner, None).await.unwrap();
                let running = now.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(running, Ordering::SeqCst);
                now.fetch_sub(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_micros(number % 7 * 300)).await;
            })
        })
        .collect();
    tasks[0].abort();
    drop(running);
    for (number, task) in tasks.iter().enumerate() {
        if number % 4 == 0 {
            tokio::time::sleep(Duration::from_micros(150)).await;
            task.abort();
        }
    }
    let mut aborted = 0;
    for task in tasks {
        match tokio::time::timeout(Duration::from_secs(120), task)
            .await
            .expect("one waits for ever")
        {
            Ok(()) => {}
            Err(error) if error.is_cancelled() => aborted += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(aborted > 0);
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(counts(&places), (0, 0));
}
