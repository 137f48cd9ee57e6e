//! Any branches: what is listed, what the model reads and what readers show is what a tree kept by hand says.

use ai_engine::testing::Reply;
use ai_engine::{AssistantThread, Role, Run, prelude::*};

use super::readers::{Shown, until_said};
use super::{in_each_mode, listed, messages, read_by_the_model};
use crate::support::*;

on_each_database!(any_branches_are_what_a_tree_kept_by_hand_says);

/// Numbers from a seed, the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }
}

/// A turn, as a child would draw it.
#[derive(Debug, Clone)]
struct Node {
    parent: Option<usize>,
    run: Run,
    texts: [String; 2],
    /// When it left the path.
    left: usize,
    /// Its answer is not on the path, or was not when it left.
    short: bool,
    /// It was asked on a turn that was short.
    on_short: bool,
}

/// The turn that one is asked on, and whether that is short.
type Place = (Option<usize>, bool);

impl Node {
    fn place(&self) -> Place {
        (self.parent, self.on_short)
    }
}

#[derive(Debug, Default)]
struct Drawn {
    nodes: Vec<Node>,
    path: Vec<usize>,
    clock: usize,
}

impl Drawn {
    fn up_to(&self, node: Option<usize>) -> Vec<usize> {
        let mut path: Vec<usize> =
            std::iter::successors(node, |node| self.nodes[*node].parent).collect();
        path.reverse();
        path
    }

    fn go(&mut self, path: Vec<usize>) {
        self.clock += 1;
        for node in self.path.iter().filter(|node| !path.contains(node)) {
            self.nodes[*node].left = self.clock;
        }
        for pair in path.windows(2) {
            self.nodes[pair[0]].short = self.nodes[pair[1]].on_short;
        }
        self.path = path;
    }

    fn through(&self, node: usize) -> Vec<usize> {
        let mut path = self.up_to(Some(node));
        loop {
            let last = path[path.len() - 1];
            let children = (0..self.nodes.len()).filter(|at| self.nodes[*at].parent == Some(last));
            // The turn that is chosen is whole.
            let children = children.filter(|at| last != node || !self.nodes[*at].on_short);
            let stayed =
                |at: &usize| if self.path.contains(at) { usize::MAX } else { self.nodes[*at].left };
            match children.max_by_key(stayed) {
                Some(child) => path.push(child),
                None => return path,
            }
        }
    }

    fn add(&mut self, place: Place, run: Run, question: &str, answer: &str) {
        let (parent, on_short) = place;
        let path = self.up_to(parent);
        self.go(path);
        if let Some(parent) = parent {
            self.nodes[parent].short = on_short;
        }
        self.path.push(self.nodes.len());
        let texts = [question.to_owned(), answer.to_owned()];
        self.nodes.push(Node { parent, run, texts, left: 0, short: false, on_short });
    }

    fn texts(&self) -> Vec<String> {
        let texts = |node: &usize| {
            let node = &self.nodes[*node];
            node.texts[..if node.short { 1 } else { 2 }].to_vec()
        };
        self.path.iter().flat_map(texts).collect()
    }
}

async fn act<D: TestDatabase>(
    host: &Host<D>,
    thread: &AssistantThread,
    drawn: &mut Drawn,
    dice: &mut Dice,
    number: usize,
) {
    let (question, answer) = (format!("q{number}"), format!("a{number}"));
    let some = (!drawn.nodes.is_empty()).then(|| dice.below(drawn.nodes.len()));
    let asked = match (dice.below(7), some) {
        (0..=1, _) | (_, None) => {
            host.fake.reply(Reply::text(&answer));
            let run =
                host.teller.ai_engine_run(&host.engine, thread, &*question).await.unwrap().run;
            let last = drawn.path.last().copied();
            drawn.add(
                (last, last.is_some_and(|last| drawn.nodes[last].short)),
                run,
                &question,
                &answer,
            );
            true
        }
        (2..=3, Some(node)) => {
            host.fake.reply(Reply::text(&answer));
            let old = drawn.nodes[node].clone();
            let run = old.run.regenerate(&host.engine).await.unwrap().run;
            drawn.add(old.place(), run, &old.texts[0], &answer);
            true
        }
        (4, Some(_)) => {
            let node = drawn.path[dice.below(drawn.path.len())];
            let said = messages(host, thread).await;
            let old = drawn.nodes[node].clone();
            let message = said.iter().find(|said| said.run_id == Some(old.run.id)).unwrap();
            host.fake.reply(Reply::text(&answer));
            let run = thread.edit(&host.engine, message, &*question).await.unwrap().run;
            drawn.add(old.place(), run, &question, &answer);
            true
        }
        (5, Some(node)) => {
            let id = drawn.nodes[node].run.id;
            let all = host.db.with(|conn| conn.messages());
            let mut said = all.iter().filter(|said| said.run_id == Some(id));
            let place = dice.below(2);
            thread.truncate_after(&host.engine, said.nth(place).unwrap()).await.unwrap();
            drawn.go(drawn.up_to(Some(node)));
            drawn.nodes[node].short = place == 0;
            false
        }
        (_, Some(node)) => {
            thread.choose(&host.engine, &drawn.nodes[node].run).await.unwrap();
            drawn.go(drawn.through(node));
            drawn.nodes[node].short &= drawn.path.last() != Some(&node);
            false
        }
    };
    if asked {
        let mut read = drawn.texts();
        read.pop();
        // The model is not shown a question without an answer.
        let short: Vec<&Node> =
            drawn.path.iter().map(|node| &drawn.nodes[*node]).filter(|node| node.short).collect();
        read.retain(|text| !short.iter().any(|node| node.texts[0] == *text));
        assert_eq!(read_by_the_model(host, thread).await, read, "act {number}");
    }
    assert_eq!(listed(host, thread).await, drawn.texts(), "act {number}");
}

async fn any_branches_are_what_a_tree_kept_by_hand_says<D: TestDatabase>(db: D) {
    const ACTS: usize = 24;
    for host in in_each_mode(db).await {
        let other = engine(&host.db, &host.fake, &Hub::default(), |builder| builder);
        for seed in 0..4 {
            eprintln!("seed {seed}, conversing {}", host.conversing);
            let thread = host.thread().await;
            let (mut drawn, mut dice) = (Drawn::default(), Dice(seed));
            let live = [&host.engine, &other].map(|engine| {
                let mut events = thread.events(engine);
                tokio::spawn(async move {
                    let mut shown = Shown::default();
                    until_said(&mut events, "end", |event| shown.take(event)).await;
                    shown.texts()
                })
            });
            for number in 0..ACTS {
                act(&host, &thread, &mut drawn, &mut dice, number).await;
            }
            thread.messages(&host.engine).create(Role::System, "end").await.unwrap();
            let mut page = drawn.texts();
            page.push("end".to_owned());
            for live in live {
                assert_eq!(live.await.unwrap(), page, "seed {seed}");
            }
            let mut shown = Shown::default();
            until_said(&mut thread.events(&other), "end", |event| shown.take(event)).await;
            assert_eq!((shown.texts(), shown.left), (page, Vec::new()), "seed {seed}");
            host.user.assistant_threads(&host.engine).destroy(thread.id).await.unwrap();
        }
        if host.conversing {
            until_deleted(&host.db).await;
            assert_eq!(host.fake.conversation_ids(), [""; 0]);
        }
    }
}
