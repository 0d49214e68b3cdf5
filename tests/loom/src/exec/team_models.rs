//! Leaders and followers.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::team::Team;
use crate::model;

/// What each lane changes.
struct Counters(Vec<UnsafeCell<usize>>);

// SAFETY: that no two threads use a counter at a time is what the model checker finds out.
unsafe impl Sync for Counters {}

impl Counters {
    fn new(lanes: usize) -> Self {
        Self((0..lanes).map(|_| UnsafeCell::new(0)).collect())
    }

    fn add(&self, lane: usize) {
        // SAFETY: the model checker refuses another access meanwhile.
        self.0[lane].with_mut(|count| unsafe { *count += 1 });
    }

    fn get(&self, lane: usize) -> usize {
        // SAFETY: as above.
        self.0[lane].with(|count| unsafe { *count })
    }
}

/// A leader with regions, given by their lanes, and followers that do as `follow` says.
fn lead(regions: &'static [usize], followers: usize, follow: fn(&Team), switches: Option<usize>) {
    model(switches, move || {
        let team = Arc::new(Team::new());
        team.assemble();
        let threads: Vec<_> = (0..followers)
            .map(|_| {
                let team = team.clone();
                thread::spawn(move || follow(&team))
            })
            .collect();
        for &lanes in regions {
            // Of the region alone: a lane that is late uses memory that is gone.
            let counters = Counters::new(lanes);
            // SAFETY: this is the only thread that leads, and lanes count and nothing else.
            unsafe { team.run(lanes, &|lane| counters.add(lane)) };
            // Every lane once, and the leader sees what they did.
            assert!((0..lanes).all(|lane| counters.get(lane) == 1));
        }
        team.dismiss();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn one_region_with_a_follower() {
    lead(&[2], 1, Team::follow, None);
}

#[test]
fn regions_one_after_another() {
    lead(&[2, 1, 2], 1, Team::follow, Some(3));
}

/// Two threads that wait actively can wait for each other's steps for ever in a model, so that these look twice and go.
#[test]
fn two_followers() {
    let twice = |team: &Team| (0..2).for_each(|_| _ = team.take_lane());
    lead(&[2, 3], 2, twice, Some(2));
}

#[test]
fn a_panic_leaves_no_lane_behind() {
    model(Some(3), || {
        let team = Arc::new(Team::new());
        team.assemble();
        let follower = {
            let team = team.clone();
            thread::spawn(move || team.follow())
        };
        for bad in 0..2 {
            let counters = Counters::new(2);
            let region = std::panic::AssertUnwindSafe(|| {
                let lane = |lane: usize| {
                    counters.add(lane);
                    if lane == bad {
                        std::panic::resume_unwind(Box::new(bad));
                    }
                };
                // SAFETY: as in `lead`.
                unsafe { team.run(2, &lane) };
            });
            let panic = std::panic::catch_unwind(region).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&bad));
            assert!((0..2).all(|lane| counters.get(lane) == 1));
        }
        team.dismiss();
        follower.join().unwrap();
    });
}
