//! How many connections there are at most, and who goes when another one comes.
//!
//! Anybody on this machine can connect, and say nothing for as long as it is let. Were the places given to whoever comes
//! first, a thousand such connections would lock every client out, and the clients would take a healthy daemon for a
//! wedged one. So a place is lent: when there is none left, the oldest connection that never showed the token goes; when
//! all have shown it, the one that has been quiet for the longest. What is in flight for somebody with the token stays.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Load;
use crate::sys;

/// No more connections than this, whatever the limits allow.
pub(crate) const MOST: usize = 1024;

/// So many descriptors are left to the daemon's own files and to the embedder, or a quarter of all, if that is more.
const SPARE: usize = 32;

/// Somebody has to be served, with however few descriptors.
const FEWEST: usize = 4;

/// Whoever has just come is about to send its request, and is heard first. Not for long: the queue behind it moves at this
/// pace.
const GRACE: Duration = Duration::from_millis(20);

/// How often it is looked again whether a connection may go, while none may; and no more often whether one is late.
const NEXT_LOOK: Duration = GRACE;

/// The places, and who has them.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
    freed: Notify,
    /// Somebody has come.
    came: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// In the order in which they came.
    seats: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    load: Arc<Load>,
    came: Instant,
    /// `None` until its task is known, and again once it was told to go.
    task: Option<AbortHandle>,
}

/// Who may have to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Who never showed the token.
    Unknown,
    /// And then who is quiet.
    Anybody,
}

/// A taken place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    places: Arc<Places>,
}

impl Places {
    /// As many as this process has descriptors for.
    pub(super) fn new() -> Arc<Self> {
        Self::of(most_under(sys::descriptor_limit()))
    }

    fn of(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::default(),
            freed: Notify::new(),
            came: Notify::new(),
            emptied: Notify::new(),
        })
    }

    /// Whether one more may come.
    pub(super) fn has_room(&self) -> bool {
        self.taken().seats.len() < self.most
    }

    /// Takes a place, whether there is room or not.
    pub(super) fn take(self: &Arc<Self>, load: Arc<Load>) -> Place {
        let mut taken = self.taken();
        let number = taken.next;
        taken.next += 1;
        taken.seats.insert(number, Seat { load, came: Instant::now(), task: None });
        self.came.notify_one();
        Place { number, places: Arc::clone(self) }
    }

    /// Which task is to be ended when the place is needed.
    pub(super) fn lend(&self, number: u64, task: AbortHandle) {
        if let Some(seat) = self.taken().seats.get_mut(&number) {
            seat.task = Some(task);
        }
    }

    /// Waits until there is room, for which somebody may have to go.
    pub(super) async fn make_room(&self) {
        while !self.has_room() {
            self.free_one(Whom::Anybody, NEXT_LOOK).await;
        }
    }

    /// Has one of these go, if anybody may, and waits until a place is free, no longer than this.
    pub(super) async fn free_one(&self, whom: Whom, patience: Duration) {
        self.shed(whom, Instant::now());
        // Its descriptor is closed once its task has ended, and before that nothing is gained.
        if tokio::time::timeout(patience, self.freed.notified()).await.is_err() { /* looked at again */ }
    }

    /// Tells one connection to go; returns whether there was one that may.
    fn shed(&self, whom: Whom, now: Instant) -> bool {
        let mut taken = self.taken();
        let may_go = |seat: &&mut Seat| seat.task.is_some() && now.duration_since(seat.came) >= GRACE;
        let unknown = taken.seats.values_mut().filter(may_go).find(|seat| !seat.load.has_token());
        let victim = if unknown.is_some() || whom == Whom::Unknown {
            unknown
        } else {
            let known = taken.seats.values_mut().filter(may_go).filter(|seat| !seat.load.is_busy());
            known.min_by_key(|seat| seat.load.quiet_since())
        };
        let Some(task) = victim.and_then(|seat| seat.task.take()) else { return false };
        task.abort();
        true
    }

    /// Calls everybody.
    pub(super) fn call_all(&self) {
        self.taken().seats.values().for_each(|seat| seat.load.call());
    }

    /// Calls whoever takes too long for a request head, for as long as it is polled. One clock for all, which is looked at
    /// when the first may be late and not at each request.
    pub(super) async fn call_the_late(&self) -> Infallible {
        loop {
            match self.call_late() {
                // Nobody here, nothing to wake for: an idle daemon sleeps.
                Some(next) => {
                    if tokio::time::timeout(next, self.emptied.notified()).await.is_err() { /* somebody may be late */
                    }
                }
                None => self.came.notified().await,
            }
        }
    }

    /// Calls who is late now, and returns when somebody else may be; nobody is here if not.
    fn call_late(&self) -> Option<Duration> {
        let taken = self.taken();
        let left = taken.seats.values().map(|seat| {
            let left = seat.load.head_may_take();
            if left.is_zero() {
                seat.load.call();
            }
            left.max(NEXT_LOOK)
        });
        left.min()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.seats.remove(&self.number);
        if taken.seats.is_empty() {
            self.places.emptied.notify_one();
        }
        drop(taken);
        self.places.freed.notify_one();
    }
}

