//! The arguments and the last line of Rust's own test harness, which cannot start this one: it needs its `main`.

use std::process::ExitCode;
use std::time::Instant;

type Test<'a> = (&'a str, &'a dyn Fn() -> bool);

/// Runs the tests that the arguments ask for.
pub fn run(tests: &[Test<'_>]) -> ExitCode {
    let asked = Asked::given(std::env::args().skip(1));
    let (chosen, others): (Vec<&Test<'_>>, Vec<_>) =
        tests.iter().partition(|(name, _)| asked.wants(name));
    if asked.list {
        for (name, _) in &chosen {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    println!("\nrunning {} test{}", chosen.len(), if chosen.len() == 1 { "" } else { "s" });
    let mut failed = 0;
    for (name, test) in &chosen {
        let passed = test();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    println!(
        "\ntest result: {}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        chosen.len() - failed,
        others.len(),
        start.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Debug, Default)]
struct Asked {
    list: bool,
    exact: bool,
    /// Only what is ignored, which none of these is.
    ignored: bool,
    names: Vec<String>,
    skipped: Vec<String>,
}

impl Asked {
    fn given(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut asked = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => asked.list = true,
                "--exact" => asked.exact = true,
                "--ignored" => asked.ignored = true,
                "--skip" => asked.skipped.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" | "--shuffle-seed"
                | "-Z" => {
                    arguments.next();
                }
                flag if flag.starts_with('-') => {}
                name => asked.names.push(name.to_owned()),
            }
        }
        asked
    }

    fn wants(&self, name: &str) -> bool {
        let is =
            |asked: &String| if self.exact { name == asked } else { name.contains(asked.as_str()) };
        !self.ignored
            && (self.names.is_empty() || self.names.iter().any(is))
            && !self.skipped.iter().any(is)
    }
}
