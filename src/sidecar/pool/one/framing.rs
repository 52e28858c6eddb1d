//! How the body of a response is framed (RFC 9112 section 6.3), as a decision about what its head says.

use crate::rfc::hop::ends_here;
use crate::sidecar::pool::broken::Malformed;
use http::header::DATE;
use http::{HeaderName, StatusCode};

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    Chunked,
    /// With the connection.
    UntilClose,
}

/// What the fields of a head have said about its body and its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    length: Option<u64>,
    coding: Option<Coding>,
    close: bool,
    keep_alive: bool,
    /// Content-Length in more than one line, or with more than the digits it needs.
    wordy: bool,
    /// A field of this connection alone.
    hop: bool,
    dated: bool,
}

/// Transfer-Encoding, all lines together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Chunked,
    /// A word that is no coding.
    Unknown,
}

/// Codings that change what the bytes mean (RFC 9112 section 7). Behind a word that is none of them the body runs to the end of the
/// connection (section 6.3 rule 4), which is not used again.
const CODINGS: [&[u8]; 6] = [b"chunked", b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
/// No length of a body comes near. What does not fit a signed number may be another number somewhere behind us.
const MOST: u64 = i64::MAX as u64;

impl Said {
    /// Hears a line of Content-Length. A number may be repeated, on a line or on lines, as some have always done; other numbers may not (rule 5).
    pub(super) fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        self.wordy |= self.length.is_some() || value.len() > 1 && !matches!(value[0], b'1'..=b'9') || value.contains(&b',');
        for number in value.split(|&byte| byte == b',') {
            let number = digits(number.trim_ascii()).ok_or(Malformed::ContentLength)?;
            if self.length.is_some_and(|length| length != number) {
                return Err(Malformed::ContentLength);
            }
            self.length = Some(number);
        }
        Ok(())
    }

    /// Hears a line of Transfer-Encoding: `chunked` and nothing else, or no coding at all.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let coding =
            |member: &[u8]| member.split(|&byte| byte == b';').next().map(<[u8]>::trim_ascii).unwrap_or_default().to_ascii_lowercase();
        self.coding = Some(match self.coding {
            None if value.eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
            Some(Coding::Chunked) => return Err(Malformed::TransferEncoding),
            None | Some(Coding::Unknown) => {
                if value.split(|&byte| byte == b',').any(|member| CODINGS.contains(&&*coding(member))) {
                    return Err(Malformed::TransferEncoding);
                }
                Coding::Unknown
            }
        });
        Ok(())
    }

    /// Hears a line of Connection; whether it nominates anything that must go with it.
    pub(super) fn connection(&mut self, value: &[u8]) -> bool {
        let mut nominates = false;
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else {
                nominates |= !option.is_empty();
            }
        }
        self.hop |= nominates;
        nominates
    }

    /// Hears any other field.
    pub(super) fn field(&mut self, name: &HeaderName) {
        self.dated |= *name == DATE;
        self.hop |= ends_here(name, true);
    }

    /// Whether nothing need be done to the fields of a response before others see them: they are dated, have no field of the connection, and one framing in a
    /// form of its own.
    pub(super) fn is_settled(&self, status: StatusCode) -> bool {
        self.dated && !self.hop && !self.wordy && self.coding.is_none() && status != StatusCode::NO_CONTENT
    }

    /// Where the body of a response ends: to a HEAD if `head`, in HTTP/1.0 if `old`.
    pub(super) const fn framing(&self, head: bool, status: StatusCode, old: bool) -> Result<Framing, Malformed> {
        // Section 6.1: HTTP/1.0 knows no Transfer-Encoding; what says so all the same was framed by somebody who does not know what follows.
        if old && self.coding.is_some() {
            return Err(Malformed::TransferEncoding);
        }
        let silent = matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(match (self.coding, self.length) {
            _ if head || silent => Framing::Length(0),
            // Rule 3: a Content-Length beside it is a lie.
            (Some(Coding::Chunked), _) => Framing::Chunked,
            (Some(Coding::Unknown), _) | (None, None) => Framing::UntilClose,
            (None, Some(length)) => Framing::Length(length),
        })
    }

    /// Whether the connection may carry another request. Not after two framings at once, as somebody on the way may have believed the other one; nor after a 204
    /// that announces content, which may come all the same.
    pub(super) fn persists(&self, status: StatusCode, old: bool) -> bool {
        let ambiguous = self.coding.is_some() && self.length.is_some();
        let announces = self.coding.is_some() || self.length.is_some_and(|length| length > 0);
        !(self.close || ambiguous || old && !self.keep_alive || status == StatusCode::NO_CONTENT && announces)
    }
}

