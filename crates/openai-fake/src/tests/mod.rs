//! Tests of the fake server, through a real HTTP client. None of them sleeps.

mod assistants;
mod background;
mod chat;
mod chat_refusals;
mod checks;
mod client;
mod conversations;
mod demo;
mod faults;
mod network;
mod prompts;
mod refusals;
mod requests;
mod responses;
mod run_ends;
mod streams;
mod threads;

use client::{Client, error_of, story, text_of};

use crate::{API_KEY, ErrorEvent, FakeOpenAi, Gate, Reply, Request};
