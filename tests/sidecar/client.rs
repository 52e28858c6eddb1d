//! A client made of a raw socket: it sends exactly the bytes a test wants and says how the answer was framed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response as it was read.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Whether the framing says that this is all of it.
    pub complete: bool,
}

impl Response {
    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a GET and reads its response.
    pub async fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        self.response().await.expect("a response")
    }

    /// The next response, interim ones included; `None` if the connection ends before one.
    pub async fn response(&mut self) -> Option<Response> {
        self.response_to("GET").await
    }

    pub async fn response_to(&mut self, method: &str) -> Option<Response> {
        tokio::time::timeout(PATIENCE, self.read_response(method)).await.expect("a response in time")
    }

    async fn read_response(&mut self, method: &str) -> Option<Response> {
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break String::from_utf8(self.buffer.drain(..at + 4).collect()).unwrap();
            }
            if self.fill().await.ok()? == 0 {
                return None;
            }
        };
        let status = head[9..12].parse().unwrap();
        let mut response = Response { status, head, body: Vec::new(), complete: true };
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Some(response);
        }
        if response.all("transfer-encoding") == ["chunked"] {
            response.complete = self.read_chunks(&mut response.body).await.is_some();
        } else if let [length] = response.all("content-length")[..] {
            let length = length.parse().unwrap();
            while self.buffer.len() < length && matches!(self.fill().await, Ok(n) if n > 0) {}
            response.complete = self.buffer.len() >= length;
            response.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
        } else {
            let end = loop {
                match self.fill().await {
                    Ok(0) => break true,
                    Ok(_) => {}
                    Err(_) => break false, // a reset is not a clean end
                }
            };
            response.complete = end;
            response.body = std::mem::take(&mut self.buffer);
        }
        Some(response)
    }

    async fn read_chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let line = self.line().await?;
            let size = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
            if size == 0 {
                while self.line().await? != "\r\n" {}
                return Some(());
            }
            while self.buffer.len() < size + 2 {
                if self.fill().await.ok()? == 0 {
                    return None;
                }
            }
            body.extend(self.buffer.drain(..size + 2).take(size));
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                return String::from_utf8(self.buffer.drain(..at + 2).collect()).ok();
            }
            if self.fill().await.ok()? == 0 {
                return None;
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.buffer).await
    }

    /// The next head, up to and with the empty line.
    pub async fn head(&mut self) -> String {
        let reading = async {
            loop {
                if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                    return self.buffer.drain(..at + 4).collect();
                }
                assert!(self.fill().await.is_ok_and(|count| count > 0), "a head");
            }
        };
        String::from_utf8(tokio::time::timeout(PATIENCE, reading).await.expect("a head in time")).unwrap()
    }

    /// The next `count` bytes, or fewer if the connection ends before.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        let reading = async { while self.buffer.len() < count && matches!(self.fill().await, Ok(n) if n > 0) {} };
        tokio::time::timeout(PATIENCE, reading).await.expect("the bytes in time");
        self.buffer.drain(..count.min(self.buffer.len())).collect()
    }

    /// Everything until the connection ends, however it ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        let reading = async { while matches!(self.fill().await, Ok(n) if n > 0) {} };
        tokio::time::timeout(PATIENCE, reading).await.expect("the connection ends in time");
        std::mem::take(&mut self.buffer)
    }

    /// Whether the connection has been closed without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.rest().await.is_empty()
    }
}
