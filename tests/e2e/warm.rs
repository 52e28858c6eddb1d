//! Warming by the real binary: from its start to its end, and users who ask for it on the data port.

use crate::client::{Client, Response};
use crate::house::{LONG, fresh, millis, request, until};
use crate::origin::{Act, Origin};
use crate::process::{Folder, Running};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A configuration with everything about warming in `rest`; readers name the host `h`.
fn file(upstream: SocketAddr, limits: &str, rest: &str) -> String {
    format!("[server]\nlisten = \"127.0.0.1:0\"\n[upstream]\nurls = [\"http://{upstream}\"]\n{limits}\n[warm]\nhosts = [\"h\"]\n{rest}")
}

fn group(name: &str, schedule: &str, targets: &[String]) -> String {
    format!("[[warm.groups]]\nname = \"{name}\"\nschedule = [{schedule}]\nrequests = {targets:?}\n")
}

fn targets(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("/{name}/{at}")).collect()
}

fn start(name: &str, text: &str) -> (Folder, Running, SocketAddr) {
    let folder = Folder::new(name);
    folder.write("warmfront.toml", text);
    let process = Running::start(folder.path(), &["run"], &[]);
    let address = process.address();
    (folder, process, address)
}

/// How many requests under `prefix` have come to the origin.
fn asked(origin: &Origin, prefix: &str) -> usize {
    origin.requests().iter().filter(|received| received.line().contains(&format!(" {prefix}"))).count()
}

