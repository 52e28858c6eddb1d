//! Parts of representations (RFC 9110 section 14, RFC 9111 sections 3.3 and 3.4).

use crate::origin::{Asked, Origin, Reply, data, fresh, ok, status};
use crate::world::{Got, World, date, get, method, world, world_with};
use warmfront::Settings;

const WHOLE: &str = "0123456789";
const OLD: &str = "Wed, 01 Nov 2023 00:00:00 GMT";

/// A cache that has the whole, with all validators.
async fn warm() -> World {
    let reply = fresh(WHOLE).etag("\"v1\"").h("last-modified", OLD).h("content-type", "text/plain").h("date", &date(0));
    let world = world(Origin::always(reply));
    world.get("/a").await;
    world
}

/// A part of [`WHOLE`] as an origin sends it.
fn part(start: usize, end: usize) -> Reply {
    part_of(WHOLE, start, end).etag("\"v1\"")
}

fn part_of(whole: &str, start: usize, end: usize) -> Reply {
    fresh(&whole[start..=end]).status(206).h("content-range", &format!("bytes {start}-{end}/{}", whole.len()))
}

/// An origin that knows ranges.
fn ranged(asked: &Asked) -> Reply {
    let range = asked.h("range");
    let Some((start, end)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return fresh(WHOLE).etag("\"v1\"");
    };
    part(start.parse().unwrap(), end.parse().unwrap())
}

fn range(value: &str) -> crate::world::Ask {
    get("/a").h("range", value)
}

/// The parts of a `multipart/byteranges` body: Content-Range and bytes.
fn multipart(got: &Got) -> Vec<(String, String)> {
    let kind = got.h("content-type");
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert_eq!(got.h("content-length"), got.body.len().to_string());
    let text = got.text();
    let text = text.strip_prefix(&format!("--{boundary}\r\n")).unwrap().strip_suffix(&format!("\r\n--{boundary}--\r\n")).unwrap();
    let between = format!("\r\n--{boundary}\r\n");
    let parts = text.split(&between).map(|part| {
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        assert_eq!(lines.next(), Some("content-type: text/plain"));
        (lines.next().unwrap().strip_prefix("content-range: ").unwrap().to_owned(), body.to_owned())
    });
    parts.collect()
}

