use super::{Gate, Place, Refused};
use crate::priority::Priority;
use crate::telemetry::{Refusal, Source};
use std::time::Duration;
use tokio::task::{JoinHandle, yield_now};

const LONG: Duration = Duration::from_secs(5);

/// A reader who may queue, one of at most three.
async fn reader(gate: &Gate) -> Result<Place, Refused> {
    gate.enter(None, 3, LONG).await
}

fn spawn_reader(gate: &Gate) -> JoinHandle<Result<Place, Refused>> {
    let gate = gate.clone();
    tokio::spawn(async move { reader(&gate).await })
}

fn warm() -> Priority {
    Priority::new(Source::Warm)
}

fn spawn_warm(gate: &Gate, priority: &Priority) -> JoinHandle<Result<Place, Refused>> {
    let (gate, priority) = (gate.clone(), priority.clone());
    tokio::spawn(async move { gate.enter(Some(&priority), 3, LONG).await })
}

/// Until all that can happen has happened.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_one_waits_beyond_the_queue_one_is_refused() {
    let gate = Gate::new(1, 0);
    let place = gate.enter(None, 1, LONG).await.unwrap();
    let waiting = tokio::spawn({
        let gate = gate.clone();
        async move { gate.enter(None, 1, LONG).await.map(drop) }
    });
    yield_now().await;
    assert_eq!(gate.enter(None, 1, LONG).await.unwrap_err().refusal, Refusal::QueueFull);
    drop(place);
    assert_eq!(waiting.await.unwrap(), Ok(()), "the place that came free");
    assert!(gate.enter(None, 0, LONG).await.is_ok(), "and was given back");
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_too_long_is_refused_and_leaves_the_queue() {
    let gate = Gate::new(1, 0);
    let _place = gate.enter(None, 1, LONG).await.unwrap();
    for _ in 0..2 {
        assert_eq!(gate.enter(None, 1, LONG).await.unwrap_err().refusal, Refusal::QueueTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_moves_under_way() {
    let gate = Gate::new(3, 0);
    let mut places = Vec::new();
    for _ in 0..3 {
        places.push(gate.enter(None, 0, LONG).await.unwrap());
    }
    gate.resize(1, 0);
    assert_eq!(gate.held(), 3, "nobody loses a place");
    places.truncate(1);
    assert_eq!(gate.enter(None, 0, LONG).await.unwrap_err().refusal, Refusal::QueueFull, "one is in, and one is the limit");
    gate.resize(2, 0);
    places.push(gate.enter(None, 0, LONG).await.unwrap());
    assert!(gate.enter(None, 0, LONG).await.is_err());
    assert_eq!(gate.held(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_yields_takes_no_more_than_its_share_of_free_places() {
    let gate = Gate::new(4, 2);
    let mut warming: Vec<_> = (0..3).map(|_| spawn_warm(&gate, &warm())).collect();
    settle().await;
    assert_eq!((gate.held(), warming[2].is_finished()), (2, false), "two places are free, and not for it");
    let place = warming.remove(0).await.unwrap().unwrap();
    drop(place);
    settle().await;
    assert!(warming[1].is_finished(), "the share that came free");
}

#[tokio::test(start_paused = true)]
async fn without_a_share_what_yields_is_refused_and_what_is_raised_is_a_reader() {
    let gate = Gate::new(4, 0);
    let priority = warm();
    assert_eq!(gate.enter(Some(&priority), 3, LONG).await.unwrap_err().refusal, Refusal::QueueFull);
    priority.raise();
    assert!(gate.enter(Some(&priority), 3, LONG).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn readers_who_come_later_go_first() {
    let gate = Gate::new(1, 1);
    let place = reader(&gate).await.unwrap();
    let warming = spawn_warm(&gate, &warm());
    settle().await;
    let (first, second) = (spawn_reader(&gate), spawn_reader(&gate));
    settle().await;
    drop(place);
    for waiting in [first, second] {
        settle().await;
        assert!(waiting.is_finished() && !warming.is_finished());
        drop(waiting.await.unwrap().unwrap());
    }
    settle().await;
    assert!(warming.is_finished(), "its turn, when nobody else waits");
}

#[tokio::test(start_paused = true)]
async fn waiting_aside_takes_no_room_in_the_queue_and_no_notice_of_its_time_out() {
    let gate = Gate::new(1, 1);
    let place = reader(&gate).await.unwrap();
    let warming: Vec<_> = (0..9).map(|_| spawn_warm(&gate, &warm())).collect();
    settle().await;
    let readers: Vec<_> = (0..3).map(|_| spawn_reader(&gate)).collect();
    settle().await;
    assert_eq!(gate.enter(None, 3, LONG).await.unwrap_err().refusal, Refusal::QueueFull);
    tokio::time::advance(LONG * 2).await;
    settle().await;
    for waiting in readers {
        assert_eq!(waiting.await.unwrap().unwrap_err().refusal, Refusal::QueueTimeout);
    }
    assert!(!warming.iter().any(JoinHandle::is_finished));
    drop(place);
    for waiting in warming {
        drop(waiting.await.unwrap().unwrap());
    }
    assert_eq!(gate.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_raised_request_queues_with_the_readers_and_frees_its_share() {
    let gate = Gate::new(1, 1);
    let place = reader(&gate).await.unwrap();
    let priority = warm();
    let (raised, other) = (spawn_warm(&gate, &priority), spawn_warm(&gate, &warm()));
    settle().await;
    priority.raise();
    settle().await;
    let later = spawn_reader(&gate);
    settle().await;
    drop(place);
    let place = raised.await.unwrap().unwrap();
    assert!(!later.is_finished() && !other.is_finished(), "in the order of the queue");
    drop(place);
    drop(later.await.unwrap().unwrap());
    drop(other.await.unwrap().unwrap());
    assert_eq!(gate.enter(None, 0, LONG).await.map(drop), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_raised_request_times_out_as_a_reader_does() {
    let gate = Gate::new(1, 1);
    let _place = reader(&gate).await.unwrap();
    let priority = warm();
    let raised = spawn_warm(&gate, &priority);
    settle().await;
    priority.raise();
    assert_eq!(raised.await.unwrap().unwrap_err().refusal, Refusal::QueueTimeout);
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_passes_its_share_and_its_wake_up_on() {
    let gate = Gate::new(1, 2);
    let place = reader(&gate).await.unwrap();
    let mut warming: Vec<_> = (0..4).map(|_| spawn_warm(&gate, &warm())).collect();
    settle().await;
    drop(place); // the first is woken, and gone before it looks
    warming[0].abort();
    warming[2].abort(); // and one that had no share yet
    settle().await;
    drop(warming.remove(1).await.unwrap().unwrap());
    drop(warming.remove(2).await.unwrap().unwrap());
    assert_eq!((gate.held(), gate.0.share.held(), gate.0.aside.load(super::Ordering::Relaxed)), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_leaves_the_queue_with_a_place_in_hand_leaves_it_to_those_aside() {
    let gate = Gate::new(1, 1);
    let place = reader(&gate).await.unwrap();
    let waiting = spawn_reader(&gate);
    let warming = spawn_warm(&gate, &warm());
    settle().await;
    drop(place); // handed to the reader, who goes without having seen it
    waiting.abort();
    settle().await;
    assert!(warming.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_larger_share_and_more_places_wake_those_aside() {
    let gate = Gate::new(1, 1);
    let _place = reader(&gate).await.unwrap();
    let warming: Vec<_> = (0..3).map(|_| spawn_warm(&gate, &warm())).collect();
    settle().await;
    gate.resize(4, 1);
    settle().await;
    assert_eq!(gate.held(), 2);
    gate.resize(4, 3);
    settle().await;
    assert!(warming.iter().all(JoinHandle::is_finished));
    gate.resize(4, 1);
    for waiting in warming {
        drop(waiting.await.unwrap().unwrap());
    }
    let warming: Vec<_> = (0..3).map(|_| spawn_warm(&gate, &warm())).collect();
    settle().await;
    assert_eq!((gate.held(), warming.iter().filter(|one| one.is_finished()).count()), (2, 1), "the smaller share holds");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_moves_for_a_whole_time_out_the_queue_is_cut_to_the_places() {
    let gate = Gate::new(2, 0);
    let places = [reader(&gate).await.unwrap(), reader(&gate).await.unwrap()];
    let enter = |gate: Gate| async move { gate.enter(None, 99, LONG).await };
    let mut waiting: Vec<_> = (0..4).map(|_| tokio::spawn(enter(gate.clone()))).collect();
    settle().await;
    tokio::time::advance(LONG - Duration::from_secs(1)).await;
    waiting.extend((0..4).map(|_| tokio::spawn(enter(gate.clone()))));
    settle().await;
    tokio::time::advance(Duration::from_secs(2)).await;
    settle().await;
    assert_eq!(waiting.iter().filter(|one| one.is_finished()).count(), 4, "the first four have waited in vain");
    let refused = enter(gate.clone()).await.unwrap_err();
    assert_eq!((refused.refusal, refused.wait), (Refusal::Overload, Some(LONG * 4)), "four before it, two places, and nothing has moved");
    drop(places);
    for one in waiting.drain(4..) {
        drop(one.await.unwrap().unwrap());
    }
    assert!(enter(gate).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost_between_threads() {
    let gate = Gate::new(2, 2);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let gate = gate.clone();
        tasks.spawn(async move {
            for _ in 0..2000 {
                let priority = (number > 2).then(warm);
                let place = gate.enter(priority.as_ref(), 9, Duration::from_mins(1)).await.unwrap();
                if number % 2 == 0 {
                    yield_now().await;
                }
                drop(place);
            }
        });
    }
    tokio::time::timeout(Duration::from_secs(30), tasks.join_all()).await.expect("all get through");
    assert_eq!((gate.held(), gate.0.share.held()), (0, 0));
}
