//! Parts of the table cut by several threads. Which thread cuts what changes nothing of the result:
//! a part's own cuts depend on the part alone, and classes are put in order afterwards.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Result;
use crate::pipeline::release::assembly;
use crate::pipeline::release::progress::Progress;

use super::node::{Ground, Node, Scratch};

/// Parts with fewer combinations are cut to the end by one thread.
const ALONE: usize = 20_000;

/// What is left to do, and how many are at work.
#[derive(Debug, Default)]
struct Queue {
    nodes: Vec<Node>,
    busy: usize,
}

/// Cuts until no part can be cut; what is left, in no order.
pub(super) fn cut(
    ground: &Ground<'_>,
    root: Node,
    threads: NonZero<usize>,
    progress: &dyn Progress,
) -> Result<Vec<Node>> {
    let of: u64 = root.members(ground).map(|(_, rows)| rows).sum();
    let team = Team {
        ground,
        queue: Mutex::new(Queue { nodes: vec![root], busy: 0 }),
        more: Condvar::new(),
        done: AtomicU64::new(0),
        of,
        stop: AtomicBool::new(false),
        progress,
    };
    let finished = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.get()).map(|_| scope.spawn(|| team.work())).collect();
        let mut finished = team.work();
        for other in others {
            match other.join() {
                Ok(more) => finished.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        finished
    });
    if team.stop.load(Relaxed) { Err(assembly::cancelled()) } else { Ok(finished) }
}

struct Team<'a> {
    ground: &'a Ground<'a>,
    queue: Mutex<Queue>,
    more: Condvar,
    done: AtomicU64,
    of: u64,
    stop: AtomicBool,
    progress: &'a dyn Progress,
}

impl Team<'_> {
    fn work(&self) -> Vec<Node> {
        let (mut scratch, mut finished) = (Scratch::default(), Vec::new());
        while let Some(node) = self.next() {
            self.handle(node, &mut scratch, &mut finished);
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.busy -= 1;
            drop(queue);
            self.more.notify_all();
        }
        finished
    }

    /// The next part; none when all is done or who watches ended it.
    fn next(&self) -> Option<Node> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.stop.load(Relaxed) {
                return None;
            }
            if let Some(node) = queue.nodes.pop() {
                queue.busy += 1;
                return Some(node);
            }
            if queue.busy == 0 {
                return None;
            }
            // Woken by time too, so that a part lost to a panic elsewhere holds nobody for ever.
            let woken = self.more.wait_timeout(queue, Duration::from_millis(50));
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn handle(&self, node: Node, scratch: &mut Scratch, finished: &mut Vec<Node>) {
        let alone = node.len(self.ground) <= ALONE;
        let mut nodes = vec![node];
        while let Some(mut node) = nodes.pop() {
            if self.progress.cancelled() {
                self.stop.store(true, Relaxed);
                return;
            }
            match node.split(self.ground, scratch) {
                Some(parts) if alone => nodes.extend(parts),
                Some(parts) => {
                    let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                    queue.nodes.extend(parts);
                    drop(queue);
                    self.more.notify_all();
                }
                None => {
                    let rows: u64 = node.members(self.ground).map(|(_, rows)| rows).sum();
                    let done = self.done.fetch_add(rows, Relaxed) + rows;
                    self.progress.at(done, self.of);
                    finished.push(node);
                }
            }
        }
    }
}
