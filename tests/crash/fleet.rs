//! The processes that live on the database at one time: starting them, hearing what they tell, killing them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use crate::child::Setting;
use crate::told::Told;

pub struct Process {
    child: Child,
    orders: ChildStdin,
    pub setting: Setting,
    /// It was told to leave, so its end is no surprise.
    leaving: bool,
    ended: bool,
    /// What it answered to the last order that wants an answer.
    answer: Option<String>,
}

impl Process {
    /// Whether it has answered the last order so.
    pub fn has_answered(&self, answer: &str) -> bool {
        self.answer.as_deref() == Some(answer)
    }
}

/// A line of the process of this number; none: it has told all.
type Heard = (usize, Option<String>);

pub struct Fleet {
    processes: BTreeMap<usize, Process>,
    started: usize,
    lines: Receiver<Heard>,
    tell: Sender<Heard>,
}

impl Fleet {
    pub fn new() -> Self {
        let (tell, lines) = mpsc::channel();
        Self { processes: BTreeMap::new(), started: 0, lines, tell }
    }

    /// The number of the next process: no other had it.
    pub const fn next(&self) -> usize {
        self.started + 1
    }

    pub fn start(&mut self, setting: Setting) -> usize {
        self.started += 1;
        let number = self.started;
        let (name, value) = setting.variable();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let tell = self.tell.clone();
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut line = String::new();
            // A line without its end was cut by the kill.
            while out.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
                let _ = tell.send((number, Some(line.trim_end_matches('\n').to_owned())));
                line.clear();
            }
            let _ = tell.send((number, None));
        });
        let process =
            Process { child, orders, setting, leaving: false, ended: false, answer: None };
        self.processes.insert(number, process);
        number
    }

    /// From the oldest to the newest.
    pub fn living(&self) -> Vec<usize> {
        self.processes.keys().copied().collect()
    }

    pub fn get(&self, number: usize) -> Option<&Process> {
        self.processes.get(&number)
    }

    /// The start of its names in the database.
    pub fn worker(&self, number: usize) -> String {
        self.processes.get(&number).map_or_else(String::new, |it| format!("{}-", it.child.id()))
    }

    pub fn order(&mut self, number: usize, line: &str) {
        if let Some(process) = self.processes.get_mut(&number) {
            process.answer = None;
            let _ = writeln!(process.orders, "{line}");
        }
    }

    /// Whether all have answered the last order so.
    pub fn all_answered(&self, answer: &str) -> bool {
        self.processes.values().all(|process| process.has_answered(answer))
    }

    /// Hears what is told for so long, or until a line begins with `stop`.
    pub fn hear(&mut self, told: &mut Told, time: Duration, stop: Option<&str>) -> bool {
        let until = Instant::now() + time;
        while let Ok((number, line)) =
            self.lines.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            let stops =
                stop.is_some_and(|stop| line.as_ref().is_some_and(|line| line.starts_with(stop)));
            self.take(told, number, line);
            if stops {
                return true;
            }
        }
        false
    }

    fn take(&mut self, told: &mut Told, number: usize, line: Option<String>) {
        let process = self.processes.get_mut(&number);
        match (line, process) {
            (Some(line), Some(process))
                if ["told", "paused", "cleared"].contains(&line.as_str()) =>
            {
                process.answer = Some(line);
            }
            (Some(line), _) => told.hear(number, &line),
            (None, Some(process)) => {
                process.ended = true;
                if !process.leaving {
                    told.errors.push(format!("process {number} ended by itself"));
                }
            }
            (None, None) => {}
        }
    }

    /// SIGKILL: no destructor runs. All that it wrote is heard.
    pub fn kill(&mut self, number: usize, told: &mut Told) {
        let Some(process) = self.processes.get_mut(&number) else { return };
        process.leaving = true;
        let _ = process.child.kill();
        self.until_ended(number, told, Duration::from_mins(1));
        if let Some(mut process) = self.processes.remove(&number) {
            let _ = process.child.wait();
        }
    }

    /// Ends it in good order, if that takes no longer; else kills it. Whether it was killed.
    pub fn dismiss(&mut self, number: usize, told: &mut Told, grace: Duration) -> bool {
        self.order(number, "end");
        let Some(process) = self.processes.get_mut(&number) else { return false };
        process.leaving = true;
        if !self.until_ended(number, told, grace) {
            self.kill(number, told);
            return true;
        }
        let Some(mut process) = self.processes.remove(&number) else { return false };
        match process.child.wait() {
            Ok(status) if status.success() => {}
            status => told.errors.push(format!("process {number} ended with {status:?}")),
        }
        false
    }

    fn until_ended(&mut self, number: usize, told: &mut Told, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            if self.processes.get(&number).is_none_or(|process| process.ended) {
                return true;
            }
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((number, line)) => self.take(told, number, line),
                Err(_) => return false,
            }
        }
    }
}

/// No process outlives the test, also when that fails.
impl Drop for Fleet {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}
