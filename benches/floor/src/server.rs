//! The load server: a process of its own, whose work is nobody's but its own, and as little as possible.

use std::collections::HashMap;
use std::io::{self, BufRead};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{self, Load};

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// The server's process; it ends with this.
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Microseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

/// The streams at full speed that were built so far.
type Built = Arc<Mutex<HashMap<Load, Arc<Vec<Vec<u8>>>>>>;

/// Serves until the standard input ends, which it does when whoever started this is gone.
pub fn serve() {
    std::thread::spawn(|| {
        let _ = io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        let built = Built::default();
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let built = Arc::clone(&built);
            tokio::spawn(async move { drop(answer(stream, &built).await) });
        }
    });
}

/// One connection, request after request.
async fn answer(stream: TcpStream, built: &Built) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(load) = asked(&mut stream).await? {
        stream.write_all(HEAD).await?;
        if load.pace > 0 {
            paced(&mut stream, load).await?;
            continue;
        }
        let writes = {
            let mut built = built.lock().unwrap();
            Arc::clone(built.entry(load).or_insert_with(|| Arc::new(wire::writes(load))))
        };
        for write in &*writes {
            stream.write_all(write).await?;
        }
    }
    Ok(())
}

/// Each word is the time at which it is written.
async fn paced(stream: &mut BufReader<TcpStream>, load: Load) -> io::Result<()> {
    stream.write_all(&wire::chunk(&wire::opening())).await?;
    let mut ticks = tokio::time::interval(Duration::from_micros(load.pace));
    let mut text = String::new();
    let mut number = 0;
    while number < load.deltas {
        ticks.tick().await;
        let mut events = Vec::new();
        for _ in 0..load.events_a_write.min(load.deltas - number) {
            number += 1;
            let word = format!("{} ", now());
            wire::delta(&mut events, number, &word);
            text.push_str(&word);
        }
        stream.write_all(&wire::chunk(&events)).await?;
    }
    stream.write_all(&wire::chunk(&wire::closing(load.deltas, &text))).await?;
    stream.write_all(b"0\r\n\r\n").await
}

/// Reads a request; `None` when the client is gone.
async fn asked(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Load>> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body: serde_json::Value = serde_json::from_slice(&body)?;
    let load = body["model"].as_str().and_then(Load::of_model);
    load.map(Some).ok_or_else(|| io::Error::other("no load is asked for"))
}
