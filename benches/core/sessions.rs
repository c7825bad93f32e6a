//! Times sessions: each scene of `scenes`, played in one session again and again.
//!
//! `cargo bench --package mailwarden-core --bench sessions`

#![allow(missing_docs, unreachable_pub, reason = "a program; criterion's macros make public functions")]

#[path = "scenes/mod.rs"]
mod scenes;

use std::cell::RefCell;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use scenes::{Read, Rig, Scene};

fn sessions(criterion: &mut Criterion) {
    for unit in ["command", "octet"] {
        let mut group = criterion.benchmark_group(format!("per {unit}"));
        // a scene of few octets is asked for its commands, one of many for its octets
        for scene in Scene::all().into_iter().filter(|scene| (scene.octets() < 64 << 10) == (unit == "command")) {
            scene.check();
            group.throughput(match unit {
                "command" => Throughput::Elements(scene.commands),
                _ => Throughput::Bytes(scene.octets()),
            });
            let rig = RefCell::new(scene.start());
            // a session that starts anew is started outside of the time
            let setup = || (scene.fresh.then(|| scene.start()), scene.reads());
            let play = |(mut fresh, reads): (Option<Rig>, Vec<Read>)| {
                let played = match &mut fresh {
                    Some(rig) => rig.play(reads),
                    None => rig.borrow_mut().play(reads),
                };
                // it ends outside of the time, too
                (fresh, black_box(played))
            };
            group.bench_function(scene.name, |bencher| {
                bencher.iter_batched(setup, play, BatchSize::NumIterations(16));
            });
        }
    }
}

criterion_group!(benches, sessions);
criterion_main!(benches);
