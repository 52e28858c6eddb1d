//! Which trace a request belongs to (W3C Trace Context, `traceparent`).

use http::{HeaderMap, HeaderName, HeaderValue};

/// `traceparent`.
pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate`.
#[cfg(feature = "sidecar")]
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Bytes of a `traceparent` of version 00.
const LENGTH: usize = 55;
/// A `traceparent` of version 00.
pub(crate) type TraceText = [u8; LENGTH];
/// Whoever made it records the trace: the only flag that every version has.
const SAMPLED: u8 = 1;
/// Its number was drawn at random, so that its last bits spread evenly (W3C Trace Context level 2).
const RANDOM: u8 = 2;

/// A trace. The request that the cache hands on has it among its extensions if its client named none, so that a service behind the cache may
/// go on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    id: [u8; 16],
    flags: u8,
    /// The span that its client named as the parent; zero: nobody named the trace, it is ours.
    parent: u64,
}

impl Trace {
    /// The trace that a request with these headers belongs to; `None` if none is named, or not in the words of the standard.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(&TRACEPARENT).iter();
        let value = lines.next()?;
        if lines.next().is_some() { None } else { Self::parse(value.as_bytes()) }
    }

    /// A new trace, as nobody else has one.
    #[must_use]
    pub fn random() -> Self {
        let mut id = rand::random::<u128>().to_be_bytes();
        id[0] |= 1; // all zeros is no trace
        Self { id, flags: 0, parent: 0 }
    }

    /// W3C Trace Context section 3.2: of a version that is not known yet only what version 00 has is read.
    fn parse(value: &[u8]) -> Option<Self> {
        let (version, rest) = (byte(value.get(..2)?)?, value.get(LENGTH..)?);
        let longer = rest.first().is_none_or(|next| version > 0 && *next == b'-');
        let dashes = [2, 35, 52].iter().all(|at| value[*at] == b'-');
        if version == 0xff || !longer || !dashes {
            return None;
        }
        let mut id = [0; 16];
        for (place, digits) in id.iter_mut().zip(value[3..35].chunks(2)) {
            *place = byte(digits)?;
        }
        let mut parent = 0;
        for digits in value[36..52].chunks(2) {
            parent = parent << 8 | u64::from(byte(digits)?);
        }
        let flags = byte(&value[53..55])?;
        let nonzero = id != [0; 16] && parent != 0;
        // Who passes it on sets the bits that it does not know to zero ("Other Flags").
        let known = if version == 0 { SAMPLED | RANDOM } else { SAMPLED };
        nonzero.then_some(Self { id, flags: flags & known, parent })
    }

    /// Marked as recorded, or not.
    #[must_use]
    pub const fn sampled(self, sampled: bool) -> Self {
        Self { flags: if sampled { SAMPLED } else { 0 }, ..self }
    }

    /// A `traceparent` for a request that this one causes: another parent, the same trace and flags.
    #[must_use]
    pub fn child(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.text(new_span())).ok()
    }

    /// The same as its text, with `span` as the parent.
    pub(crate) fn text(&self, span: u64) -> TraceText {
        let mut text = [b'-'; LENGTH];
        text[..2].copy_from_slice(b"00");
        hex(&self.id, &mut text[3..35]);
        hex(&span.to_be_bytes(), &mut text[36..52]);
        hex(&[self.flags], &mut text[53..]);
        text
    }

    #[cfg(feature = "otel")]
    pub(crate) const fn id(&self) -> [u8; 16] {
        self.id
    }

    #[cfg(feature = "otel")]
    pub(crate) const fn flags(&self) -> u8 {
        self.flags
    }

    /// The span of whoever named this trace.
    pub(crate) fn parent(&self) -> Option<u64> {
        Some(self.parent).filter(|span| *span != 0)
    }

    /// Whether whoever named it records it; `None`: nobody has named it.
    pub(crate) fn is_recorded(&self) -> Option<bool> {
        self.parent().map(|_| self.flags & SAMPLED != 0)
    }

    /// Its number as hexadecimal digits.
    #[must_use]
    pub fn digits(&self) -> [u8; 32] {
        let mut text = [0; 32];
        hex(&self.id, &mut text);
        text
    }

    /// A number that is the same wherever somebody asks for that of this trace, and spreads evenly.
    pub(crate) fn dice(&self) -> u64 {
        let [high, low] = [0, 8].map(|at| self.id[at..at + 8].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)));
        mix(high ^ mix(low))
    }
}

/// A number for a span that nobody else has; never zero, which is none.
pub(crate) fn new_span() -> u64 {
    rand::random::<u64>() | 1
}

/// The last step of splitmix64: every bit of the number counts for every bit of the result.
pub(super) const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Writes `bytes` as hexadecimal digits, two for each.
pub(crate) fn hex(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, place) in bytes.iter().zip(into.as_chunks_mut().0) {
        *place = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
}

/// Two digits in lower case.
fn byte(digits: &[u8]) -> Option<u8> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    Some(value(digits[0])? << 4 | value(digits[1])?)
}

#[cfg(test)]
mod tests {
    use super::{TRACEPARENT, Trace};
    use http::{HeaderMap, HeaderValue};

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(lines: &[&str]) -> Option<Trace> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&TRACEPARENT, HeaderValue::from_str(line).unwrap());
        }
        Trace::of(&headers)
    }

    #[test]
    fn a_trace_goes_on_under_another_parent() {
        let trace = of(&[GOOD]).unwrap();
        assert_eq!(&trace.digits(), b"4bf92f3577b34da6a3ce929d0e0e4736");
        let child = trace.child().unwrap();
        let child = child.to_str().unwrap();
        assert!(child.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && child.ends_with("-01"), "{child}");
        assert!(!child.contains("00f067aa0ba902b7") && of(&[child]).map(|child| child.digits()) == Some(trace.digits()));
        assert_eq!((trace.parent(), trace.is_recorded()), (Some(0x00f0_67aa_0ba9_02b7), Some(true)));
        assert_eq!(of(&[str::from_utf8(&trace.text(7)).unwrap()]).unwrap().parent(), Some(7));
        assert_eq!(trace.dice(), of(&[child]).unwrap().dice());
    }

    #[test]
    fn what_the_standard_does_not_know_is_no_trace() {
        let zeros = GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let parent = GOOD.replace("00f067aa0ba902b7", &"0".repeat(16));
        let later = GOOD.replacen("00", "cc", 1);
        for bad in ["", "00", &GOOD[..54], &GOOD.to_uppercase(), &GOOD.replacen("00", "ff", 1), &format!("{GOOD}-x"), &zeros, &parent] {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!(of(&[GOOD, GOOD]), None);
        assert_eq!(of(&[]), None);
        for good in [later.clone(), format!("{later}-what-comes-later")] {
            assert!(of(&[&good]).is_some(), "{good}");
        }
        assert_eq!(of(&[&format!("{later}x")]), None);
    }

    #[test]
    fn flags_that_the_standard_does_not_know_go_no_further() {
        for (given, goes_on) in [("00", "00"), ("01", "01"), ("02", "02"), ("ff", "03"), ("fc", "00")] {
            let child = of(&[&format!("{}{given}", &GOOD[..53])]).unwrap().child().unwrap();
            assert!(child.to_str().unwrap().ends_with(&format!("-{goes_on}")), "{given}: {child:?}");
        }
        let later = of(&[&format!("cc{}ff", &GOOD[2..53])]).unwrap().child().unwrap();
        assert!(later.to_str().unwrap().ends_with("-01"), "{later:?}");
    }

    #[test]
    fn a_new_trace_is_one_of_the_standard() {
        let trace = Trace::random().sampled(true);
        let child = of(&[trace.child().unwrap().to_str().unwrap()]).unwrap();
        assert_eq!((child.digits(), child.is_recorded()), (trace.digits(), Some(true)));
        assert_eq!((trace.parent(), trace.is_recorded()), (None, None), "nobody has named it");
        assert_ne!(trace, Trace::random().sampled(true));
    }
}
