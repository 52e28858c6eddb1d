//! A stream, line by line, in one buffer that is used again and again.

use std::io::{self, ErrorKind, Read};

/// The longest line that is read.
pub(super) const LONGEST: usize = 64 << 10;
/// Several lines at a time, and always one more than the longest.
const BUFFER: usize = 256 << 10;

/// The lines of a stream.
#[derive(Debug)]
pub(super) struct Lines<R> {
    from: R,
    buffer: Box<[u8]>,
    /// What of the buffer is filled and not yet given out.
    start: usize,
    end: usize,
    /// Bytes read so far.
    pub(super) read: u64,
}

/// What a stream has next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line without its end.
    Whole(&'a [u8]),
    /// A line that is longer than [`LONGEST`]; it has been read over.
    TooLong,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: vec![0; BUFFER].into(), start: 0, end: 0, read: 0 }
    }

    /// What the stream begins with, as far as it has come.
    pub(super) fn beginning(&mut self) -> io::Result<&[u8]> {
        if self.end == 0 {
            self.fill()?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// The next line; `None` at the end of the stream.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = self.start;
        let mut too_long = false;
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[searched..self.end]).map(|at| searched + at);
            let (end, next) = match found {
                Some(at) => (at, at + 1),
                None => {
                    if self.end - self.start > LONGEST {
                        too_long = true;
                        self.start = self.end;
                    }
                    let waiting = self.end - self.start;
                    let more = self.fill()?;
                    searched = self.start + waiting;
                    if more {
                        continue;
                    }
                    if self.start == self.end && !too_long {
                        return Ok(None);
                    }
                    (self.end, self.end)
                }
            };
            let line = self.start..end;
            self.start = next;
            if too_long || line.len() > LONGEST {
                return Ok(Some(Line::TooLong));
            }
            let line = &self.buffer[line];
            return Ok(Some(Line::Whole(line.strip_suffix(b"\r").unwrap_or(line))));
        }
    }

    /// Reads more behind what is there; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        loop {
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    self.read += read as u64;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Line, Lines};
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::io::Read;

    /// Gives out a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let length = self.1.min(into.len());
            (&mut self.0).take(length as u64).read(into)
        }
    }

    /// The lengths of all lines; `None` for one that is too long.
    fn lengths(text: &[u8], step: usize) -> Vec<Option<usize>> {
        let mut lines = Lines::new(Drip(text, step));
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push(if let Line::Whole(line) = line { Some(line.len()) } else { None });
        }
        assert_eq!(lines.read, text.len() as u64);
        seen
    }

    #[test]
    fn lines_end_at_a_line_feed_and_at_the_end() {
        assert_eq!(lengths(b"", 9), []);
        assert_eq!(lengths(b"ab\r\n\nc", 9), [Some(2), Some(0), Some(1)]);
        assert_eq!(lengths(b"ab\n", 1), [Some(2)]);
    }

    #[test]
    fn a_line_that_is_too_long_is_one_line_however_long_it_is() {
        for length in [LONGEST, LONGEST + 1, 5 * LONGEST, 40 * LONGEST] {
            let expected = (length <= LONGEST).then_some(length);
            let line = vec![b'x'; length];
            for step in [1000, 1 << 20] {
                assert_eq!(lengths(&[&line[..], b"\nab\n"].concat(), step), [expected, Some(2)], "{length} by {step}");
                assert_eq!(lengths(&line, step), [expected], "{length} by {step}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_size_of_reads_makes_no_difference(text in any::<Vec<u8>>(), step in 1usize..50) {
            let whole: Vec<_> = text.split_inclusive(|b| *b == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
                .map(|line| Some(line.strip_suffix(b"\r").unwrap_or(line).len())).collect();
            prop_assert_eq!(lengths(&text, step), whole);
        }
    }
}
