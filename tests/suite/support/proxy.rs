//! A way to PostgreSQL on which the answer to a commit can be lost: it is made, and nobody hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Stops with its last handle's drop.
pub struct Proxy {
    url: String,
    /// How many commits are still answered before one is not; 0: all are.
    answered: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Proxy {
    /// A way to the database at `url`.
    pub async fn to(url: &str) -> Self {
        let (_, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answered = Arc::new(AtomicUsize::new(0));
        let (server_, counter) = (server.to_owned(), Arc::clone(&answered));
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&server_).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&counter)));
            }
        });
        let user = url.split_once("://").unwrap().1.split_once('@').unwrap().0;
        let options = "sslmode=disable&gssencmode=disable";
        Self {
            url: format!("postgres://{user}@127.0.0.1:{port}/{database}?{options}"),
            answered,
            task: task.abort_handle(),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Loses the answer to the `nth` commit from now, counted from 1.
    pub fn lose_answer(&self, nth: usize) {
        self.answered.store(nth, Ordering::SeqCst);
    }

    /// Whether that commit has come.
    pub fn has_lost(&self) -> bool {
        self.answered.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, server: TcpStream, answered: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    // A message is its kind, its length (with these four bytes), and the rest.
    let mut head = [0; 5];
    while from_server.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
        let mut message = head.to_vec();
        message.resize(5 + length, 0);
        if from_server.read_exact(&mut message[5..]).await.is_err() {
            break;
        }
        if head[0] == b'C' && message[5..].starts_with(b"COMMIT") {
            let count = |left: usize| left.checked_sub(1);
            let before = answered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
            if before == Ok(1) {
                break;
            }
        }
        if to_client.write_all(&message).await.is_err() {
            break;
        }
    }
    asking.abort();
}