async fn get(address: SocketAddr, path: &str) -> Response {
    let mut client = Client::connect(address).await;
    client.send(request(&format!("GET {path}"), &[], "")).await;
    tokio::time::timeout(LONG, client.final_response_to("GET")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_up_run_is_there_before_the_readers() {
    let origin = Origin::start(|received, _| fresh(received.line())).await;
    let (_folder, _process, address) = start("warm-start", &file(origin.address, "", &group("g", "\"startup\"", &targets("a", 10))));
    until("all are asked for", || asked(&origin, "/a/") == 10).await;
    for target in targets("a", 10) {
        let response = get(address, &target).await;
        assert!(response.is_hit() && response.text() == format!("GET {target} HTTP/1.1"), "{}", response.cache());
    }
    assert_eq!(origin.requests().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_down_at_the_start_is_warmed_when_it_is_up() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_folder, _process, address) = start("warm-down", &file(free, "", &group("g", "\"startup\"", &targets("a", 1))));
    let began = Instant::now();
    assert_eq!(get(address, "/reader").await.status, 502);
    assert!(began.elapsed() < Duration::from_secs(3), "and readers are told so at once");
    tokio::time::sleep(millis(1500)).await; // all tries of the first run have failed
    let origin = Origin::at(free, |received, _| fresh(received.line())).await;
    until("it comes back", || asked(&origin, "/a/0") == 1).await;
    assert!(get(address, "/a/0").await.is_hit());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_run_fills_the_upstream_readers_go_first() {
    let origin = Origin::start(|received, _| fresh(received.line()).after(millis(300))).await;
    let limits = "max_in_flight = 4\n";
    // More than there are places: some of it always stands before the gate.
    let settings = format!("max_share = 1.0\nconcurrency = 16\nmax_rate = 1000\n{}", group("g", "\"startup\"", &targets("warm", 200)));
    let (_folder, _process, address) = start("warm-slow", &file(origin.address, limits, &settings));
    until("the upstream is full", || asked(&origin, "/warm/") >= 8).await;
    let (began, before) = (Instant::now(), origin.requests().len());
    let readers: Vec<_> = (0..12).map(|at| tokio::spawn(async move { get(address, &format!("/reader/{at}")).await })).collect();
    for reader in readers {
        let response = reader.await.unwrap();
        assert!(response.status == 200 && response.complete && !response.is_hit());
    }
    let took = began.elapsed();
    let order: Vec<bool> = origin.requests().iter().map(|received| received.line().contains("/reader/")).collect();
    let last = order.iter().rposition(|reader| *reader).unwrap();
    let warm = order[before..last].iter().filter(|reader| !**reader).count();
    assert!(warm <= 6, "{warm} warm requests went before readers"); // those that went before the readers had come
    assert!(took < Duration::from_secs(4), "{took:?} for twelve readers, four at a time, 300 ms each");
    let seen = asked(&origin, "/warm/");
    until("the run goes on", || asked(&origin, "/warm/") > seen + 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_puts_another_plan_in_force_at_once_and_keeps_what_is_stored() {
    let origin = Origin::start(|received, _| {
        let short = received.line().contains("/short/");
        crate::house::answer(if short { "Cache-Control: max-age=1" } else { "Cache-Control: max-age=600" }, received.line())
    })
    .await;
    let old = [group("g", "\"startup\", \"every 1s\"", &targets("short", 2)), group("h", "\"startup\"", &targets("kept", 2))].concat();
    let (folder, process, address) = start("warm-reload", &file(origin.address, "", &old));
    until("the old plan runs", || asked(&origin, "/short/") >= 4 && asked(&origin, "/kept/") == 2).await;
    folder.write("warmfront.toml", &file(origin.address, "", &group("h", "\"every 1s\"", &targets("new", 3))));
    process.signal("HUP");
    tokio::task::block_in_place(|| process.wait_for("reloaded warmfront.toml"));
    until("the new plan runs", || asked(&origin, "/new/") == 3).await;
    let short = asked(&origin, "/short/");
    tokio::time::sleep(millis(1300)).await;
    assert_eq!(asked(&origin, "/short/"), short, "the old plan is over");
    for target in [targets("kept", 2), targets("new", 3)].concat() {
        assert!(get(address, &target).await.is_hit(), "{target}");
    }
    folder.write("warmfront.toml", &file(origin.address, "", &group("h", "\"every 1s\"", &["http://elsewhere/".to_owned()])));
    process.signal("HUP");
    tokio::task::block_in_place(|| process.wait_for("reload refused, nothing changed"));
    assert!(get(address, "/new/0").await.is_hit());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_does_not_wait_for_a_run() {
    let origin = Origin::always(Act::hang()).await;
    let (_folder, mut process, _) = start("warm-stop", &file(origin.address, "", &group("g", "\"startup\"", &targets("a", 100))));
    until("the run is under way", || asked(&origin, "/a/") >= 4).await;
    let began = Instant::now();
    process.signal("TERM");
    let code = tokio::task::block_in_place(|| process.end());
    assert_eq!(code, Some(0));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// A rule and a warm-up for users.
const USERS: &str = "[warm.user]\nrequests = [\"/api/me/profile\"]\n\
    [[rules]]\nname = \"me\"\npath = \"/api/me/**\"\nper_identity = { header = \"authorization\" }\nttl = \"30m\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_warmed_on_the_data_port_and_the_connection_goes_on() {
    let origin = Origin::start(|received, _| Act::ok(&format!("{} {}", received.line(), received.all("authorization").join(",")))).await;
    let (_folder, _process, address) = start("warm-user", &file(origin.address, "", USERS));
    let mut client = Client::connect(address).await;
    let alice = ["Authorization: alice"];
    let pipelined = [
        request("POST /api/user/warmup", &[&alice[..], &["Content-Length: 0"]].concat(), ""),
        request("GET /api/user/warmup", &alice, ""),
        request("POST /api/user/warmup", &alice, ""),
        request("GET /api/user/warmup", &[], ""),
        request("GET /plain", &[], ""),
    ]
    .concat();
    client.send(pipelined).await;
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(client.final_response_to("GET").await);
    }
    let codes: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(codes, [202, 200, 429, 401, 200]);
    assert_eq!(answers[0].text(), "{\"success\":true,\"newWarmupStarted\":true}");
    assert_eq!((answers[2].all("retry-after"), answers[3].all("www-authenticate")), (vec!["5"], vec!["Bearer"]));
    assert_eq!(answers[4].text(), "GET /plain HTTP/1.1 ");
    client.send(request("HEAD /api/user/warmup", &alice, "")).await;
    let head = client.final_response_to("HEAD").await;
    assert!(head.status == 200 && head.body.is_empty());
    until("the profile is asked for", || asked(&origin, "/api/me/profile") == 1).await;
    for (who, hit) in [("alice", true), ("bob", false)] {
        client.send(request("GET /api/me/profile", &[&format!("Authorization: {who}")], "")).await;
        let profile = client.final_response_to("GET").await;
        assert_eq!((profile.is_hit(), profile.text()), (hit, &*format!("GET /api/me/profile HTTP/1.1 {who}")));
    }
    // What is stored can be hit a moment before its run is over.
    let status = loop {
        client.send(request("GET http://h/api/user/warmup", &alice, "")).await;
        let status = client.final_response_to("GET").await;
        if status.text().contains("\"inProgress\":false") {
            break status;
        }
    };
    assert!(status.text().contains("\"isWarmedUp\":true") && status.text().contains("\"items\":1"), "{}", status.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_the_warm_up_is_never_read_as_requests() {
    let origin = Origin::start(|received, _| fresh(received.line())).await;
    let (_folder, _process, address) = start("warm-upload", &file(origin.address, "", USERS));
    // A mebibyte of what would be requests.
    let line = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let body = line.repeat((1 << 20) / line.len());
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("Content-Length: {}", body.len());
    for (number, (framing, body)) in
        [(length.as_str(), body.as_str()), ("Transfer-Encoding: chunked", chunked.as_str())].into_iter().enumerate()
    {
        let mut client = Client::connect(address).await;
        let upload = request("POST /api/user/warmup", &[&format!("Authorization: user{number}"), framing], body);
        let then = request("GET /after", &[], "");
        let mut stream = client.stream;
        // Whoever answers early may stop reading: what cannot be written is not read either.
        let (mut read, mut write) = stream.split();
        let both = upload + &then;
        let writing = async {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut write, both.as_bytes()).await;
        };
        let mut text = Vec::new();
        let reading = async {
            let mut piece = [0; 4096];
            while !String::from_utf8_lossy(&text).contains("GET /after HTTP/1.1") {
                match tokio::time::timeout(Duration::from_secs(5), tokio::io::AsyncReadExt::read(&mut read, &mut piece)).await {
                    Ok(Ok(count)) if count > 0 => text.extend_from_slice(&piece[..count]),
                    _ => break,
                }
            }
        };
        tokio::join!(writing, reading);
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("HTTP/1.1 202 "), "{framing}: {text}");
        let answers = text.matches("HTTP/1.1 2").count();
        assert!(answers <= 2 && !text.contains("smuggled"), "{framing}: {text}");
        client = Client::connect(address).await;
        assert_eq!(client.get("/after").await.text(), "GET /after HTTP/1.1");
    }
    assert_eq!(asked(&origin, "/smuggled"), 0);
    assert_eq!(asked(&origin, "/api/user/warmup"), 0);
}
