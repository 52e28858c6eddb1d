//! The thread that writes events, and the handle to it.

use crate::telemetry::log::feed::Feed;
use crate::telemetry::log::json::{self, Moments};
use crate::telemetry::log::layer::BatchLayer;
use crate::telemetry::log::pretty::pretty;
use crate::telemetry::log::queue::{Drained, Queue};
use crate::telemetry::log::record::Batch;
use crate::telemetry::log::sink::Sink;
use crate::telemetry::log::{Format, LogSettings, Subscription, TooMany};
use bytes::Bytes;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// A handle to the queue of events and to the thread that writes them. Cheap to clone; clones are the same. The default one has no thread, and
/// nothing comes of what its layer takes in.
#[derive(Clone, Debug)]
pub struct Logs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    feed: Feed,
    written: AtomicU64,
    settings: Mutex<LogSettings>,
    /// A sink that replaces the one in use.
    next: Mutex<Option<Sink>>,
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

/// What became of events. Those that wait are not in it yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounts {
    /// Written.
    pub kept: u64,
    /// Lost for want of room in the queue, or because they could not be written.
    pub dropped: u64,
}

impl Default for Logs {
    fn default() -> Self {
        Self::new(&LogSettings { queue: 0, ..LogSettings::default() })
    }
}

impl Logs {
    fn new(settings: &LogSettings) -> Self {
        Self(Arc::new(Inner {
            queue: Arc::new(Queue::new(settings.queue, settings.batch_max)),
            feed: Feed::default(),
            written: AtomicU64::new(0),
            settings: Mutex::new(settings.clone()),
            next: Mutex::default(),
            ended: Mutex::default(),
        }))
    }

    /// Starts a thread that writes what [`layer`](Self::layer) takes in.
    ///
    /// # Errors
    /// The file cannot be opened, which the message names; or there is no thread to be had.
    pub fn start(settings: &LogSettings) -> io::Result<Self> {
        Self::start_with(settings, open(settings)?)
    }

    /// As [`start`](Self::start), but nothing is written: only who [subscribes](Self::subscribe) hears of it.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start_unwritten(settings: &LogSettings) -> io::Result<Self> {
        Self::start_with(settings, Sink::Nowhere)
    }

    fn start_with(settings: &LogSettings, sink: Sink) -> io::Result<Self> {
        let logs = Self::new(settings);
        let (end, ended) = mpsc::channel();
        *logs.0.ended.lock() = Some(ended);
        let writer = Writer { inner: Arc::clone(&logs.0), sink, spare: Vec::new(), torn: false, troubled: false };
        std::thread::Builder::new().name("warmfront-logs".into()).spawn(move || {
            writer.run();
            drop(end);
        })?;
        Ok(logs)
    }

    /// The layer whose events are written; several may be made.
    #[must_use]
    pub fn layer(&self) -> BatchLayer {
        BatchLayer::new(Arc::clone(&self.0.queue))
    }

    /// Follows other settings from now on; all but `queue`, which is named if it would have to change.
    ///
    /// # Errors
    /// The file cannot be opened: nothing changes.
    pub fn reload(&self, settings: &LogSettings) -> io::Result<Vec<&'static str>> {
        let mut current = self.0.settings.lock();
        if settings.file != current.file {
            *self.0.next.lock() = Some(open(settings)?);
        }
        let restart = if settings.queue == current.queue { Vec::new() } else { vec!["logs.queue"] };
        *current = LogSettings { queue: current.queue, ..settings.clone() };
        self.0.queue.set_batch_max(settings.batch_max);
        drop(current);
        self.0.queue.ring(|rung| rung.reopen |= true);
        Ok(restart)
    }

    /// Opens the file again by its name, as after it has been moved.
    pub fn reopen(&self) {
        self.0.queue.ring(|rung| rung.reopen = true);
    }

    /// Listens in from now on; with `recent` the last events come first.
    ///
    /// # Errors
    /// Too many listen already.
    pub fn subscribe(&self, recent: bool) -> Result<Subscription, TooMany> {
        self.0.feed.subscribe(recent)
    }

    /// The last events, each a line of JSON: as many as fit into 256 KiB.
    #[must_use]
    pub fn recent(&self) -> Bytes {
        self.0.feed.recent()
    }

    /// Sends those away who listen in.
    pub fn release(&self) {
        self.0.feed.release();
    }

    /// What became of events so far.
    #[must_use]
    pub fn counts(&self) -> LogCounts {
        LogCounts { kept: self.0.written.load(Ordering::Relaxed), dropped: self.0.queue.dropped() }
    }

    /// Writes what waits and ends the thread. Returns when that is done, or after `patience`; `false`: it is not done, because the sink takes
    /// nothing. What comes later is dropped.
    pub fn close(&self, patience: Duration) -> bool {
        self.0.queue.ring(|rung| rung.close = true);
        let ended = self.0.ended.lock().take();
        ended.is_none_or(|ended| ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Disconnected))
    }
}