fn most_under(descriptors: Option<usize>) -> usize {
    let left = descriptors.map(|limit| limit.saturating_sub(SPARE.max(limit / 4)));
    left.map_or(MOST, |left| left.clamp(FEWEST, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::Activity;

    /// Some places, each with a task that goes on until it is told to go; the first came longest ago.
    struct Room {
        places: Arc<Places>,
        tasks: Vec<tokio::task::JoinHandle<()>>,
    }

    impl Room {
        fn with(loads: Vec<Load>) -> Self {
            let places = Places::of(loads.len());
            let tasks = loads.into_iter().map(|load| {
                let place = places.take(Arc::new(load));
                let number = place.number();
                let task = tokio::spawn(async move {
                    let _place = place;
                    std::future::pending::<()>().await;
                });
                places.lend(number, task.abort_handle());
                task
            });
            Self { tasks: tasks.collect(), places }
        }

        /// Which of them goes next, if any may.
        async fn shed(&self) -> Option<usize> {
            let before: Vec<bool> = self.tasks.iter().map(tokio::task::JoinHandle::is_finished).collect();
            if !self.places.shed(Whom::Anybody, Instant::now() + GRACE) {
                return None;
            }
            self.places.freed.notified().await;
            tokio::task::yield_now().await;
            (0..self.tasks.len()).find(|&at| self.tasks[at].is_finished() && !before[at])
        }
    }

    fn load(has_token: bool, requests: usize, quiet_since: u64) -> Load {
        let load = Load::new(Arc::new(Activity::new()));
        load.has_token.store(has_token, std::sync::atomic::Ordering::Relaxed);
        load.requests.store(requests, std::sync::atomic::Ordering::Relaxed);
        load.quiet_since.store(quiet_since, std::sync::atomic::Ordering::Relaxed);
        load
    }

    fn block_on(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn who_never_showed_the_token_goes_first_and_who_is_busy_with_it_stays() {
        block_on(async {
            let room = Room::with(vec![
                load(true, 1, 0),
                load(true, 0, 9),
                load(false, 1, 0),
                load(true, 0, 5),
                load(false, 0, 0),
            ]);
            for expected in [Some(2), Some(4), Some(3), Some(1), None] {
                assert_eq!(room.shed().await, expected);
            }
            assert!(room.places.has_room() && !room.tasks[0].is_finished());
        });
    }

    #[test]
    fn who_has_just_come_is_heard_first() {
        block_on(async {
            let room = Room::with(vec![load(false, 0, 0)]);
            assert!(!room.places.has_room() && !room.places.shed(Whom::Anybody, Instant::now()));
            // In time it may.
            room.places.make_room().await;
            assert!(room.places.has_room());
        });
    }

    #[test]
    fn who_is_late_with_a_request_is_called_and_nobody_else() {
        let places = Places::of(4);
        assert_eq!(places.call_late(), None);
        let activity = Arc::new(Activity::of_age(Duration::from_secs(40)));
        let [late, busy, fresh] = [(0, 5_000), (1, 5_000), (0, 25_000)].map(|(requests, quiet_since)| {
            let load = Arc::new(Load::new(Arc::clone(&activity)));
            load.requests.store(requests, std::sync::atomic::Ordering::Relaxed);
            load.quiet_since.store(quiet_since, std::sync::atomic::Ordering::Relaxed);
            load
        });
        let slow = Arc::new(Load::new(Arc::clone(&activity)));
        slow.quiet_since.store(5_000, std::sync::atomic::Ordering::Relaxed);
        slow.write_blocked.store(true, std::sync::atomic::Ordering::Relaxed);
        let _seats = [&late, &busy, &fresh, &slow].map(|load| places.take(Arc::clone(load)));
        let left = places.call_late();
        assert!(left.is_some_and(|left| left <= NEXT_LOOK), "the late one is looked at again soon: {left:?}");
        let cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert_eq!(
            [&late, &busy, &fresh, &slow].map(|load| load.take_call(&cx)),
            [true, false, false, false]
        );
        assert!(!late.take_call(&cx), "once for each call");
        assert!(fresh.head_may_take() <= Duration::from_secs(15) && !fresh.head_may_take().is_zero());
    }

    #[test]
    fn descriptors_are_left_for_everything_else() {
        assert_eq!(most_under(Some(64)), 32);
        assert_eq!(most_under(Some(256)), 192);
        assert_eq!(most_under(Some(1024)), 768);
        assert_eq!(most_under(Some(20_000)), MOST);
        assert_eq!(most_under(Some(10)), FEWEST);
        assert_eq!(most_under(None), MOST);
    }
}
