//! A server for tests: one scripted reply for each connection, byte for byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{OpenAi, OpenAiBuilder};

pub(super) const KEY: &str = "sk-test-key";

/// What one connection is told.
pub(super) struct Reply {
    bytes: Vec<u8>,
    /// Whether the server closes the connection after the bytes, or waits for the client to do so.
    closes: bool,
}

impl Reply {
    pub(super) fn new(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::raw(&format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
        ))
    }

    pub(super) fn json(body: &str) -> Self {
        Self::new("200 OK", "content-type: application/json\r\n", body)
    }

    /// A stream that the end of the connection ends in good order.
    pub(super) fn events(events: &str) -> Self {
        Self::raw(&format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_1\r\nconnection: close\r\n\r\n{events}"
        ))
    }

    /// A chunked stream whose last chunk never comes.
    pub(super) fn open_chunks(events: &str) -> Self {
        let length = events.len();
        Self::raw(&format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{events}\r\n"
        ))
    }

    pub(super) fn raw(bytes: &str) -> Self {
        Self { bytes: bytes.as_bytes().to_vec(), closes: true }
    }

    pub(super) fn held_open(mut self) -> Self {
        self.closes = false;
        self
    }
}

pub(super) struct Server {
    pub(super) url: String,
    requests: UnboundedReceiver<String>,
    client_left: UnboundedReceiver<()>,
}

impl Server {
    /// Serves the replies in order, then refuses connections.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (request_sender, requests) = unbounded_channel();
        let (left_sender, client_left) = unbounded_channel();
        let replies: Vec<_> = replies.into_iter().collect();
        tokio::spawn(async move {
            for reply in replies {
                let (socket, _) = listener.accept().await.unwrap();
                serve(socket, reply, &request_sender, &left_sender).await;
            }
        });
        Self { url, requests, client_left }
    }

    pub(super) fn builder(&self) -> OpenAiBuilder {
        OpenAi::builder().api_key(KEY).base_url(&self.url)
    }

    pub(super) fn client(&self) -> OpenAi {
        self.builder().build().unwrap()
    }

    /// The next request that arrived: head and body.
    pub(super) fn request(&mut self) -> String {
        self.requests.try_recv().expect("a request")
    }

    pub(super) fn has_more_requests(&mut self) -> bool {
        self.requests.try_recv().is_ok()
    }

    /// Waits until the client has closed a connection that was held open.
    pub(super) async fn client_left(&mut self) {
        self.client_left.recv().await.expect("a connection");
    }
}

async fn serve(
    mut socket: TcpStream,
    reply: Reply,
    requests: &UnboundedSender<String>,
    left: &UnboundedSender<()>,
) {
    let request = read_request(&mut socket).await;
    let _ = requests.send(request);
    let _ = socket.write_all(&reply.bytes).await;
    if !reply.closes {
        let mut rest = [0; 64];
        while matches!(socket.read(&mut rest).await, Ok(1..)) {}
        let _ = left.send(());
    }
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= length.parse().unwrap() {
                return text;
            }
        }
        if socket.read_buf(&mut request).await.unwrap() == 0 {
            return text;
        }
    }
}