/// 1*DIGIT up to [`MOST`]: no sign, no blanks.
fn digits(value: &[u8]) -> Option<u64> {
    let sum = |sum: u64, &byte: &u8| if byte.is_ascii_digit() { sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')) } else { None };
    value.iter().try_fold(0, sum).filter(|&number| !value.is_empty() && number <= MOST)
}

#[cfg(test)]
mod tests {
    use super::{Framing, Malformed, Said};
    use http::{HeaderName, StatusCode};

    /// What a head says: `L` lines of Content-Length, `T` of Transfer-Encoding, `C` of Connection.
    fn said(lines: &[&str]) -> Result<Said, Malformed> {
        let mut said = Said::default();
        for line in lines {
            let (kind, value) = line.split_at(1);
            match kind {
                "L" => said.content_length(value.as_bytes())?,
                "T" => said.transfer_encoding(value.as_bytes())?,
                _ => {
                    said.connection(value.as_bytes());
                }
            }
        }
        Ok(said)
    }

    fn framing(lines: &[&str]) -> Result<Framing, Malformed> {
        said(lines)?.framing(false, StatusCode::OK, false)
    }

    #[test]
    fn a_body_ends_where_its_head_says() {
        for (lines, expected) in [
            (&["L0"][..], Framing::Length(0)),
            (&["L12"], Framing::Length(12)),
            (&["L007"], Framing::Length(7)),
            (&["L5", "L5"], Framing::Length(5)),
            (&["L5, 5"], Framing::Length(5)),
            (&["L9223372036854775807"], Framing::Length(i64::MAX as u64)),
            (&["TChunked"], Framing::Chunked),
            (&["L5", "Tchunked"], Framing::Chunked),
            (&["Tidentity"], Framing::UntilClose),
            (&["T", "Ta, b;c"], Framing::UntilClose),
            (&["L5", "Ta"], Framing::UntilClose),
            (&[], Framing::UntilClose),
        ] {
            assert_eq!(framing(lines), Ok(expected), "{lines:?}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for line in
            ["L-1", "L+5", "L0x5", "L", "L 5 5", "L5,", "L5, 6", "L1e3", "L9223372036854775808", "L99999999999999999999", "L\u{665}"]
        {
            assert_eq!(framing(&[line]), Err(Malformed::ContentLength), "{line}");
        }
        assert_eq!(framing(&["L5", "L6"]), Err(Malformed::ContentLength));
        for lines in [
            &["Tgzip"][..],
            &["Tgzip, chunked"],
            &["Tchunked, gzip"],
            &["Tchunked,"],
            &["Tchunked;a=b"],
            &["Tchunked, chunked"],
            &["Ta, X-Gzip ;q=1"],
            &["Tchunked", "Tchunked"],
            &["Tchunked", "Ta"],
            &["Ta", "Tchunked"],
        ] {
            assert_eq!(framing(lines), Err(Malformed::TransferEncoding), "{lines:?}");
        }
        assert_eq!(said(&["Tchunked"]).unwrap().framing(false, StatusCode::OK, true), Err(Malformed::TransferEncoding), "HTTP/1.0");
        assert_eq!(said(&["Ta"]).unwrap().framing(true, StatusCode::OK, true), Err(Malformed::TransferEncoding));
    }

    #[test]
    fn what_has_no_body_has_none_whatever_it_says() {
        let all = said(&["L5"]).unwrap();
        assert_eq!(all.framing(true, StatusCode::OK, false), Ok(Framing::Length(0)), "HEAD");
        for (status, length) in [(101, 0), (204, 0), (304, 0), (205, 5), (200, 5), (500, 5)] {
            let framing = all.framing(false, StatusCode::from_u16(status).unwrap(), false);
            assert_eq!(framing, Ok(Framing::Length(length)), "{status}");
        }
        assert_eq!(said(&["Tchunked"]).unwrap().framing(false, StatusCode::NOT_MODIFIED, false), Ok(Framing::Length(0)));
    }

    #[test]
    fn what_is_settled_needs_no_second_look() {
        let settled = |lines: &[&str], names: &[&'static str], status: u16| {
            let mut said = said(lines).unwrap();
            names.iter().for_each(|name| said.field(&HeaderName::from_static(name)));
            said.is_settled(StatusCode::from_u16(status).unwrap())
        };
        for lines in [&["L5"][..], &["L0"], &["L10", "Ckeep-alive"], &["Cclose"]] {
            assert!(settled(lines, &["date", "x"], 200), "{lines:?}");
        }
        for lines in [&["L5, 5"][..], &["L5", "L5"], &["L05"], &["L00"], &["L 5"], &["Tchunked"], &["Ta"], &["Ckeep-alive, x"]] {
            assert!(!settled(lines, &["date"], 200), "{lines:?}");
        }
        for names in [&[][..], &["date", "keep-alive"], &["date", "upgrade"], &["date", "proxy-authenticate"], &["date", "te"]] {
            assert!(!settled(&["L5"], names, 200), "{names:?}");
        }
        assert!(!settled(&["L5"], &["date"], 204));
    }

    #[test]
    fn a_connection_goes_on_if_both_sides_know_where_the_next_response_begins() {
        for (lines, current, old) in [
            (&["L1"][..], true, false),
            (&["L1", "Ckeep-alive"], true, true),
            (&["L1", "Cclose"], false, false),
            (&["L1", "CKeep-Alive, x", "Cy,CLOSE"], false, false),
            (&["L1", "Cclose", "Ckeep-alive"], false, false),
            (&["L1", "Cclosed"], true, false),
            (&["L1", "Tchunked"], false, false),
        ] {
            let said = said(lines).unwrap();
            assert_eq!((said.persists(StatusCode::OK, false), said.persists(StatusCode::OK, true)), (current, old), "{lines:?}");
        }
        for (lines, no_content, not_modified) in
            [(&["L0"][..], true, true), (&[], true, true), (&["L1"], false, true), (&["Tchunked"], false, true)]
        {
            let said = said(lines).unwrap();
            let persists = |status| said.persists(status, false);
            assert_eq!((persists(StatusCode::NO_CONTENT), persists(StatusCode::NOT_MODIFIED)), (no_content, not_modified), "{lines:?}");
        }
    }
}
