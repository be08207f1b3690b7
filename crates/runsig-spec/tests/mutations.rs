//! Thousands of damaged bundles: no panic, no hang, one line each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::{Duration, Instant};

use runsig_spec::{ContainerFacts, ExecSource, LoadOptions, default_spec, exec_process, from_json};
use serde_json::{Value, json};

/// xorshift64*: the same sequence every time, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// How many containers and scalars there are.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// The n-th value, counted from the outside in.
fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|item| nth(item, n)),
        Value::Object(map) => map.values_mut().find_map(|item| nth(item, n)),
        _ => None,
    }
}

fn odd_value(random: &mut Random) -> Value {
    let strings = [
        "",
        "\0",
        "/",
        "..",
        "../../x",
        "a\nb",
        "%s",
        "-1",
        "0-99999999",
        "tmpfs",
        "bind",
        "\u{fffd}",
        "1.0.0",
    ];
    match random.below(14) {
        0 => json!(null),
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(u64::MAX),
        5 => json!(i64::MIN),
        6 => json!(u32::MAX),
        7 => json!(1.5e300),
        8 => json!([]),
        9 => json!({}),
        10 => json!("x".repeat(1 << random.below(16))),
        11 => json!([[[[[[]]]]]]),
        _ => json!(strings[random.below(strings.len())]),
    }
}

fn mutate(config: &mut Value, random: &mut Random) {
    let mut n = random.below(count(config));
    let Some(target) = nth(config, &mut n) else { return };
    match (random.below(4), target) {
        (0, Value::Array(list)) if !list.is_empty() => {
            let item = list[random.below(list.len())].clone();
            list.push(item);
        }
        (1, Value::Array(list)) if !list.is_empty() => drop(list.remove(random.below(list.len()))),
        (0, Value::Object(map)) if !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).cloned().unwrap();
            map.remove(&key);
        }
        (1, Value::Object(map)) if !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).cloned().unwrap();
            map.insert(key, odd_value(random));
        }
        (_, target) => *target = odd_value(random),
    }
}

fn try_to_load(bytes: &[u8], options: &LoadOptions<'_>) -> bool {
    match from_json(bytes, Path::new("/b"), options) {
        Ok(plan) => {
            let bytes = runsig_proto::encode(&plan.init);
            assert!(
                runsig_proto::decode::<runsig_proto::InitPlan>(&bytes).is_ok_and(|back| back == plan.init)
            );
            true
        }
        Err(error) => {
            let line = error.to_string();
            assert!(!line.is_empty() && line.len() < 1700 && !line.contains(['\n', '\0']), "{line:?}");
            false
        }
    }
}

#[test]
fn damaged_values_never_harm() {
    let full: Value = serde_json::from_str(include_str!("data/full.json")).unwrap();
    let rootless = LoadOptions { rootless: true, ..LoadOptions::new("c") };
    let root = LoadOptions { selinux: true, ..LoadOptions::new("c") };
    let mut random = Random(0x5eed);
    let (mut loaded, started) = (0, Instant::now());
    for (text, options, rounds) in [
        (full.to_string(), &root, 1500),
        (default_spec(None, true), &root, 4500),
        (default_spec(Some((1000, 1000)), false), &rootless, 2000),
    ] {
        let good: Value = serde_json::from_str(&text).unwrap();
        assert!(try_to_load(text.as_bytes(), options));
        for _ in 0..rounds {
            let mut config = good.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut config, &mut random);
            }
            loaded += usize::from(try_to_load(config.to_string().as_bytes(), options));
        }
    }
    assert!((500..7500).contains(&loaded), "{loaded} of 8000 loaded: the mutations test nothing");
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}

#[test]
fn damaged_text_never_harms() {
    let good = include_bytes!("data/full.json");
    let mut random = Random(0xbad);
    for _ in 0..4000 {
        let mut bytes = good.to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = random.next() as u8,
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"{}[]\",:\\0-e\x00\xff"[random.below(13)]),
            }
            if bytes.is_empty() {
                break;
            }
        }
        try_to_load(&bytes, &LoadOptions { selinux: true, ..LoadOptions::new("c") });
    }
}

#[test]
fn damaged_process_files_never_harm() {
    let full: Value = serde_json::from_str(include_str!("data/full.json")).unwrap();
    let options = LoadOptions { selinux: true, ..LoadOptions::new("c") };
    let plan = from_json(full.to_string().as_bytes(), Path::new("/b"), &options).unwrap();
    let facts = ContainerFacts::from(&plan);
    let mut random = Random(0xfeed);
    let mut loaded = 0;
    for _ in 0..4000 {
        let mut process = full["process"].clone();
        mutate(&mut process, &mut random);
        match exec_process(&facts, ExecSource::Json(process.to_string().as_bytes()), &options) {
            Ok(_) => loaded += 1,
            Err(error) => assert!(!error.to_string().contains(['\n', '\0']), "{error}"),
        }
    }
    assert!((200..3800).contains(&loaded), "{loaded} of 4000 loaded");
}
