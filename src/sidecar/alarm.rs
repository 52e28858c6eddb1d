//! One timer for all the deadlines of a connection.

use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is only touched when it must ring *earlier* than it will: a deadline that moves on, as that of every request does, costs nothing.
/// When it rings too early, whoever waits asks again with the deadline of that moment.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Pin<Box<Timer>>,
    armed: bool,
}

pin_project! {
    #[derive(Debug)]
    struct Timer {
        #[pin]
        sleep: Sleep,
        // The waker that it has been given: the same task need not register it again.
        wakes: Option<Waker>,
    }
}

impl Alarm {
    /// A timer that is not set.
    pub(super) fn new() -> Self {
        Self { timer: Box::pin(Timer { sleep: sleep_until(Instant::now()), wakes: None }), armed: false }
    }

    /// Whether `due` has passed; if not, the task is woken at that time or before.
    pub(super) fn passed(&mut self, cx: &mut Context<'_>, due: Instant) -> bool {
        loop {
            let mut timer = self.timer.as_mut().project();
            if !self.armed || timer.sleep.deadline() > due {
                timer.sleep.as_mut().reset(due);
                self.armed = true;
            } else if timer.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) && !timer.sleep.is_elapsed() {
                return false;
            }
            // Without budget: where something else spends all of it in every turn, a deadline must be heard all the same.
            match Pin::new(&mut unconstrained(timer.sleep)).poll(cx) {
                Poll::Pending => {
                    *timer.wakes = Some(cx.waker().clone());
                    return false;
                }
                Poll::Ready(()) => self.armed = false,
            }
            if Instant::now() >= due {
                return true;
            }
        }
    }

    /// Sees to it that the task is woken at `due` or before, without polling a timer that will ring anyway.
    pub(super) fn set(&mut self, cx: &mut Context<'_>, due: Instant) {
        if (!self.armed || self.timer.sleep.deadline() > due) && self.passed(cx, due) {
            cx.waker().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Alarm;
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;
    use tokio::task::coop::{has_budget_remaining, poll_proceed};
    use tokio::time::{Instant, timeout};

    /// Asks with one deadline after the other, and then waits with the last. After how many seconds it rang.
    async fn rings_after(deadlines: [u64; 3]) -> u64 {
        let (start, mut alarm) = (Instant::now(), Alarm::new());
        let mut dues = deadlines.map(|seconds| start + Duration::from_secs(seconds)).into_iter();
        let mut due = start + Duration::from_secs(60);
        poll_fn(|cx| {
            for next in dues.by_ref() {
                assert!(!alarm.passed(cx, due));
                due = next;
            }
            if alarm.passed(cx, due) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        start.elapsed().as_secs()
    }

    #[tokio::test]
    async fn it_rings_for_a_task_that_has_spent_its_budget() {
        let (mut alarm, due) = (Alarm::new(), Instant::now() + Duration::from_millis(1));
        assert!(!poll_fn(|cx| Poll::Ready(alarm.passed(cx, due))).await);
        tokio::time::sleep_until(due + Duration::from_millis(1)).await;
        poll_fn(|cx| {
            while has_budget_remaining() {
                let Poll::Ready(unit) = poll_proceed(cx) else { continue };
                unit.made_progress();
            }
            assert!(alarm.passed(cx, due));
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_rings_when_due_though_the_deadline_has_moved_both_ways() {
        assert_eq!(rings_after([30, 10, 40]).await, 40);
        assert_eq!(rings_after([30, 40, 10]).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn it_wakes_the_task_that_asked_last() {
        let (mut alarm, due) = (Alarm::new(), Instant::now() + Duration::from_secs(10));
        for _ in 0..3 {
            assert!(!poll_fn(|cx| Poll::Ready(alarm.passed(cx, due))).await);
        }
        // A connection of a pool goes from task to task, and its alarm with it.
        let waiting = tokio::spawn(async move { poll_fn(|cx| if alarm.passed(cx, due) { Poll::Ready(()) } else { Poll::Pending }).await });
        timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap();
        assert_eq!(Instant::now(), due);
    }
}
