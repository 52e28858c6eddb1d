//! `warmfront logs`: the events of a sidecar, as it streams them.

use super::args::{LogsArgs, LogsFormat};
use super::{Stop, exit};
use crate::cli::client::{self, Coming};
use crate::cli::signals::Signals;
use crate::cli::{Failure, report};
use crate::telemetry::log::pretty;
use serde_json::Value;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

/// A stream says every 15 s that it is alive: after so long it is not.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest line of a stream.
const MOST_LINE: usize = 1 << 20;

pub(in crate::cli) fn run(args: &LogsArgs) -> ExitCode {
    exit(client::block_on(show(args)).map_err(Stop::from).and_then(|shown| shown))
}

async fn show(args: &LogsArgs) -> Result<(), Stop> {
    let mut signals = Signals::take().map_err(|error| Failure::Work(format!("cannot take signals: {error}")))?;
    let admin = args.place.find()?;
    let path = if args.follow { "/api/logs/stream?recent=true" } else { "/api/logs/stream?recent=true&follow=false" };
    let mut coming = admin.open(path).await?;
    let colour = report::colour_on(&io::stdout());
    let mut messages = Messages::default();
    loop {
        let piece = tokio::select! {
            piece = next(&mut coming) => piece,
            _ = signals.next() => return Ok(()),
        };
        match piece {
            Some(bytes) => messages.take(&bytes, |message| print(&message, args.format, colour))?,
            None if args.follow => return Err(Failure::Work(format!("the stream has ended: the sidecar at {admin} has gone")).into()),
            None => return Ok(()),
        }
    }
}

async fn next(coming: &mut Coming) -> Option<bytes::Bytes> {
    tokio::time::timeout(SILENCE, coming.next()).await.ok().flatten()
}

fn print(message: &Message<'_>, format: LogsFormat, colour: bool) -> io::Result<()> {
    let Message { event, data } = message;
    if *event == "lost" {
        let count = serde_json::from_str::<Value>(data).ok().and_then(|value| value.get("lost")?.as_u64()).unwrap_or(0);
        report::note(&format!("{count} events were lost: they came faster than they are read here"));
        return Ok(());
    }
    // One piece, so that lines stay whole where several write to one place.
    let line = match format {
        LogsFormat::Json => format!("{data}\n"),
        LogsFormat::Pretty => pretty(data, colour) + "\n",
    };
    io::stdout().write_all(line.as_bytes())
}

/// Reads server-sent events: of each `data` line, which is a whole event here, the name of its message and itself.
#[derive(Debug, Default)]
struct Messages {
    rest: Vec<u8>,
    event: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    event: &'a str,
    data: &'a str,
}

impl Messages {
    fn take(&mut self, bytes: &[u8], mut each: impl FnMut(Message<'_>) -> io::Result<()>) -> Result<(), Stop> {
        self.rest.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.rest[from..]) {
            let line = String::from_utf8_lossy(&self.rest[from..from + length]);
            from += length + 1;
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line.is_empty() {
                self.event.clear();
            } else if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut self.event);
            } else if let Some(data) = line.strip_prefix("data: ") {
                each(Message { event: &self.event, data })?;
            }
        }
        self.rest.drain(..from);
        if self.rest.len() > MOST_LINE {
            return Err(Failure::Work("the admin API sends something else than events".into()).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Messages;

    #[test]
    fn messages_are_read_however_they_are_cut() {
        let stream = ":\n\nevent: events\ndata: {\"a\":1}\ndata: {\"b\":2}\n\nevent: lost\r\ndata: {\"lost\":3}\r\n\r\n";
        let all = [("events", "{\"a\":1}"), ("events", "{\"b\":2}"), ("lost", "{\"lost\":3}")];
        for size in 1..stream.len() {
            let (mut messages, mut read) = (Messages::default(), Vec::new());
            for piece in stream.as_bytes().chunks(size) {
                let keep = |message: super::Message<'_>| {
                    read.push((message.event.to_owned(), message.data.to_owned()));
                    Ok(())
                };
                messages.take(piece, keep).unwrap();
            }
            assert!(read.iter().map(|(event, data)| (event.as_str(), data.as_str())).eq(all), "{size}: {read:?}");
        }
        assert!(Messages::default().take(&vec![b'x'; super::MOST_LINE + 1], |_| Ok(())).is_err());
    }
}
