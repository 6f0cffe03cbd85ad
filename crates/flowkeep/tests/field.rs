//! Small captures of what people met in the field, with what must come out.
//!
//! `tests/data/field` has the captures about time, and what is expected of each in `expect.json`.
//! `FLOWKEEP_FIELD=DIR` runs another folder of the same form in their place, and shows everything
//! that differs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Map, Value};

/// What a case differs in.
type Different = String;

fn folder() -> PathBuf {
    std::env::var_os("FLOWKEEP_FIELD").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/flowkeep/tests/data/field"),
        PathBuf::from,
    )
}

#[test]
fn captures_of_the_field_are_told_as_they_are() {
    let folder = folder();
    let expected = fs::read(folder.join("expect.json")).expect("expect.json can be read");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    let cases = expected["cases"].as_object().expect("cases");
    let mut wrong = Vec::new();
    let mut run = 0;
    for (name, case) in cases {
        let check = match case["kind"].as_str().unwrap_or("replay") {
            "replay" => replay,
            "events" => events,
            "saved" => saved,
            "modes" => modes,
            "over_input" => over_input,
            "whole_json" => whole_json,
            // `cargo xtask agree` does that.
            _ => continue,
        };
        run += 1;
        if let Err(different) = check(case, &folder) {
            wrong.push(format!("{name}: {different}"));
        }
    }
    println!("{} of {run} cases are as expected", run - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The case's capture, which may be packed.
fn file(case: &Value, folder: &Path) -> Option<PathBuf> {
    let name = case["file"].as_str()?;
    let plain = folder.join(name);
    let packed = folder.join(format!("{name}.gz"));
    Some(if packed.exists() { packed } else { plain })
}

/// Runs the command; its arguments and then those of the case, and its capture.
fn flowkeep(arguments: &[&str], case: &Value, folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowkeep"));
    command.args(arguments);
    for argument in case["args"].as_array().into_iter().flatten() {
        command.arg(argument.as_str().expect("text"));
    }
    command.args(file(case, folder));
    command.output().expect("the program runs")
}

fn json(bytes: &[u8]) -> Result<Value, Different> {
    serde_json::from_slice(bytes).map_err(|error| format!("no JSON: {error}"))
}

fn is_equal<T: PartialEq + core::fmt::Debug>(
    what: &str,
    got: T,
    wanted: T,
) -> Result<(), Different> {
    if got == wanted {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, and should be {wanted:?}"))
}

/// What `replay` shows of a capture.
fn replay(case: &Value, folder: &Path) -> Result<(), Different> {
    let output = flowkeep(&["replay", "-o", "json"], case, folder);
    let mut answers: Vec<&Value> = case["any_of"].as_array().into_iter().flatten().collect();
    if answers.is_empty() {
        answers.push(case);
    }
    // The first one is best, but each is right.
    let mut differences = answers.iter().map(|answer| replayed(case, answer, &output));
    let first = differences.next().unwrap_or(Ok(()));
    let Err(different) = first else {
        return Ok(());
    };
    if differences.any(|answer| answer.is_ok()) {
        return Ok(());
    }
    Err(different)
}

/// Whether the output is one answer to a case, which has what all of its answers share.
fn replayed(case: &Value, answer: &Value, output: &Output) -> Result<(), Different> {
    let field = |name: &str| answer.get(name).or_else(|| case.get(name));
    let message = String::from_utf8_lossy(&output.stderr);
    if let Some(status) = field("exit_status") {
        let status = status.as_i64().map(|status| status as i32);
        is_equal("exit status", output.status.code(), status)?;
    }
    if field("message").is_some_and(|message| message.as_bool() == Some(true)) && message.is_empty()
    {
        return Err("no message".to_owned());
    }
    let Some(connections) = field("connections").and_then(Value::as_array) else {
        return Ok(());
    };
    let shown = json(&output.stdout)?;
    compare(&shown["connections"], connections)?;
    let summary = &shown["summary"];
    if let Some(packets) = field("packets") {
        is_equal("packets", &summary["packets"], packets)?;
    }
    if let Some(reasons) = field("not_tracked") {
        is_equal("not tracked", &summary["errors"], reasons)?;
    }
    Ok(())
}

/// Whether these are just the connections that are expected, in any order, as far as is certain.
fn compare(found: &Value, expected: &[Value]) -> Result<(), Different> {
    let mut left = found.as_array().cloned().unwrap_or_default();
    for wanted in expected {
        let wanted = wanted.as_object().ok_or("no connection")?;
        let matching = left
            .iter()
            .position(|connection| matches(connection, wanted));
        let Some(matching) = matching else {
            let left = Value::from(left);
            return Err(format!(
                "no {}\n  among {left}",
                Value::from(wanted.clone())
            ));
        };
        left.remove(matching);
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(format!("too many: {}", Value::from(left)))
    }
}

fn matches(connection: &Value, wanted: &Map<String, Value>) -> bool {
    wanted.iter().all(|(field, wanted)| match field.as_str() {
        "icmp_errors" => icmp_errors(&connection[field]) == icmp_errors(wanted),
        "state_not" => !wanted
            .as_array()
            .is_some_and(|states| states.contains(&connection["state"])),
        _ if wanted.is_null() => true,
        _ => connection.get(field).is_none_or(|found| found == wanted),
    })
}

/// ICMP errors by sender, type and code, with their number.
fn icmp_errors(errors: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for error in errors.as_array().into_iter().flatten() {
        let [sender, kind, code] = ["sender", "type", "code"].map(|field| &error[field]);
        *counts.entry(format!("{sender} {kind} {code}")).or_default() += 1;
    }
    counts
}

/// Events come in the order of their times, and each connection expires once.
fn events(case: &Value, folder: &Path) -> Result<(), Different> {
    let output = flowkeep(&["replay", "--events", "-o", "json"], case, folder);
    let shown = json(&output.stdout)?;
    let events = shown["events"].as_array().ok_or("no events")?;
    let times: Vec<_> = events.iter().map(|event| event["time"].as_str()).collect();
    if !times.is_sorted() {
        return Err(format!("not in order: {times:?}"));
    }
    let expired = events.iter().filter(|event| event["event"] == "expired");
    let expired: Vec<_> = expired.map(|event| event["connection"].clone()).collect();
    let wanted = case["expired"].as_array().cloned().unwrap_or_default();
    compare(&expired.into(), &wanted)
}

/// What is saved does not depend on what is shown.
fn saved(case: &Value, folder: &Path) -> Result<(), Different> {
    let name = format!("field-{}.table", std::process::id());
    let table = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let table_name = table.to_str().ok_or("not text")?;
    let wanted = case["connections"].as_array().cloned().unwrap_or_default();
    for shown in [
        &["-s"][..],
        &["-o", "json"],
        &["--events"],
        &["--state", "closed"],
    ] {
        let arguments = [&["replay", "--save", table_name], shown].concat();
        flowkeep(&arguments, case, folder);
        let list = flowkeep(
            &["list", "-o", "json", "--table", table_name],
            &Value::Null,
            folder,
        );
        let found = json(&list.stdout)?;
        compare(&found["connections"], &wanted).map_err(|error| format!("{shown:?}: {error}"))?;
    }
    // It was just written.
    let _ = fs::remove_file(table);
    Ok(())
}

/// There are as many connections, whether they are listed or their events are.
fn modes(case: &Value, folder: &Path) -> Result<(), Different> {
    for rules in case["rules"].as_array().into_iter().flatten() {
        let rules = rules.as_str().ok_or("no rules")?;
        let run = |more: &[&str]| {
            let arguments = [&["replay", "--rules", rules, "-o", "json"], more].concat();
            json(&flowkeep(&arguments, case, folder).stdout)
        };
        let (list, events) = (run(&[])?, run(&["--events"])?);
        let listed = list["connections"].as_array().map(Vec::len);
        let begun = events["events"].as_array().map(|events| {
            let begins = |event: &&Value| event["event"] == "new" || event["event"] == "reopened";
            events.iter().filter(begins).count()
        });
        is_equal(&format!("{rules}: events"), begun, listed)?;
        for (what, shown) in [("list", &list), ("events", &events)] {
            let summed = shown["summary"]["connections"].as_u64();
            is_equal(
                &format!("{rules}: summary of {what}"),
                summed,
                listed.map(|count| count as u64),
            )?;
        }
    }
    Ok(())
}

/// A capture is not overwritten by what is saved of it.
fn over_input(case: &Value, folder: &Path) -> Result<(), Different> {
    let capture = file(case, folder).ok_or("no file")?;
    let before = fs::read(capture).map_err(|error| error.to_string())?;
    let name = format!("field-{}.pcap", std::process::id());
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&copy, &before).map_err(|error| error.to_string())?;
    let copy_name = copy.to_str().ok_or("not text")?;
    let output = flowkeep(
        &["replay", "-s", "--save", copy_name, copy_name],
        &Value::Null,
        folder,
    );
    let after = fs::read(&copy).map_err(|error| error.to_string())?;
    let _ = fs::remove_file(&copy);
    if after != before {
        return Err("the capture is overwritten".to_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    if output.status.success() || !message.contains(copy_name) {
        return Err(format!(
            "{:?}, no error that names the file: {message}",
            output.status
        ));
    }
    Ok(())
}

/// What fails writes no half of an object.
fn whole_json(case: &Value, folder: &Path) -> Result<(), Different> {
    for command in case["commands"].as_array().into_iter().flatten() {
        let words = command.as_array().into_iter().flatten();
        let words: Vec<_> = words
            .filter_map(Value::as_str)
            .map(|word| word.replace("{scratch}", env!("CARGO_TARGET_TMPDIR")))
            .collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let output = flowkeep(&words, &Value::Null, folder);
        if output.status.success() || output.stderr.is_empty() {
            return Err(format!("{words:?}: no error"));
        }
        if !output.stdout.is_empty() {
            json(&output.stdout)?;
        }
    }
    Ok(())
}
