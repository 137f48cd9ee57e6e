//! Serves the demo model on a port of the loopback interface, until ctrl-c:
//!
//! ```sh
//! cargo run -p openai-fake --example serve -- --port 8080
//! ```
//!
//! The first line that it prints is its base URL. `--model NAME` and `--key KEY` (each as often as you like) have it know these
//! models and take these keys alone; `--pace MS` is the model's time for a word.
#![allow(missing_docs, clippy::print_stdout, reason = "a program")]

use std::{env, error::Error, time::Duration};

use openai_fake::FakeOpenAi;

#[derive(Default)]
struct Settings {
    port: u16,
    models: Vec<String>,
    keys: Vec<String>,
    pace: Option<Duration>,
}

impl Settings {
    fn of(mut arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut settings = Self::default();
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--port" => settings.port = value.parse()?,
                "--model" => settings.models.push(value),
                "--key" => settings.keys.push(value),
                "--pace" => settings.pace = Some(Duration::from_millis(value.parse()?)),
                _ => return Err(format!("there is no {name}: see examples/serve.rs").into()),
            }
        }
        Ok(settings)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::of(env::args().skip(1))?;
    let fake = FakeOpenAi::start_on(settings.port).await?;
    if !settings.models.is_empty() {
        fake.models(settings.models);
    }
    if !settings.keys.is_empty() {
        fake.keys(settings.keys);
    }
    if let Some(pace) = settings.pace {
        fake.demo_pace(pace);
    }
    println!("{}", fake.base_url());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