#[tokio::test(start_paused = true)]
async fn one_range_of_a_stored_whole_is_a_206() {
    let world = warm().await;
    for (asked, content_range, body) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=-99", "bytes 0-9/10", WHOLE),
        ("bytes=8-99", "bytes 8-9/10", "89"),
        ("BYTES=2-4", "bytes 2-4/10", "234"),
        ("bytes= 2-4 ,", "bytes 2-4/10", "234"),
        ("bytes=2-4,99-", "bytes 2-4/10", "234"),
        ("bytes=0-3,2-5", "bytes 0-5/10", "012345"),
        ("bytes=0-3,4-5", "bytes 0-5/10", "012345"),
        ("bytes=0-99999999999999999999999", "bytes 0-9/10", WHOLE),
    ] {
        let got = world.send(range(asked)).await;
        assert_eq!((got.code(), got.text(), got.h("content-range")), (206, body, content_range.into()), "{asked}");
        assert_eq!((got.h("content-length"), got.h("etag")), (body.len().to_string(), "\"v1\"".into()), "{asked}");
        assert!(got.is_hit() && got.h("content-type") == "text/plain");
    }
    assert_eq!(world.origin.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_range_of_bytes_is_answered_with_the_whole() {
    let world = warm().await;
    for asked in ["bytes=4-2", "bytes=", "bytes=a-b", "lines=1-2", "bytes 2-4", "bytes=1-2,x", "bytes=--1", "2-4"] {
        let got = world.send(range(asked)).await;
        assert_eq!((got.code(), got.text(), got.has("content-range")), (200, WHOLE, false), "{asked}");
    }
    let twice = world.send(range("bytes=0-1").h("range", "bytes=2-3")).await;
    assert_eq!((twice.code(), twice.text()), (200, WHOLE));
    let head = world.send(method("HEAD", "/a").h("range", "bytes=0-1")).await;
    assert_eq!((head.code(), head.h("content-length")), (200, "10".into()));
}

#[tokio::test(start_paused = true)]
async fn a_range_beyond_the_end_is_a_416_that_says_how_long_it_is() {
    let world = warm().await;
    for asked in ["bytes=10-", "bytes=99-100", "bytes=-0", "bytes=10-,50-60"] {
        let got = world.send(range(asked)).await;
        assert_eq!((got.code(), got.text(), got.h("content-range")), (416, "", "bytes */10".into()), "{asked}");
        assert_eq!((got.h("content-length"), got.has("content-type")), ("0".into(), false));
    }
}

#[tokio::test(start_paused = true)]
async fn several_ranges_come_as_multipart_in_the_order_asked() {
    let world = warm().await;
    let parts = |list: &[(&str, &str)]| list.iter().map(|(range, body)| ((*range).to_owned(), (*body).to_owned())).collect::<Vec<_>>();
    for (asked, expected) in [
        ("bytes=0-1,4-5", parts(&[("bytes 0-1/10", "01"), ("bytes 4-5/10", "45")])),
        ("bytes=8-9,0-1", parts(&[("bytes 8-9/10", "89"), ("bytes 0-1/10", "01")])),
        ("bytes=0-1,-2,4-4", parts(&[("bytes 0-1/10", "01"), ("bytes 8-9/10", "89"), ("bytes 4-4/10", "4")])),
        ("bytes=0-2,5-6,1-3", parts(&[("bytes 0-3/10", "0123"), ("bytes 5-6/10", "56")])),
    ] {
        let got = world.send(range(asked)).await;
        assert_eq!((got.code(), got.has("content-range")), (206, false), "{asked}");
        assert_eq!(multipart(&got), expected, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_sixteen_ranges_are_answered_with_the_whole() {
    let world = world(Origin::always(fresh(&"x".repeat(100)).h("content-type", "text/plain")));
    world.get("/a").await;
    let ranges = |count: usize| format!("bytes={}", (0..count).map(|at| format!("{0}-{0}", at * 2)).collect::<Vec<_>>().join(","));
    let sixteen = world.send(range(&ranges(16))).await;
    assert_eq!((sixteen.code(), multipart(&sixteen).len()), (206, 16));
    assert_eq!(world.send(range(&ranges(17))).await.code(), 200);
    // They would all merge into one, but counting comes first.
    assert_eq!(world.send(range(&format!("bytes={}", vec!["0-"; 17].join(",")))).await.code(), 200);
}

#[tokio::test(start_paused = true)]
async fn if_range_decides_whether_the_range_counts() {
    let world = warm().await;
    for (value, code) in
        [("\"v1\"", 206), ("W/\"v1\"", 200), ("\"v2\"", 200), (OLD, 206), ("Wed, 01 Nov 2023 00:00:01 GMT", 200), ("nonsense", 200)]
    {
        assert_eq!(world.send(range("bytes=0-1").h("if-range", value)).await.code(), code, "{value}");
    }
    // A precondition comes before the range (RFC 9110 section 13.2.2).
    assert_eq!(world.send(range("bytes=0-1").h("if-none-match", "\"v1\"")).await.code(), 304);
    assert_eq!(world.send(range("bytes=99-").h("if-none-match", "\"v1\"")).await.code(), 304);
}

#[tokio::test(start_paused = true)]
async fn a_range_of_a_stored_error_is_the_whole_error() {
    let world = world(Origin::always(status(404).cc("max-age=60").steps([data("not there")])));
    world.get("/a").await;
    let got = world.send(range("bytes=0-1")).await;
    assert_eq!((got.code(), got.text()), (404, "not there"));
}

#[tokio::test(start_paused = true)]
async fn a_range_of_an_empty_body_is_the_empty_body() {
    let world = world(Origin::always(fresh("")));
    world.get("/a").await;
    for asked in ["bytes=-1", "bytes=0-"] {
        let got = world.send(range(asked)).await;
        assert!(got.body.is_empty() && matches!(got.code(), 200 | 416), "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_part_answers_ranges_inside_it_and_nothing_else() {
    let world = world(Origin::by(ranged));
    let got = world.send(range("bytes=2-6")).await;
    assert_eq!((got.code(), got.text(), got.h("content-range")), (206, "23456", "bytes 2-6/10".into()));
    assert_eq!(world.origin.last().h("range"), "bytes=2-6");
    for (asked, body) in [("bytes=2-6", "23456"), ("bytes=3-4", "34"), ("bytes=6-6", "6")] {
        let got = world.send(range(asked)).await;
        assert!(got.is_hit());
        assert_eq!((got.code(), got.text()), (206, body), "{asked}");
    }
    assert_eq!(world.origin.calls(), 1);
    let whole = world.get("/a").await;
    assert_eq!((whole.code(), whole.text(), whole.said()), (200, WHOLE, "warmfront; fwd=partial; stored"));
    assert!(world.send(range("bytes=0-9")).await.is_hit(), "the whole has replaced the part");
}

#[tokio::test(start_paused = true)]
async fn a_stored_part_is_not_used_against_if_range() {
    let world = world(Origin::by(|asked| if asked.has("if-range") { fresh("another one").etag("\"v2\"") } else { ranged(asked) }));
    world.send(range("bytes=2-6")).await;
    let got = world.send(range("bytes=2-6").h("if-range", "\"v2\"")).await;
    assert_eq!((got.code(), got.text()), (200, "another one"));
    assert_eq!((world.origin.calls(), world.origin.last().h("if-range")), (2, "\"v2\"".into()));
}

#[tokio::test(start_paused = true)]
async fn a_stored_part_is_used_where_if_range_names_it() {
    let world = world(Origin::by(ranged));
    world.send(range("bytes=2-6")).await;
    let got = world.send(range("bytes=3-4").h("if-range", "\"v1\"")).await;
    assert!(got.is_hit() && got.text() == "34");
}

#[tokio::test(start_paused = true)]
async fn a_stored_part_answers_no_head_and_no_doubled_range() {
    let world = world(Origin::by(|asked| match asked.method.as_str() {
        "HEAD" => fresh("").h("content-length", "10"),
        _ if asked.headers.get_all("range").iter().count() == 2 => fresh(WHOLE).etag("\"v1\""),
        _ => ranged(asked),
    }));
    world.send(range("bytes=2-6")).await;
    let head = world.send(method("HEAD", "/a").h("range", "bytes=2-6")).await;
    assert_eq!((head.code(), head.is_hit()), (200, false));
    let doubled = world.send(range("bytes=2-6").h("range", "bytes=0-0")).await;
    assert_eq!((doubled.code(), doubled.text()), (200, WHOLE));
}

#[tokio::test(start_paused = true)]
async fn parts_that_touch_and_share_a_strong_tag_are_put_together() {
    let world = world(Origin::by(ranged));
    for asked in ["bytes=2-4", "bytes=5-6", "bytes=1-3"] {
        world.send(range(asked)).await;
    }
    let got = world.send(range("bytes=1-6")).await;
    assert!(got.is_hit());
    assert_eq!((got.text(), got.h("content-range")), ("123456", "bytes 1-6/10".into()));
    for asked in ["bytes=7-9", "bytes=0-0"] {
        world.send(range(asked)).await;
    }
    let whole = world.get("/a").await;
    assert!(whole.is_hit());
    assert_eq!((whole.code(), whole.text(), whole.h("content-length"), whole.has("content-range")), (200, WHOLE, "10".into(), false));
    assert_eq!(world.origin.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn parts_without_the_same_strong_tag_or_with_a_gap_are_not_put_together() {
    let weak = |reply: Reply| reply.etag("W/\"v1\"");
    let cases: Vec<(&str, Reply, Reply)> = vec![
        ("no tag", part_of(WHOLE, 0, 4), part_of(WHOLE, 5, 9)),
        ("weak tags", weak(part_of(WHOLE, 0, 4)), weak(part_of(WHOLE, 5, 9))),
        ("another tag", part(0, 4), part_of(WHOLE, 5, 9).etag("\"v2\"")),
        ("another length", part(0, 4), part_of("0123456789A", 5, 10).etag("\"v1\"")),
        ("a gap", part(0, 3), part(5, 9)),
    ];
    for (name, first, second) in cases {
        let world = world(Origin::replies([first, second, fresh("the whole")]));
        world.send(range("bytes=0-4")).await;
        world.send(range("bytes=5-9")).await;
        assert_eq!(world.get("/a").await.text(), "the whole", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_parts_reach_the_client_and_are_not_stored() {
    let cases: Vec<(&str, Reply)> = vec![
        ("no Content-Range", fresh("234").status(206).etag("\"v1\"")),
        ("of unknown length", fresh("234").status(206).h("content-range", "bytes 2-4/*")),
        ("backwards", fresh("234").status(206).h("content-range", "bytes 4-2/10")),
        ("beyond the end", fresh("234").status(206).h("content-range", "bytes 8-10/10")),
        ("another Content-Length", fresh("234").status(206).h("content-range", "bytes 2-5/10").h("content-length", "3")),
        ("another length of the body", fresh("").status(206).h("content-range", "bytes 2-5/10").steps([data("234")])),
        (
            "several parts",
            fresh("234").status(206).h("content-range", "bytes 2-4/10").h("content-type", "multipart/byteranges; boundary=x"),
        ),
        ("no lifetime and no validator", ok("234").status(206).h("content-range", "bytes 2-4/10")),
    ];
    for (name, reply) in cases {
        let world = world(Origin::always(reply));
        let got = world.send(range("bytes=2-4")).await;
        assert_eq!((got.code(), got.text()), (206, "234"), "{name}");
        assert_eq!(world.cache.stats().entries, 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_never_answers_a_request_for_the_whole_even_while_it_is_being_filled() {
    // An origin that answers 206 although nobody asked for a range.
    let world = world(Origin::by(|asked| match asked.number {
        0 => part(0, 4).after(50),
        _ => fresh(WHOLE),
    }));
    let got = world.crowd(10, |_| get("/a")).await;
    assert_eq!(got.iter().filter(|got| got.code() == 206).count(), 1, "only the one who got it from the origin");
    assert!(got.iter().filter(|got| got.code() == 200).all(|got| got.text() == WHOLE));
}

#[tokio::test(start_paused = true)]
async fn a_range_of_nothing_stored_asks_for_that_range_and_a_416_is_not_stored() {
    let world =
        world(Origin::by(
            |asked| {
                if asked.has("range") { status(416).cc("max-age=60").h("content-range", "bytes */10") } else { fresh(WHOLE) }
            },
        ));
    assert_eq!(world.send(range("bytes=99-")).await.code(), 416);
    assert_eq!(world.get("/a").await.text(), WHOLE);
    assert_eq!(world.send(range("bytes=99-")).await.code(), 416);
    assert_eq!(world.origin.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_stale_whole_is_validated_as_a_whole_and_then_cut() {
    let world = world(Origin::replies([fresh(WHOLE).etag("\"v1\""), status(304).cc("max-age=60")]));
    world.get("/a").await;
    world.pass(61);
    let got = world.send(range("bytes=2-4")).await;
    assert_eq!((got.code(), got.text()), (206, "234"));
    assert!(!world.origin.last().has("range"));
}

#[tokio::test(start_paused = true)]
async fn a_stale_part_is_validated_with_its_range() {
    let world = world(Origin::replies([part(2, 6), status(304).cc("max-age=60")]));
    world.send(range("bytes=2-6")).await;
    world.pass(61);
    let got = world.send(range("bytes=3-4")).await;
    assert_eq!((got.code(), got.text(), got.h("content-range")), (206, "34", "bytes 3-4/10".into()));
    assert_eq!((world.origin.last().h("range"), world.origin.last().h("if-none-match")), ("bytes=3-4".into(), "\"v1\"".into()));
    assert!(world.send(range("bytes=2-6")).await.is_hit());
}

#[tokio::test(start_paused = true)]
async fn odd_ranges_of_a_cold_key_do_not_scatter_the_next_crowd() {
    let world = world(Origin::by(|asked| match asked.h("range").as_str() {
        "" => fresh(WHOLE).after(50),
        _ => fresh("x").status(206).h("content-type", "multipart/byteranges; boundary=x"),
    }));
    world.send(range("bytes=0-0,2-2")).await;
    world.send(get("/a").h("range", "bytes=0-0").h("if-match", "\"x\"").h("if-none-match", "\"y\"")).await;
    world.crowd(20, |_| get("/a")).await;
    assert_eq!(world.origin.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn put_together_parts_stay_below_max_object() {
    let world = world_with(Settings { max_object: 6, ..Settings::default() }, Origin::by(ranged));
    for asked in ["bytes=0-4", "bytes=5-9"] {
        assert_eq!(world.send(range(asked)).await.code(), 206);
    }
    assert_eq!(world.get("/a").await.said(), "warmfront; fwd=partial; detail=too-large");
}