fn open(settings: &LogSettings) -> io::Result<Sink> {
    let path = settings.file.as_deref();
    Sink::open(path).map_err(|error| {
        let path = path.map_or_else(String::new, |path| path.display().to_string());
        io::Error::new(error.kind(), format!("logs.file {path} cannot be opened: {error}"))
    })
}

/// What the thread has.
struct Writer {
    inner: Arc<Inner>,
    sink: Sink,
    /// Room of batches that have been written.
    spare: Vec<Batch>,
    /// The last write ended within a line.
    torn: bool,
    /// The last write failed, and that has been said.
    troubled: bool,
}

impl Writer {
    fn run(mut self) {
        let inner = Arc::clone(&self.inner);
        loop {
            let rung = inner.queue.wait(|| inner.settings.lock().batch_delay);
            if rung.reopen {
                self.turn_to_next();
            }
            let drained = inner.queue.drain(&mut self.spare);
            self.write(&drained);
            inner.queue.give_back(drained, &mut self.spare);
            if rung.close {
                return inner.feed.release();
            }
        }
    }

    /// Another sink, or the same file by its name.
    fn turn_to_next(&mut self) {
        let next = self.inner.next.lock().take();
        let reopened = match next {
            // Where nothing is written, that stays so.
            Some(sink) if !matches!(self.sink, Sink::Nowhere) => {
                self.sink = sink;
                Ok(())
            }
            _ => self.sink.reopen(),
        };
        if let Err(error) = reopened {
            tracing::warn!(target: "warmfront::log", %error, "the log file cannot be opened again; the old one goes on");
        }
    }

    /// Writes everything, the oldest first, in batches.
    fn write(&mut self, drained: &Drained) {
        let times = drained
            .batches
            .iter()
            .enumerate()
            .flat_map(|(batch, events)| events.times().enumerate().map(move |(at, time)| (time, batch, at)));
        let mut order: Vec<(u64, usize, usize)> = times.collect();
        order.sort_unstable();
        let (format, batch_max) = {
            let settings = self.inner.settings.lock();
            (settings.format, settings.batch_max.max(1))
        };
        let (mut moments, mut lines) = (Moments::default(), Vec::new());
        for batch in order.chunks(batch_max) {
            lines.clear();
            let events = batch.iter().filter_map(|(_, of, at)| drained.batches.get(*of)?.event(*at));
            events.for_each(|event| json::write(&event, &mut moments, &mut lines));
            let count = batch.len() as u64;
            self.inner.feed.publish(&lines, count);
            match format {
                Format::Json => self.put(&lines, count),
                Format::Pretty => {
                    let text: String =
                        String::from_utf8_lossy(&lines).lines().map(|line| pretty(line, self.sink.in_colour()) + "\n").collect();
                    self.put(text.as_bytes(), count);
                }
            }
        }
    }

    fn put(&mut self, text: &[u8], events: u64) {
        let whole;
        let text = if std::mem::take(&mut self.torn) {
            whole = [b"\n", text].concat();
            &whole
        } else {
            text
        };
        match self.sink.write(text) {
            Ok(()) => {
                self.troubled = false;
                self.inner.written.fetch_add(events, Ordering::Relaxed);
            }
            Err((written, error)) => {
                self.torn = written > 0 && text.get(written - 1) != Some(&b'\n');
                self.inner.queue.count_dropped(events);
                if !std::mem::replace(&mut self.troubled, true) {
                    self.sink.complain(&error);
                    tracing::error!(target: "warmfront::log", %error, "events cannot be written; they are dropped until it goes again");
                }
            }
        }
    }
}
