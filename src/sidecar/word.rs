//! What a connection is told from outside while it lives.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

/// What it is told; more cannot be taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    #[default]
    Nothing,
    /// It must finish what it does, and close.
    Finish,
    /// It must close now.
    Close,
}

/// Where one task hears it. To look whether anything was said takes no lock.
#[derive(Debug, Default)]
pub(super) struct Ear {
    said: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Ear {
    /// Says it, and wakes who listens.
    pub(super) fn say(&self, word: Word) {
        self.said.fetch_max(word as u8, Ordering::Release);
        let waker = self.waker.lock().clone(); // it stays: more may be said
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What was said.
    pub(super) fn said(&self) -> Word {
        match self.said.load(Ordering::Acquire) {
            0 => Word::Nothing,
            1 => Word::Finish,
            _ => Word::Close,
        }
    }

    fn listen(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }
}

/// Who listens at an [`Ear`]: the waker that was left there, so that it is left once and not at every turn.
#[derive(Debug, Default)]
pub(super) struct Listening(Option<Waker>);

impl Listening {
    /// What was said beyond what is `known`; until then the task is woken by it.
    pub(super) fn poll(&mut self, ear: &Ear, cx: &Context<'_>, known: Word) -> Poll<Word> {
        if !self.0.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            ear.listen(cx.waker());
            self.0 = Some(cx.waker().clone());
        }
        let said = ear.said();
        if said > known { Poll::Ready(said) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ear, Listening, Word};
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Poll;
    use tokio::task::yield_now;

    #[test]
    fn what_was_said_stays_said() {
        let ear = Ear::default();
        assert_eq!(ear.said(), Word::Nothing);
        for (word, said) in [(Word::Finish, Word::Finish), (Word::Close, Word::Close), (Word::Finish, Word::Close)] {
            ear.say(word);
            assert_eq!(ear.said(), said);
        }
    }

    #[tokio::test]
    async fn who_listens_is_woken_by_each_word_and_hears_no_word_twice() {
        let ear = Arc::new(Ear::default());
        let listener = Arc::clone(&ear);
        let heard = tokio::spawn(async move {
            let (mut listening, mut heard, mut known) = (Listening::default(), Vec::new(), Word::Nothing);
            while known < Word::Close {
                known = poll_fn(|cx| listening.poll(&listener, cx, known)).await;
                heard.push(known);
            }
            heard
        });
        for word in [Word::Finish, Word::Finish, Word::Close] {
            yield_now().await; // it sleeps again
            ear.say(word);
        }
        assert_eq!(heard.await.unwrap(), [Word::Finish, Word::Close]);
    }

    #[tokio::test]
    async fn another_task_can_go_on_listening() {
        let (ear, mut listening) = (Arc::new(Ear::default()), Listening::default());
        let first = poll_fn(|cx| Poll::Ready(listening.poll(&ear, cx, Word::Nothing)));
        assert_eq!(first.await, Poll::Pending);
        let listener = Arc::clone(&ear);
        let second = tokio::spawn(async move { poll_fn(|cx| listening.poll(&listener, cx, Word::Nothing)).await });
        yield_now().await;
        ear.say(Word::Close);
        assert_eq!(second.await.unwrap(), Word::Close);
    }
}
