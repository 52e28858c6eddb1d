//! Lines as servers write them.

use super::read;
use crate::cli::learn::answered::Answered;
use crate::cli::learn::draft::Took;
use crate::cli::learn::names::Names;
use proptest::prelude::{any, prop_assert_eq, proptest};

/// Method, target, status; host; whether somebody had signed in; time; cache.
type Expected<'a> = (&'a str, &'a str, u16, Option<&'a str>, bool, Took, Option<Answered>);

fn check(line: &str, expected: Expected<'_>) {
    let names = Names::new();
    let asked = read(line.as_bytes(), &names).unwrap_or_else(|| panic!("not recognised: {line}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (method, target, host) = (text(&asked.method), text(&asked.target), asked.host.as_deref().map(text));
    let found = (&*method, &*target, asked.status, host.as_deref(), asked.user, asked.took, asked.answered);
    assert_eq!(found, expected, "{line}");
}

#[test]
fn common_and_combined_lines_are_read() {
    for (line, expected) in [
        // RFC-like example of Apache's manual.
        (
            r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326"#,
            ("GET", "/apache_pb.gif", 200, None, true, Took::Unknown, None),
        ),
        (
            r#"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.0" 304 - "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)""#,
            ("GET", "/a?b=c", 304, None, false, Took::Unknown, None),
        ),
        // nginx's `main`, whose last column is X-Forwarded-For.
        (
            r#"93.180.71.3 - - [17/May/2015:08:05:32 +0000] "GET /downloads/product_1 HTTP/1.1" 304 0 "-" "Debian APT-HTTP/1.3 (0.8.16)" "10.0.0.1, 1.2.3.4""#,
            ("GET", "/downloads/product_1", 304, None, false, Took::Unknown, None),
        ),
        // Apache's vhost_combined.
        (
            r#"shop.example.com:443 2001:db8::7 - - [10/Oct/2024:13:55:36 +0200] "HEAD / HTTP/1.1" 200 512 "-" "curl/8.5.0""#,
            ("HEAD", "/", 200, Some("shop.example.com:443"), false, Took::Unknown, None),
        ),
        (
            r#"2001:db8::1 - john smith [10/Oct/2024:13:55:36 +0200] "GET / HTTP/1.1" 200 512 "-" "-""#,
            ("GET", "/", 200, None, true, Took::Unknown, None),
        ),
        (r#"10.0.0.1 ident mary [t] "GET / HTTP/1.1" 200 5"#, ("GET", "/", 200, None, true, Took::Unknown, None)),
        (r#"a.example 10.0.0.1 ident - [t] "GET / HTTP/1.1" 200 5"#, ("GET", "/", 200, Some("a.example"), false, Took::Unknown, None)),
        // Through syslog.
        (
            r#"<190>Oct 10 13:55:36 web1 nginx: 10.0.0.1 - - [10/Oct/2024:13:55:36 +0000] "GET /x HTTP/2.0" 200 5 "-" "-""#,
            ("GET", "/x", 200, None, false, Took::Unknown, None),
        ),
        // HTTP/0.9, nothing at all, and a TLS handshake on a plain port.
        (r#"10.0.0.1 - - [t] "GET /old" 200 5"#, ("GET", "/old", 200, None, false, Took::Unknown, None)),
        (r#"10.0.0.1 - - [t] "-" 408 -"#, ("-", "-", 408, None, false, Took::Unknown, None)),
        (r#"10.0.0.1 - - [t] "\x16\x03\x01\x02" 400 157 "-" "-""#, ("-", "\x16\x03\x01\x02", 400, None, false, Took::Unknown, None)),
    ] {
        check(line, expected);
    }
}

#[test]
fn columns_behind_the_user_agent_are_read_if_they_can_be_nothing_else() {
    let (origin, request) = (Took::Origin, Took::Request);
    for (columns, took, answered) in [
        ("0.123", request(123_000), None),
        ("\"0.123\"", request(123_000), None),
        ("0.123 0.100", request(123_000), None),
        ("rt=0.123", request(123_000), None),
        ("rt=0.123 uct=\"0.001\" uht=\"0.119\" urt=\"0.120\" cs=MISS", origin(120_000), Some(Answered::Origin)),
        ("rt=0.000 urt=- cs=HIT", request(0), Some(Answered::Cache)),
        ("urt=\"0.001, 0.120\" ucs=EXPIRED", origin(121_000), Some(Answered::Origin)),
        ("0.500 upstream_response_time=0.250 upstream_cache_status=BYPASS", origin(250_000), Some(Answered::Past)),
        ("0.001 HIT", request(1000), Some(Answered::Cache)),
        ("\"MISS\" 0.007", request(7000), Some(Answered::Origin)),
        ("HIT cs=MISS 9.5 rt=1.5", request(1_500_000), Some(Answered::Origin)),
        // Traefik: count of requests, router, server, time.
        ("421 \"api@docker\" \"http://10.0.0.2:80\" 12ms", request(12_000), None),
        // ingress-nginx: length, time, and the upstream's figures without labels.
        ("346 0.043 [default-api-80] [] 10.0.0.2:8080 612 0.040 200 7c3b1e", request(43_000), None),
        // Clients say what they like in X-Forwarded-For.
        ("\"rt=77.0\" \"hit\"", Took::Unknown, None),
        ("1502856890.123 12345 miss", Took::Unknown, None),
        ("host=evil status=500 request=x user=bob", Took::Unknown, None),
    ] {
        let line = format!(r#"10.0.0.1 - - [t] "GET /x HTTP/1.1" 200 5 "rt=5.5" "cs=HIT \"9.9" {columns}"#);
        let host = columns.starts_with("host=").then_some("evil");
        check(&line, ("GET", "/x", 200, host, false, took, answered));
    }
    check(r#"10.0.0.1 - - [t] "GET /x HTTP/1.1" 200 5 rt=0.5 0.7"#, ("GET", "/x", 200, None, false, request(500_000), None));
    check(r#"10.0.0.1 - - [t] "GET /x HTTP/1.1" 200 5 0.7"#, ("GET", "/x", 200, None, false, Took::Unknown, None));
}

#[test]
fn escapes_in_the_request_are_undone() {
    for (escaped, target) in [
        (r#"/a\"b"#, "/a\"b"),
        (r"/a\x22b\x2F", "/a\"b/"),
        (r"/a\\x22", r"/a\x22"),
        (r"/\xe4\xbd\xa0", "/\u{4f60}"),
        (r"/\xzz\t", "/xzz\t"),
        (r"/a b", "/a b"),
    ] {
        check(&format!(r#"10.0.0.1 - - [t] "GET {escaped} HTTP/1.1" 200 5"#), ("GET", target, 200, None, false, Took::Unknown, None));
    }
}

#[test]
fn json_lines_are_read_by_the_names_that_servers_use() {
    for (line, expected) in [
        // nginx, escape=json: everything is a text.
        (
            r#"{"time":"2024-10-10T13:55:36+00:00","remote_addr":"10.0.0.1","remote_user":"","request":"GET /a?b=%22 HTTP/1.1","uri":"/a","status":"200","request_time":"0.123","upstream_response_time":"0.120","upstream_cache_status":"MISS","host":"a.example"}"#,
            ("GET", "/a?b=%22", 200, Some("a.example"), false, Took::Origin(120_000), Some(Answered::Origin)),
        ),
        (
            r#"{"request_method":"GET","uri":"/a","args":"b=1","status":200,"request_time":0.5,"upstream_response_time":"-","server_name":"_"}"#,
            ("GET", "/a?b=1", 200, None, false, Took::Request(500_000), None),
        ),
        (
            r#"{"request_method":"GET","uri":"/rewritten","request_uri":"/a?c=1","args":"c=1","status":200,"remote_user":"bob"}"#,
            ("GET", "/a?c=1", 200, None, true, Took::Unknown, None),
        ),
        (
            r#"{"method":"GET","request_uri":"/a?c=1","uri":"/rewritten","status":200,"latency":0.25}"#,
            ("GET", "/a?c=1", 200, None, false, Took::Request(250_000), None),
        ),
        // Caddy 2.
        (
            r#"{"level":"info","ts":1646861401.5241024,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"127.0.0.1","remote_port":"41342","client_ip":"127.0.0.1","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/a?b=1","headers":{"User-Agent":["curl/7.82.0"],"Accept":["*/*"]},"tls":{"resumed":false,"version":772}},"bytes_read":0,"user_id":"","duration":0.000929675,"size":10900,"status":200,"resp_headers":{"Server":["Caddy"],"Cache-Status":["Souin; fwd=uri-miss; stored"]}}"#,
            ("GET", "/a?b=1", 200, Some("localhost"), false, Took::Request(930), Some(Answered::Origin)),
        ),
        (
            r#"{"request":{"method":"GET","host":"h","uri":"/","headers":{"Authorization":["REDACTED"]}},"user_id":"","duration":2,"status":200}"#,
            ("GET", "/", 200, Some("h"), true, Took::Request(2_000_000), None),
        ),
        // Envoy.
        (
            r#"{"authority":"api.example","bytes_received":0,"bytes_sent":3,"duration":25,"method":"GET","path":"/a?b=1","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","upstream_service_time":"24","user_agent":null}"#,
            ("GET", "/a?b=1", 200, Some("api.example"), false, Took::Origin(24_000), None),
        ),
        (r#"{"method":"GET","path":"/a","response_code":200,"duration":25}"#, ("GET", "/a", 200, None, false, Took::Request(25_000), None)),
        // Traefik.
        (
            r#"{"ClientAddr":"10.0.0.1:5","ClientUsername":"-","DownstreamStatus":200,"Duration":5184000,"OriginDuration":5000000,"OriginStatus":200,"RequestHost":"w.example","RequestMethod":"GET","RequestPath":"/a?b=1","RequestProtocol":"HTTP/1.1","level":"info"}"#,
            ("GET", "/a?b=1", 200, Some("w.example"), false, Took::Origin(5000), None),
        ),
        // Elastic Common Schema, Google Cloud, warmfront.
        (
            r#"{"http":{"request":{"method":"GET"},"response":{"status_code":200}},"url":{"path":"/a","query":"b=1","domain":"e"},"event":{"duration":3000000}}"#,
            ("GET", "/a?b=1", 200, Some("e"), false, Took::Request(3000), None),
        ),
        (
            r#"{"httpRequest":{"requestMethod":"GET","requestUrl":"https://g.example/a","status":200,"latency":"0.25s"}}"#,
            ("GET", "https://g.example/a", 200, None, false, Took::Request(250_000), None),
        ),
        (
            r#"{"method":"GET","host":"h","path":"/a","query":"b=1","status":200,"outcome":"hit","duration_ms":0.4}"#,
            ("GET", "/a?b=1", 200, Some("h"), false, Took::Request(400), Some(Answered::Cache)),
        ),
        ("  {\"method\":\"GET\",\"url\":\"\\/a\\u0041\",\"status\":200}  ", ("GET", "/aA", 200, None, false, Took::Unknown, None)),
    ] {
        check(line, expected);
    }
}

#[test]
fn what_is_no_line_of_an_access_log_is_not_recognised() {
    for line in [
        "",
        "hello",
        "2024/10/10 13:55:36 [error] 7#7: *1 open() \"/x\" failed",
        r#"10.0.0.1 - - [t] "GET / HTTP/1.1"#,
        r#"10.0.0.1 - - [t] "GET / HTTP/1.1" two 5"#,
        r#"10.0.0.1 - - [t] "GET / HTTP/1.1" 20 5"#,
        r#"10.0.0.1 - - t "GET / HTTP/1.1" 200 5"#,
        r#"[t] "GET / HTTP/1.1" 200 5"#,
        r#"10.0.0.1 - - [t] "GET /\"#,
        "{}",
        "{",
        r#"{"method":"GET","uri":"/","status":200} {}"#,
        r#"{"method":"GET","uri":"/","status":true}"#,
        r#"{"method":"GET","uri":"/","status":20000}"#,
        r#"{"method":"GET","status":200}"#,
        r#"{"uri":"/","status":200}"#,
        r#"["GET"]"#,
    ] {
        assert!(read(line.as_bytes(), &Names::new()).is_none(), "{line}");
    }
}

proptest! {
    #[test]
    fn a_target_survives_the_escapes_of_nginx(target in any::<Vec<u8>>()) {
        let escaped: String = target.iter().map(|byte| match byte {
            b' ' | b'"' | b'\\' | 0..=31 | 127.. => format!("\\x{byte:02X}"),
            _ => char::from(*byte).to_string(),
        }).collect();
        let line = format!(r#"a - - [t] "GET /{escaped} HTTP/1.1" 200 5"#);
        let names = Names::new();
        let asked = read(line.as_bytes(), &names).unwrap();
        prop_assert_eq!(&asked.target[1..], &target[..]);
    }
}
