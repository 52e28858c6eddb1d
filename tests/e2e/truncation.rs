//! A response over TLS that is cut where only the end of the connection says that it is whole.

use crate::house::House;
use crate::secure::{Authority, origin, server};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use warmfront::sidecar::settings::UpstreamTls;

#[tokio::test]
async fn what_ends_without_a_farewell_is_stored_nowhere_and_what_ends_with_one_is() {
    let (authority, asked) = (Authority::new(), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let (address, _) = origin(server(&authority.issue("localhost"), None, &[]), move |mut stream: TlsStream<TcpStream>| {
        let count = count.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return }; // opened ahead, and never used
                head.push(byte);
            }
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nhello world").await.unwrap();
            stream.flush().await.unwrap();
            if head.starts_with(b"GET /whole") {
                stream.shutdown().await.unwrap();
            } else {
                stream.get_mut().0.shutdown().await.unwrap();
            }
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    let house = House::with(address, |_, upstream, _| {
        upstream.origins = vec![format!("https://localhost:{}", address.port()).parse().unwrap()];
        let mut tls = UpstreamTls::default();
        tls.add_ca(&authority.file).unwrap();
        upstream.tls = tls;
    })
    .await;
    for (path, times) in [("/whole", 1), ("/cut", 3)] {
        asked.store(0, Ordering::SeqCst);
        for _ in 0..3 {
            let mut client = house.client().await;
            client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")).await;
            let answer = client.rest().await;
            assert_eq!(answer.ends_with(b"0\r\n\r\n") || answer.ends_with(b"hello world"), path == "/whole", "{path}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), times, "{path}");
    }
}
