//! An origin made of a raw socket: it answers with exactly the bytes a test wants, and can break off anywhere.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One request as it reached the origin.
#[derive(Clone, Debug)]
pub struct Received {
    pub head: String,
    pub body: Vec<u8>,
}

impl Received {
    /// The values of a field, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub struct Act {
    /// Without reading the request's body first.
    pub early: bool,
    /// Pieces, with a pause after each.
    pub pieces: Vec<(Vec<u8>, Duration)>,
    pub then: Then,
}

/// What to do after the pieces.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    Keep,
    Fin,
    Reset,
    Hang,
    /// Send back whatever comes.
    Echo,
}

impl Act {
    pub fn send(bytes: impl AsRef<[u8]>, then: Then) -> Self {
        Self { early: false, pieces: vec![(bytes.as_ref().to_vec(), Duration::ZERO)], then }
    }

    pub fn ok(body: &str) -> Self {
        Self::send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()), Then::Keep)
    }

    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    pub fn hang() -> Self {
        Self::send("", Then::Hang)
    }
}

/// A running origin.
pub struct Origin {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Received>>>,
}

impl Origin {
    /// Answers the n-th request (from 0) as `act` says.
    pub async fn start(act: impl Fn(&Received, usize) -> Act + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), act).await
    }

    /// As [`start`](Self::start), at a given address.
    pub async fn at(address: SocketAddr, act: impl Fn(&Received, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests, act) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())), Arc::new(act));
        let origin = Self { address, connections: connections.clone(), requests: requests.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (requests, act) = (requests.clone(), act.clone());
                tokio::spawn(async move { converse(stream, &requests, &*act).await });
            }
        });
        origin
    }

    /// Answers everything alike.
    pub async fn always(act: Act) -> Self {
        Self::start(move |_, _| act.clone()).await
    }

    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }

    pub fn last(&self) -> Received {
        self.requests().pop().expect("the origin was asked")
    }
}

async fn converse(mut stream: TcpStream, requests: &Mutex<Vec<Received>>, act: &(dyn Fn(&Received, usize) -> Act + Send + Sync)) {
    let mut buffer = Vec::new();
    loop {
        let Some(head) = read_until(&mut stream, &mut buffer, b"\r\n\r\n").await else { return };
        let mut received = Received { head: String::from_utf8(head).unwrap(), body: Vec::new() };
        let (number, planned) = {
            let mut all = requests.lock().unwrap();
            all.push(received.clone());
            let number = all.len() - 1;
            (number, act(&received, number))
        };
        if !planned.early {
            let Some(body) = read_body(&mut stream, &mut buffer, &received).await else { return };
            received.body = body;
            requests.lock().unwrap()[number] = received;
        }
        for (piece, pause) in &planned.pieces {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            tokio::time::sleep(*pause).await;
        }
        match planned.then {
            Then::Keep if !planned.early => {}
            Then::Keep | Then::Hang => return drain(stream).await,
            Then::Fin => return,
            Then::Reset => return stream.set_zero_linger().unwrap(),
            Then::Echo => {
                stream.write_all(&buffer).await.unwrap();
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                return;
            }
        }
    }
}

async fn drain(mut stream: TcpStream) {
    let mut dropped = [0; 4096];
    while matches!(stream.read(&mut dropped).await, Ok(n) if n > 0) {}
}

async fn read_until(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|window| window == end) {
            return Some(buffer.drain(..at + end.len()).collect());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, request: &Received) -> Option<Vec<u8>> {
    if request.all("transfer-encoding") == ["chunked"] {
        let mut body = Vec::new();
        loop {
            let line = read_until(stream, buffer, b"\r\n").await?;
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            if size == 0 {
                while read_until(stream, buffer, b"\r\n").await? != b"\r\n" {}
                return Some(body);
            }
            while buffer.len() < size + 2 {
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            body.extend(buffer.drain(..size + 2).take(size));
        }
    }
    let length = request.all("content-length").first().map_or(0, |length| length.parse().unwrap());
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.drain(..length).collect())
}
