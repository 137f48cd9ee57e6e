//! What the compiler says to a host's commonest mistakes: each file of `tests/mistakes/` makes one, and says in lines that begin
//! with `//~` what must be among the compiler's words. Only those are compared, and with one blank between words, since the rest
//! is another one with each compiler.
//!
//! The files are compiled against the library as these tests are linked with it. Which file that is, cargo says: it has built it
//! already, so asking costs a second.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "that is how a test fails"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// A test for each file, and one that no file is without a test.
macro_rules! mistakes {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                tells_what_to_do(stringify!($name));
            }
        )+

        #[test]
        fn each_mistake_is_tested() {
            let mut files: Vec<_> = std::fs::read_dir(folder())
                .unwrap()
                .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .filter(|name| name != "no_mistake")
                .collect();
            files.sort();
            assert_eq!(files, [$(stringify!($name)),+]);
        }
    };
}

mistakes!(
    a_definition_without_its_trait,
    a_key_of_another_type,
    a_loader_of_another_error,
    a_loader_of_another_key,
    a_loader_of_no_owner,
    a_match_without_a_wildcard,
    a_pooled_connection,
    a_record_without_a_name,
    a_request_that_is_not_awaited,
    an_await_in_a_transaction,
    an_owner_without_hooks,
    an_owner_without_the_prelude,
    no_engine,
    no_record,
);

/// What all others are compared with: were it refused, they would be for its reason.
#[test]
fn a_host_without_a_mistake_compiles() {
    let compiled = compile("no_mistake");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

fn tells_what_to_do(name: &str) {
    let source = std::fs::read_to_string(folder().join(format!("{name}.rs"))).unwrap();
    let compiled = compile(name);
    let said = words(&String::from_utf8_lossy(&compiled.stderr));
    assert!(!compiled.status.success(), "{name} compiles:\n{said}");
    let mut expected = source.lines().filter_map(|line| line.strip_prefix("//~ ")).peekable();
    assert!(expected.peek().is_some(), "{name} does not say what it expects");
    for expected in expected {
        let stderr = String::from_utf8_lossy(&compiled.stderr);
        assert!(said.contains(&words(expected)), "{name}: {expected:?} is not said:\n{stderr}");
    }
    let errors = said.matches("error[").count() + said.matches("error: ").count();
    let aborting = said.matches("error: aborting").count();
    assert_eq!(errors - aborting, 1, "{name}: one mistake is one error:\n{said}");
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes")
}

/// Checks one file as a crate that depends on this one.
fn compile(name: &str) -> Output {
    let built = built();
    let out = tempfile::tempdir().unwrap();
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata"])
        .args(["--color", "never", "--diagnostic-width", "200", "-D", "unused_must_use"])
        .arg("--out-dir")
        .arg(out.path())
        .arg("-L")
        .arg(format!("dependency={}", built.library.parent().unwrap().display()))
        .arg("--extern")
        .arg(format!("ai_engine={}", built.library.display()))
        .arg("--extern")
        .arg(format!("diesel={}", built.diesel.display()))
        .arg(folder().join(format!("{name}.rs")))
        .output()
        .unwrap()
}

struct Built {
    library: PathBuf,
    diesel: PathBuf,
}

/// The files that this test was linked with.
fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["test", "--no-run", "--test", "mistakes", "--message-format", "json"])
            .args(["--no-default-features", "--features", &features().join(",")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit());
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "the library could not be built");
        let messages: Vec<serde_json::Value> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let file = |name: &str| {
            let files = messages
                .iter()
                .filter(|message| message["target"]["name"] == name)
                .filter(|message| message["profile"]["test"] == false)
                .filter_map(|message| message["filenames"].as_array());
            let mut files = files.flatten().filter_map(|file| file.as_str()).map(PathBuf::from);
            files.rfind(|file| file.extension().is_some_and(|it| it == "rlib")).expect(name)
        };
        Built { library: file("ai_engine"), diesel: file("diesel") }
    })
}

/// Those of this build.
fn features() -> Vec<&'static str> {
    macro_rules! enabled {
        ($($feature:literal),+ $(,)?) => {
            [$((cfg!(feature = $feature), $feature)),+]
        };
    }
    let all = enabled![
        "default",
        "sqlite",
        "sqlite-bundled",
        "postgres",
        "postgres-bundled",
        "rustls",
        "native-tls",
        "testing",
        "_internal",
    ];
    all.into_iter().filter(|(enabled, _)| *enabled).map(|(_, feature)| feature).collect()
}
