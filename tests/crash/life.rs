//! Starting processes, hearing what they tell, killing them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::child::Setting;
use crate::told::Told;

pub struct Process {
    child: Child,
    orders: ChildStdin,
    lines: Receiver<String>,
    number: usize,
}

impl Process {
    pub fn start(setting: &Setting, number: usize) -> Self {
        let (name, value) = setting.variable();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut line = String::new();
            // A line without its end was cut by the kill.
            while out.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
                let _ = tell.send(line.trim_end_matches('\n').to_owned());
                line.clear();
            }
        });
        Self { child, orders, lines, number }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn order(&mut self, line: &str) {
        let _ = writeln!(self.orders, "{line}");
    }

    /// Hears what is told for so long, or until a line begins with `stop`.
    pub fn hear(&self, told: &mut Told, time: Duration, stop: Option<&str>) -> bool {
        let until = Instant::now() + time;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    told.hear(self.number, &line);
                    if stop.is_some_and(|stop| line.starts_with(stop)) {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => {
                    told.errors.push("a process ended by itself".to_owned());
                    return false;
                }
            }
        }
    }

    /// SIGKILL: no destructor runs. Returns its id.
    pub fn kill(mut self, told: &mut Told) -> u32 {
        if let Ok(Some(status)) = self.child.try_wait() {
            told.errors.push(format!("a process ended by itself: {status}"));
        }
        let _ = self.child.kill();
        self.end(told);
        self.child.id()
    }

    /// Ends it in good order.
    pub fn shut_down(mut self, told: &mut Told) {
        self.order("end");
        self.end(told);
        match self.child.wait() {
            Ok(status) if status.success() => {}
            status => told.errors.push(format!("the last process ended with {status:?}")),
        }
    }

    fn end(&mut self, told: &mut Told) {
        // All that it wrote, up to the end of the pipe.
        while let Ok(line) = self.lines.recv() {
            told.hear(self.number, &line);
        }
        let _ = self.child.wait();
    }
}
