//! The provider, in a process of its own so that its work is not counted as ours. It speaks just enough of the wire.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ASKED: &str = "AI_ENGINE_BENCH_PROVIDER";

/// Microseconds since 1970 and a blank.
pub const DELTA_BYTES: usize = 17;

pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

/// The other process; it ends with its input.
pub struct Provider {
    child: Child,
    port: u16,
}

impl Provider {
    pub fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(ASKED, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.as_mut().unwrap());
        said.read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Streams that are being written now.
    pub fn open(&self) -> usize {
        use std::io::Read;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET /open HTTP/1.1\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.trim().parse().unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Is the provider, if this process was started to be it.
pub fn serve_if_asked() -> bool {
    if std::env::var_os(ASKED).is_none() {
        return false;
    }
    // The process that asked may be killed: its end closes our input.
    std::thread::spawn(|| {
        let mut line = String::new();
        let _ = std::io::stdin().read_line(&mut line);
        std::process::exit(0);
    });
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        let open = Arc::new(AtomicUsize::new(0));
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let open = Arc::clone(&open);
            tokio::spawn(async move {
                let _ = serve(stream, &open).await;
            });
        }
    });
    true
}

/// One connection, request after request.
async fn serve(stream: TcpStream, open: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        let mut first = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
        }
        if first.starts_with("GET /open") {
            let count = open.load(Ordering::SeqCst).to_string();
            return stream.write_all(count.as_bytes()).await;
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let body: serde_json::Value = serde_json::from_slice(&body)?;
        let asked = body["model"].as_str().unwrap_or_default().to_owned();
        open.fetch_add(1, Ordering::SeqCst);
        let answered = answer(&mut stream, &asked).await;
        open.fetch_sub(1, Ordering::SeqCst);
        answered?;
    }
}

/// `stream-DELTAS-MICROSECONDS`: so many deltas, so far apart.
async fn answer(stream: &mut (impl AsyncWriteExt + Unpin), asked: &str) -> std::io::Result<()> {
    let mut numbers = asked.split('-').skip(1).map(|number| number.parse::<u64>().unwrap_or(1));
    let (deltas, pace) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(1));
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    event(stream, r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress"}}"#).await?;
    let mut text = String::new();
    let mut ticks = tokio::time::interval(Duration::from_micros(pace));
    for number in 1..=deltas {
        ticks.tick().await;
        let delta = format!("{} ", now());
        let told = format!(
            r#"{{"type":"response.output_text.delta","sequence_number":{number},"item_id":"msg_1","output_index":0,"content_index":0,"delta":"{delta}"}}"#
        );
        event(stream, &told).await?;
        text.push_str(&delta);
    }
    let completed = format!(
        r#"{{"type":"response.completed","sequence_number":{},"response":{{"id":"resp_1","status":"completed","usage":{{"input_tokens":1,"output_tokens":{deltas}}},"output":[{{"type":"message","id":"msg_1","role":"assistant","content":[{{"type":"output_text","text":"{text}"}}]}}]}}}}"#,
        deltas + 1
    );
    event(stream, &completed).await?;
    stream.write_all(b"0\r\n\r\n").await
}

async fn event(stream: &mut (impl AsyncWriteExt + Unpin), data: &str) -> std::io::Result<()> {
    let data = format!("data: {data}\n\n");
    stream.write_all(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes()).await
}
